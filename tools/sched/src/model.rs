// SPDX-License-Identifier: GPL-2.0

//! A model of the schedulers: the ends of the jobs of a finished schedule.
//!
//! A scheduler keeps the state of its head. The model instead derives the end of each job, from
//! first to last, from all events of the queue. The times of the events must differ.

use crate::sched::types::{InFencePolicy, QueuePolicy, SchedulerKind, TimeoutPolicy};

pub const CANCELED: i32 = -125;
pub const TIMED_OUT: i32 = -110;

/// The properties and events of a job. Times are in ns.
#[derive(Clone, Debug)]
pub struct JobEvents {
    pub submitted: u64,
    pub duration: u64,
    pub hang: bool,
    /// Whether the interrupt of its end is dropped.
    pub dropped: bool,
    /// The job's own error, or 0.
    pub error: i32,
    /// When the last in-fence signalled.
    pub ready: Option<u64>,
    /// The first error of an in-fence, or 0.
    pub in_fence_error: i32,
    /// Whether the job has operations.
    pub operations: bool,
    /// When the operations ended.
    pub operations_end: Option<u64>,
    /// When each deadline was set, and the deadline.
    pub deadlines: Vec<(u64, u64)>,
    /// When user space signalled the job, and with which error.
    pub signalled: Option<(u64, i32)>,
    /// When the queue was closed, if the job was pending.
    pub closed: Option<u64>,
}

/// The end of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    pub start: u64,
    pub time: u64,
    pub error: i32,
    pub deadline: u64,
}

/// The ends of the jobs of a queue.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Ends {
    /// In the order of seqnos. The jobs after the last end are pending.
    pub ends: Vec<End>,
    /// When the interrupts report these ends.
    pub due: Vec<u64>,
    /// For each end, the number of timeouts up to it.
    pub timeouts: Vec<u64>,
}

/// A possible end of a job.
#[derive(Clone, Copy)]
struct Candidate {
    /// When an interrupt reports the end, in ns.
    due: u64,
    /// In ns.
    time: u64,
    error: i32,
    timeout: bool,
    /// Whether the end stops the queue.
    stops: bool,
    /// Whether a reset cancels the job.
    kill: bool,
}

/// The defaults of the fields.
const PLAIN: Candidate = Candidate {
    due: 0,
    time: 0,
    error: 0,
    timeout: false,
    stops: false,
    kill: false,
};

/// Returns the ends of the jobs of a queue that was reset at the times `resets`.
pub fn ends(kind: SchedulerKind, policy: &QueuePolicy, jobs: &[JobEvents], resets: &[u64]) -> Ends {
    let mut result = Ends::default();
    let (mut previous, mut seen) = (0, 0);
    let mut closing = false;
    // The reset that cancelled the previous job.
    let mut used = 0;
    // When a job stopped the queue, and the reset that was used before.
    let mut stopped: Option<(u64, u64)> = None;
    let mut timeouts = 0;
    for job in jobs {
        // The job is the head since then, and the scheduler knows since `seen`.
        let head = job.submitted.max(previous);
        seen = job.submitted.max(seen);
        let is_stopped = |(stop, used): (u64, u64)| {
            let ends_it = |reset: &u64| *reset >= stop && *reset > used;
            !resets
                .iter()
                .any(|reset| ends_it(reset) && *reset < job.submitted)
        };
        let (start, end) = if stopped.is_some_and(is_stopped) {
            let cancelled = Candidate {
                due: head,
                time: head,
                error: CANCELED,
                ..PLAIN
            };
            (None, Some(cancelled))
        } else {
            let start = start(kind, policy, job, head).filter(|_| !closing);
            let kills = resets.iter().copied().filter(|reset| *reset > used);
            (start, end(kind, policy, job, head, seen, start, kills))
        };
        let Some(end) = end else {
            break;
        };
        closing = job.closed.is_some();
        if end.kill {
            used = end.time;
        }
        previous = end.time;
        // A reset or the close may take the job before the interrupt. The reset that cancelled the
        // job before takes no other.
        let takes = |reset: &u64| *reset >= end.time && (end.kill || *reset > used);
        let taken = resets.iter().copied().filter(takes);
        let noticed = taken.chain(job.closed).fold(end.due, u64::min);
        seen = seen.max(noticed);
        if end.stops {
            stopped = Some((end.due, used));
        }
        timeouts += u64::from(end.timeout);
        let given = job.deadlines.iter().filter(|(time, _)| *time < seen);
        result.ends.push(End {
            start: start.filter(|start| *start <= end.time).unwrap_or(0),
            time: end.time,
            error: end.error,
            deadline: given.map(|(_, deadline)| *deadline).min().unwrap_or(0),
        });
        result.due.push(end.due);
        result.timeouts.push(timeouts);
    }
    result
}

