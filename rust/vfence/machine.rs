// SPDX-License-Identifier: GPL-2.0

//! The decisions of a queue: what starts, what ends and when, what comes next.
//!
//! A plain state machine without locks, clocks or kernel types: the time is passed in, in
//! nanoseconds, and what it decides is carried out by the caller. `tools/machine` compiles this very
//! file on the host and tries it with random schedules.
//!
//! Time here is the engine's: a job that ran from 1 ms to 3 ms has ended at 3 ms even when the
//! interrupt came at 3.1 ms, and the next one starts at 3 ms. So what [`Machine::advance`] returns does
//! not depend on how often, or how late, it is called.
//!
//! ```text
//!              submitted     head        start            end
//!   timer  ────────┼───────────┼───────────┼─── duration ──┼──
//!                              │<- in-fences │
//!                              │<-------- at most `watchdog` ------->│ -ETIMEDOUT
//!
//!              submitted                                signal
//!   manual ────────┼──────────────────────────────────────┼──
//!                  │<-------------- at most `watchdog` ------------->│ -ETIMEDOUT
//! ```

use core::ops::DerefMut;

/// The error of jobs that were cancelled, `-ECANCELED`.
pub(crate) const CANCELED: i32 = -125;
/// The error of jobs that the watchdog ended, `-ETIMEDOUT`.
pub(crate) const TIMED_OUT: i32 = -110;

/// What completes the jobs of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The time that they take.
    Timer,
    /// User space.
    Manual,
}

/// A job as it is submitted; `P` is what the caller keeps with it.
pub(crate) struct Job<P> {
    /// How long it runs, in ns.
    pub(crate) duration: u64,
    /// Whether it still has to wait for in-fences: [`Machine::ready`] will tell.
    pub(crate) waits: bool,
    /// The error of an in-fence, with which it completes instead of running; 0 if there is none.
    pub(crate) error: i32,
    /// The caller's.
    pub(crate) payload: P,
}

/// A job that has ended.
#[derive(Debug)]
pub(crate) struct Ended<P> {
    /// 0, or a negative errno.
    pub(crate) error: i32,
    /// When it ended, in ns.
    pub(crate) timestamp: u64,
    /// The caller's.
    pub(crate) payload: P,
}

/// A job that is pending.
pub(crate) struct Slot<P> {
    /// When it was submitted.
    submitted: u64,
    /// When the last of its in-fences signalled.
    ready: Option<u64>,
    duration: u64,
    error: i32,
    payload: P,
}

/// The jobs of one queue that are pending, and when they end.
///
/// `S` is the storage: a ring of slots, a power of two of them, that the caller allocates, empty, and
/// replaces by a larger one with [`Machine::grow`] before it is full.
///
/// # Invariants
///
/// - The pending jobs are those with `first <= seqno < next`; each is in slot `seqno % ring.len()`, and
///   all other slots are empty.
/// - `head_since` is not before the end of the job `first - 1`, nor before the submission of `first`.
/// - Submission times do not decrease from one job to the next.
pub(crate) struct Machine<P, S>
where
    S: DerefMut<Target = [Option<Slot<P>>]>,
{
    kind: Kind,
    /// Bound on the time of a job, in ns; `None` when it was lifted.
    watchdog: Option<u64>,
    ring: S,
    /// The oldest job that is pending, if there is one.
    first: u64,
    /// The job that is submitted next.
    next: u64,
    /// When the job `first` became the head; before it is submitted, when its predecessor ended.
    head_since: u64,
    /// When the last job was submitted.
    last_submitted: u64,
}

