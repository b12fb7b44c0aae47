// SPDX-License-Identifier: GPL-2.0

//! What the rules say about a finished run, written down without the machine's means.
//!
//! The machine keeps a ring and the state of its head. The model keeps the history of every job, and
//! derives from that, from first to last, when each had to end.

use crate::machine::Kind;

pub const CANCELED: i32 = -125;
pub const TIMED_OUT: i32 = -110;

/// What happened to one job from outside.
#[derive(Clone, Debug)]
pub struct History {
    pub submitted: u64,
    pub duration: u64,
    /// When its in-fences had all signalled, if they have.
    pub ready: Option<u64>,
    /// The first error of an in-fence, or 0.
    pub in_error: i32,
    /// When user space completed it, and with what.
    pub signalled: Option<(u64, i32)>,
    /// When its queue was closed, if it was pending then.
    pub closed: Option<u64>,
}

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    pub time: u64,
    pub error: i32,
}

/// Returns how the jobs of a queue have to end by the time `now`, oldest first.
///
/// A job that is missing at the end of the result is still pending.
pub fn ends(kind: Kind, watchdog: Option<u64>, jobs: &[History], now: u64) -> Vec<End> {
    let mut ends = Vec::new();
    let mut previous = 0;
    for job in jobs {
        // It is the head since then.
        let head = previous.max(job.submitted);
        let mut candidates = Vec::new();
        if kind == Kind::Timer {
            if let Some(ready) = job.ready {
                let start = head.max(ready);
                candidates.push(match job.in_error {
                    0 => End {
                        time: start + job.duration,
                        error: 0,
                    },
                    error => End { time: start, error },
                });
            }
        }
        if let Some(watchdog) = watchdog {
            let since = match kind {
                Kind::Timer => head,
                Kind::Manual => job.submitted,
            };
            candidates.push(End {
                time: since + watchdog,
                error: TIMED_OUT,
            });
        }
        // What user space does counts when nothing else has happened up to that moment.
        if let Some((time, error)) = job.signalled {
            candidates.push(End { time, error });
        }
        if let Some(time) = job.closed {
            candidates = vec![End {
                time,
                error: CANCELED,
            }];
        }
        // Of ends at the same time, the one that comes first above.
        let Some(end) = candidates.into_iter().min_by_key(|end| end.time) else {
            break;
        };
        if end.time > now {
            break;
        }
        previous = end.time;
        ends.push(end);
    }
    ends
}