/// Returns when a job starts to run unless it ends before; `None` if it does not run.
fn start(kind: SchedulerKind, policy: &QueuePolicy, job: &JobEvents, head: u64) -> Option<u64> {
    let fails = job.in_fence_error != 0 && policy.on_in_fence_error != InFencePolicy::Ignore;
    match kind {
        SchedulerKind::Timed if !fails => job.ready.map(|ready| ready.max(head)),
        _ => None,
    }
}

/// Returns the end of a job that starts at `start` and does not hang.
fn done(policy: &QueuePolicy, job: &JobEvents, start: u64, seen: u64) -> u64 {
    // `left` is in hundredths of a ns at the usual speed.
    let (mut now, mut left, mut end) = (start, job.duration * 100, start + job.duration);
    let mut deadline = u64::MAX;
    let early = |time: u64| time < seen.max(start);
    let first = job.deadlines.iter().filter(|(time, _)| early(*time));
    let mut changes: Vec<_> = first.map(|(_, deadline)| (start, *deadline)).collect();
    changes.extend(job.deadlines.iter().filter(|(time, _)| !early(*time)));
    for (time, wanted) in changes {
        deadline = deadline.min(wanted);
        if time >= end || deadline >= end || policy.boost_percent == 100 {
            continue;
        }
        // Round as the scheduler does: up, to whole ns.
        let rest = (left / 100 * (end - time)).div_ceil(end - now);
        now = time;
        left = rest * 100;
        end = end.min(deadline.max(now + left.div_ceil(policy.boost_percent)));
    }
    end
}

/// Returns the end of a job that is the head since `head`.
fn end(
    kind: SchedulerKind,
    policy: &QueuePolicy,
    job: &JobEvents,
    head: u64,
    seen: u64,
    start: Option<u64>,
    mut resets: impl Iterator<Item = u64>,
) -> Option<Candidate> {
    if let Some(time) = job.closed {
        return Some(Candidate {
            due: time,
            time,
            error: CANCELED,
            ..PLAIN
        });
    }
    let mut candidates = Vec::new();
    let since = match kind {
        SchedulerKind::Timed => head,
        SchedulerKind::Manual => job.submitted,
    };
    let bound = policy.timeout.map(|timeout| since + timeout);
    let unfinished = job.operations && job.operations_end.is_none();
    if let Some(start) = start.filter(|_| !job.hang && !unfinished) {
        let time = done(policy, job, start, seen).max(job.operations_end.unwrap_or(0));
        candidates.push(Candidate {
            due: bound.filter(|_| job.dropped).unwrap_or(time),
            time,
            error: job.error,
            ..PLAIN
        });
    }
    if let (None, Some(ready), SchedulerKind::Timed) = (start, job.ready, kind) {
        candidates.push(Candidate {
            due: ready.max(head),
            time: ready.max(head),
            error: job.in_fence_error,
            stops: policy.on_in_fence_error == InFencePolicy::Cancel,
            ..PLAIN
        });
    }
    if let Some(bound) = bound {
        candidates.push(Candidate {
            due: bound,
            time: bound,
            error: TIMED_OUT,
            timeout: true,
            stops: policy.on_timeout == TimeoutPolicy::Cancel,
            ..PLAIN
        });
    }
    // A signal ends the job if nothing else has by then.
    if let Some((time, error)) = job.signalled {
        candidates.push(Candidate {
            due: time,
            time,
            error: if error == 0 { job.error } else { error },
            ..PLAIN
        });
    }
    let kills = |reset: &u64| *reset > job.submitted && start.is_some_and(|start| start <= *reset);
    if let Some(reset) = resets.find(kills) {
        candidates.push(Candidate {
            due: reset,
            time: reset,
            error: CANCELED,
            kill: true,
            ..PLAIN
        });
    }
    // `min_by_key()` returns the first of candidates with the same time.
    candidates
        .into_iter()
        .min_by_key(|candidate| candidate.time)
}