impl<P, S> Machine<P, S>
where
    S: DerefMut<Target = [Option<Slot<P>>]>,
{
    /// Creates the machine of a queue that has had no job yet.
    ///
    /// `ring` has only empty slots.
    pub(crate) fn new(kind: Kind, watchdog: Option<u64>, ring: S) -> Self {
        // INVARIANT: Nothing is pending, and all slots are empty.
        Self {
            kind,
            watchdog,
            ring,
            first: 1,
            next: 1,
            head_since: 0,
            last_submitted: 0,
        }
    }

    /// Returns the sequence number of the job that was submitted last.
    pub(crate) fn submitted(&self) -> u64 {
        self.next - 1
    }

    /// Returns the sequence number of the job that ended last.
    pub(crate) fn completed(&self) -> u64 {
        self.first - 1
    }

    /// Returns how many jobs are pending.
    pub(crate) fn pending(&self) -> usize {
        (self.next - self.first) as usize
    }

    /// Returns how many jobs can be pending with the present ring.
    pub(crate) fn capacity(&self) -> usize {
        self.ring.len()
    }

    /// Moves the jobs to `ring`, which is larger and has only empty slots, and returns the old one.
    pub(crate) fn grow(&mut self, ring: S) -> S {
        let mut old = core::mem::replace(&mut self.ring, ring);
        for seqno in self.first..self.next {
            let index = Self::index(&old, seqno);
            let slot = old[index].take();
            let index = Self::index(&self.ring, seqno);
            self.ring[index] = slot;
        }
        old
    }

    fn index(ring: &S, seqno: u64) -> usize {
        seqno as usize & (ring.len() - 1)
    }

    fn head(&self) -> Option<&Slot<P>> {
        match self.pending() {
            0 => None,
            _ => self.ring[Self::index(&self.ring, self.first)].as_ref(),
        }
    }

    /// Appends a job at the time `now` and returns its sequence number.
    ///
    /// Gives the job back if the ring is full.
    pub(crate) fn submit(&mut self, now: u64, job: Job<P>) -> Result<u64, Job<P>> {
        if self.pending() >= self.ring.len() {
            return Err(job);
        }
        let seqno = self.next;
        let now = now.max(self.last_submitted);
        let index = Self::index(&self.ring, seqno);
        self.ring[index] = Some(Slot {
            submitted: now,
            ready: if job.waits { None } else { Some(now) },
            duration: job.duration,
            error: job.error,
            payload: job.payload,
        });
        self.next += 1;
        self.last_submitted = now;
        if seqno == self.first {
            self.head_since = self.head_since.max(now);
        }
        Ok(seqno)
    }

    /// Takes note that the last in-fence of job `seqno` signalled at the time `now`; `error` is
    /// that of an in-fence, or 0.
    ///
    /// Returns whether that may change [`Machine::next_event`]. A job that has ended is left alone.
    pub(crate) fn ready(&mut self, now: u64, seqno: u64, error: i32) -> bool {
        if seqno < self.first || seqno >= self.next {
            return false;
        }
        let index = Self::index(&self.ring, seqno);
        if let Some(slot) = &mut self.ring[index] {
            if slot.ready.is_none() {
                slot.ready = Some(now);
                if slot.error == 0 {
                    slot.error = error;
                }
            }
        }
        seqno == self.first
    }

    /// Returns when and with which error the head ends, if nothing else happens to it.
    fn head_end(&self) -> Option<(u64, i32)> {
        let head = self.head()?;
        let own = match self.kind {
            Kind::Manual => None,
            Kind::Timer => head.ready.map(|ready| {
                let start = ready.max(self.head_since);
                match head.error {
                    0 => (start.saturating_add(head.duration), 0),
                    error => (start, error),
                }
            }),
        };
        let since = match self.kind {
            Kind::Manual => head.submitted,
            Kind::Timer => self.head_since,
        };
        let bound = self.watchdog.map(|watchdog| since.saturating_add(watchdog));
        match (own, bound) {
            (Some((end, _)), Some(bound)) if bound < end => Some((bound, TIMED_OUT)),
            (Some(end), _) => Some(end),
            (None, Some(bound)) => Some((bound, TIMED_OUT)),
            (None, None) => None,
        }
    }

    /// Returns the time at which [`Machine::advance`] has something to do next.
    pub(crate) fn next_event(&self) -> Option<u64> {
        self.head_end().map(|(end, _)| end)
    }

    /// Takes the next job that has ended by the time `now`; to be called until it returns `None`.
    pub(crate) fn advance(&mut self, now: u64) -> Option<Ended<P>> {
        match self.head_end() {
            Some((end, error)) if end <= now => self.end_head(end, error),
            _ => None,
        }
    }

    /// Completes the next job of a manual queue up to `seqno`; to be called until it returns `None`.
    pub(crate) fn signal(&mut self, now: u64, seqno: u64, error: i32) -> Option<Ended<P>> {
        if self.first > seqno {
            return None;
        }
        self.advance(now).or_else(|| self.end_head(now, error))
    }

    /// Ends the next job that is pending with `-ECANCELED`; to be called until it returns `None`, after
    /// [`Machine::advance`] has taken what has ended by itself.
    pub(crate) fn cancel(&mut self, now: u64) -> Option<Ended<P>> {
        self.end_head(now, CANCELED)
    }

    /// Ends the head.
    fn end_head(&mut self, end: u64, error: i32) -> Option<Ended<P>> {
        if self.pending() == 0 {
            return None;
        }
        let index = Self::index(&self.ring, self.first);
        let slot = self.ring[index].take()?;
        // A caller's clock that went backwards must not let a job end before its predecessor.
        let timestamp = end.max(self.head_since);
        self.first += 1;
        // INVARIANT: Both bounds of the new head's time are in it.
        self.head_since = match self.head() {
            Some(head) => timestamp.max(head.submitted),
            None => timestamp,
        };
        Some(Ended {
            error,
            timestamp,
            payload: slot.payload,
        })
    }
}
