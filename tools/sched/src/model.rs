// SPDX-License-Identifier: GPL-2.0

//! What the rules say about a finished run, written down without the machine's means.
//!
//! The machine keeps the state of its head. The model keeps the history of every job, and
//! derives from that, from first to last, when each had to end. All times at which something happens to a
//! queue from outside are different.

use crate::sched::types::{InFencePolicy, QueuePolicy, SchedulerKind, TimeoutPolicy};

pub const CANCELED: i32 = -125;
pub const TIMED_OUT: i32 = -110;

/// What happened to one job from outside.
#[derive(Clone, Debug)]
pub struct History {
    pub submitted: u64,
    pub duration: u64,
    pub hang: bool,
    /// Whether the interrupt that tells of its end is lost.
    pub dropped: bool,
    /// What it completes with by itself.
    pub error: i32,
    /// When its in-fences had all signalled, if they have.
    pub ready: Option<u64>,
    /// The first error of an in-fence, or 0.
    pub in_error: i32,
    /// Whether it has work, and when that was done.
    pub work: bool,
    pub worked: Option<u64>,
    /// When it was given which deadlines.
    pub deadlines: Vec<(u64, u64)>,
    /// When user space completed it, and with what.
    pub signalled: Option<(u64, i32)>,
    /// When its queue was closed, if it was pending then.
    pub closed: Option<u64>,
}

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    pub start: u64,
    pub time: u64,
    pub error: i32,
    pub deadline: u64,
}

/// How jobs ended, and how often what happened.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Ends {
    /// Oldest first; a job that is missing at the end is still pending.
    pub ends: Vec<End>,
    /// When the interrupts for these ends come.
    pub due: Vec<u64>,
    /// How many of the first jobs timed out, for each number of jobs.
    pub timeouts: Vec<u64>,
}

/// What may end a job: when that is noticed, when it ends, the error.
#[derive(Clone, Copy)]
struct Candidate {
    due: u64,
    time: u64,
    error: i32,
    timeout: bool,
    stops: bool,
    kill: bool,
}

const PLAIN: Candidate = Candidate {
    due: 0,
    time: 0,
    error: 0,
    timeout: false,
    stops: false,
    kill: false,
};

/// Returns how the jobs of a queue have to end; `resets` are the times at which it was reset.
pub fn ends(kind: SchedulerKind, policy: &QueuePolicy, jobs: &[History], resets: &[u64]) -> Ends {
    let mut result = Ends::default();
    let (mut previous, mut seen) = (0, 0);
    let mut closing = false;
    // The reset that has killed the job before.
    let mut used = 0;
    // When a job was seen to stop the queue, and which reset had come before that.
    let mut stopped: Option<(u64, u64)> = None;
    let mut timeouts = 0;
    for job in jobs {
        // It is the head since then, and known to be.
        let head = job.submitted.max(previous);
        seen = job.submitted.max(seen);
        let still = |(stop, used): (u64, u64)| {
            let ends_it = |reset: &u64| *reset >= stop && *reset > used;
            !resets
                .iter()
                .any(|reset| ends_it(reset) && *reset < job.submitted)
        };
        let (start, end) = if stopped.is_some_and(still) {
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
        // Somebody may look before the interrupt comes.
        let looked = resets.iter().copied().filter(|reset| *reset >= end.time);
        let noticed = looked.chain(job.closed).fold(end.due, u64::min);
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

/// Returns when a job starts to run, if it does and nothing ends it before.
fn start(kind: SchedulerKind, policy: &QueuePolicy, job: &History, head: u64) -> Option<u64> {
    let fails = job.in_error != 0 && policy.on_in_fence_error != InFencePolicy::Ignore;
    match kind {
        SchedulerKind::Timed if !fails => job.ready.map(|ready| ready.max(head)),
        _ => None,
    }
}

/// Returns when a job is done that starts at `start`, if it does not hang.
fn done(policy: &QueuePolicy, job: &History, start: u64, seen: u64) -> u64 {
    // In units of a hundredth of what the engine does in a nanosecond at its usual speed.
    let (mut now, mut left, mut end) = (start, job.duration * 100, start + job.duration);
    let mut deadline = u64::MAX;
    let early = |time: u64| time < seen.max(start);
    let first = job.deadlines.iter().filter(|(time, _)| early(*time));
    let mut news: Vec<_> = first.map(|(_, deadline)| (start, *deadline)).collect();
    news.extend(job.deadlines.iter().filter(|(time, _)| !early(*time)));
    for (time, wanted) in news {
        deadline = deadline.min(wanted);
        if time >= end || deadline >= end || policy.boost_percent == 100 {
            continue;
        }
        // The same steps with the same rounding: up, to whole nanoseconds.
        let gone = (left / 100 * (end - time)).div_ceil(end - now);
        now = time;
        left = gone * 100;
        end = end.min(deadline.max(now + left.div_ceil(policy.boost_percent)));
    }
    end
}

/// Returns what ends a job that is the head since `head`.
fn end(
    kind: SchedulerKind,
    policy: &QueuePolicy,
    job: &History,
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
    let works = job.work && job.worked.is_none();
    if let Some(start) = start.filter(|_| !job.hang && !works) {
        let time = done(policy, job, start, seen).max(job.worked.unwrap_or(0));
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
            error: job.in_error,
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
    // What user space does counts when nothing else has happened up to that moment.
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
    // Of ends at the same time, the one that comes first above.
    candidates
        .into_iter()
        .min_by_key(|candidate| candidate.time)
}
