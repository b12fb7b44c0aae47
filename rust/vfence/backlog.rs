// SPDX-License-Identifier: GPL-2.0

//! The backlog: queues that have more to complete than interrupts may.
//!
//! A queue goes on a list when it has due jobs and the CPU has no interrupt time left. One work
//! item for all queues of the module takes them off in turn, and completes some jobs of each with
//! interrupts enabled.

use crate::{
    kernel_ext::{
        task::cond_resched,
        workqueue::OwnedQueue, //
    },
    vfence::budget::InterruptBudget, //
};
use kernel::{
    impl_has_work,
    list::{
        impl_list_arc_safe,
        impl_list_item,
        AtomicTracker,
        List,
        ListArc,
        ListLinks,
        TryNewListArc, //
    },
    new_work,
    prelude::*,
    sync::{
        new_spinlock_irq,
        Arc,
        LockedBy,
        SpinLockIrq, //
    },
    workqueue::{
        self,
        WorkItem, //
    },
};

/// A queue whose jobs may have to wait in the backlog; a counted reference to it.
pub(crate) trait CompleteSome: Clone + Send + Sync + 'static {
    /// Completes some jobs that are due, with interrupts enabled in between. Returns whether no
    /// more are due; the timer is started for the next event then.
    fn complete_some(&self) -> bool;
}

/// The queues that wait.
struct Waiting<Q: CompleteSome> {
    entries: List<Entry<Q>>,
    /// Whether the work item is queued or running.
    working: bool,
    workqueue: Option<Arc<OwnedQueue>>,
}

/// The backlog of a module.
#[pin_data]
pub(crate) struct Backlog<Q: CompleteSome> {
    budget: Arc<InterruptBudget>,
    #[pin]
    work: workqueue::Work<Backlog<Q>>,
    #[pin]
    waiting: SpinLockIrq<Waiting<Q>>,
}

impl_has_work! {
    impl{Q: CompleteSome} HasWork<Self> for Backlog<Q> { self.work }
}

/// The owner of a backlog. Dropping the last owner of a workqueue waits for its work items. The
/// queues must be closed.
pub(crate) struct BacklogOwner<Q: CompleteSome>(Arc<Backlog<Q>>);

impl<Q: CompleteSome> BacklogOwner<Q> {
    /// Creates a backlog for interrupts that share `budget`. Its work item runs on `workqueue`.
    /// Fails with `ENOMEM`.
    pub(crate) fn new(budget: &Arc<InterruptBudget>, workqueue: &Arc<OwnedQueue>) -> Result<Self> {
        let waiting = Waiting {
            entries: List::new(),
            working: false,
            workqueue: Some(workqueue.clone()),
        };
        Ok(Self(Arc::pin_init(
            pin_init!(Backlog {
                budget: budget.clone(),
                work <- new_work!("vfence_backlog"),
                waiting <- new_spinlock_irq!(waiting, "vfence_backlog"),
            }),
            GFP_KERNEL,
        )?))
    }

    /// Returns the backlog, for [`Entry::new`].
    pub(crate) fn backlog(&self) -> &Arc<Backlog<Q>> {
        &self.0
    }
}

impl<Q: CompleteSome> Drop for BacklogOwner<Q> {
    fn drop(&mut self) {
        let workqueue = self.0.waiting.lock().workqueue.take();
        // The last reference waits for the work item, which takes the lock.
        drop(workqueue);
    }
}

/// The place of a queue in the backlog, allocated with the queue: interrupts allocate nothing.
#[pin_data]
pub(crate) struct Entry<Q: CompleteSome> {
    backlog: Arc<Backlog<Q>>,
    /// The queue, from [`Entry::assign`] to [`Entry::release`].
    queue: LockedBy<Option<Q>, Waiting<Q>>,
    #[pin]
    links: ListLinks,
    /// Whether the entry is on the list.
    #[pin]
    tracker: AtomicTracker,
}

impl_list_arc_safe! {
    impl{Q: CompleteSome} ListArcSafe<0> for Entry<Q> { tracked_by tracker: AtomicTracker; }
}

impl_list_item! {
    impl{Q: CompleteSome} ListItem<0> for Entry<Q> { using ListLinks { self.links }; }
}

impl<Q: CompleteSome> Entry<Q> {
    /// Creates an entry without a queue. Fails with `ENOMEM`.
    pub(crate) fn new(backlog: &Arc<Backlog<Q>>) -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                backlog: backlog.clone(),
                queue: LockedBy::new(&backlog.waiting, None),
                links <- ListLinks::new(),
                tracker <- AtomicTracker::new(),
            }),
            GFP_KERNEL_ACCOUNT,
        )
    }

    /// Assigns the entry to `queue`.
    pub(crate) fn assign(&self, queue: Q) {
        *self.queue.access_mut(&mut self.backlog.waiting.lock()) = Some(queue);
    }

    /// Releases the queue. The work item finishes what it is doing with it and does nothing after
    /// that.
    pub(crate) fn release(&self) {
        let queue = self
            .queue
            .access_mut(&mut self.backlog.waiting.lock())
            .take();
        // Perhaps the last reference to the queue, which has one to this entry: not under the lock.
        drop(queue);
    }

    /// Puts the queue on the list, unless it is there. May be called where a spinlock may be taken.
    pub(crate) fn push(self: &Arc<Self>) {
        let mut waiting = self.backlog.waiting.lock();
        if self.queue.access(&waiting).is_none() {
            return;
        }
        let Ok(entry) = ListArc::try_from_arc(self.clone()) else {
            return;
        };
        waiting.entries.push_back(entry);
        if waiting.working {
            return;
        }
        if let Some(workqueue) = &waiting.workqueue {
            // It is not queued.
            let _ = workqueue.enqueue(self.backlog.clone());
            waiting.working = true;
        }
    }
}

impl<Q: CompleteSome> Backlog<Q> {
    /// Returns the budget of the interrupts.
    pub(crate) fn budget(&self) -> &Arc<InterruptBudget> {
        &self.budget
    }

    /// Takes the first queue off the list. Returns `None` if the list is empty: the work item ends.
    fn pop(&self) -> Option<(Arc<Entry<Q>>, Option<Q>)> {
        let mut waiting = self.waiting.lock();
        let Some(entry) = waiting.entries.pop_front() else {
            waiting.working = false;
            return None;
        };
        let entry = entry.into_arc();
        let queue = entry.queue.access(&waiting).clone();
        Some((entry, queue))
    }
}

impl<Q: CompleteSome> WorkItem for Backlog<Q> {
    type Pointer = Arc<Self>;

    fn run(backlog: Arc<Self>) {
        while let Some((entry, queue)) = backlog.pop() {
            if queue.is_some_and(|queue| !queue.complete_some()) {
                entry.push();
            }
            cond_resched();
        }
    }
}

#[kernel::macros::kunit_tests(vfence_backlog)]
mod tests {
    use super::*;
    use kernel::{
        sync::atomic::{
            Acquire,
            Atomic,
            Full,
            Relaxed, //
        },
        time::{
            delay::fsleep,
            Delta, //
        },
    };

    /// A queue that needs some turns of the work item.
    #[derive(Clone)]
    struct Rounds(Arc<Counts>);

    struct Counts {
        left: Atomic<i32>,
        /// The number of turns of all queues so far.
        turns: Arc<Atomic<i32>>,
        /// The turn in which this queue was finished.
        finished: Atomic<i32>,
    }

    impl CompleteSome for Rounds {
        fn complete_some(&self) -> bool {
            let turn = self.0.turns.fetch_add(1, Full) + 1;
            let all = self.0.left.fetch_sub(1, Full) == 1;
            if all {
                self.0.finished.store(turn, Relaxed);
            }
            all
        }
    }

    struct Fixture {
        owner: BacklogOwner<Rounds>,
        turns: Arc<Atomic<i32>>,
    }

    impl Fixture {
        fn new() -> Result<Self> {
            let queue = Arc::new(OwnedQueue::new(c"kunit")?, GFP_KERNEL)?;
            Ok(Self {
                owner: BacklogOwner::new(&InterruptBudget::new()?, &queue)?,
                turns: Arc::new(Atomic::new(0), GFP_KERNEL)?,
            })
        }

        /// Returns a queue that needs `rounds` turns, and its entry.
        fn queue(&self, rounds: i32) -> Result<(Arc<Counts>, Arc<Entry<Rounds>>)> {
            let counts = Counts {
                left: Atomic::new(rounds),
                turns: self.turns.clone(),
                finished: Atomic::new(0),
            };
            let counts = Arc::new(counts, GFP_KERNEL)?;
            let entry = Entry::new(self.owner.backlog())?;
            entry.assign(Rounds(counts.clone()));
            Ok((counts, entry))
        }

        /// Waits for the work item; KUnit's timeout bounds the wait.
        fn wait(&self, turns: i32) {
            while self.turns.load(Acquire) < turns {
                fsleep(Delta::from_micros(100));
            }
        }
    }

    #[test]
    fn queues_take_turns() -> Result {
        let fixture = Fixture::new()?;
        let (long, long_entry) = fixture.queue(5)?;
        let (short, short_entry) = fixture.queue(1)?;
        // The work item begins when both are on the list.
        fixture.owner.backlog().waiting.lock().working = true;
        long_entry.push();
        short_entry.push();
        // It is there already.
        long_entry.push();
        Backlog::run(fixture.owner.backlog().clone());
        assert_eq!(short.finished.load(Relaxed), 2);
        assert_eq!(long.finished.load(Relaxed), 6);
        assert_eq!(fixture.turns.load(Relaxed), 6);
        long_entry.release();
        short_entry.release();
        Ok(())
    }

    #[test]
    fn push_queues_the_work_item() -> Result {
        let fixture = Fixture::new()?;
        let (counts, entry) = fixture.queue(3)?;
        entry.push();
        fixture.wait(3);
        counts.left.store(2, Relaxed);
        entry.push();
        fixture.wait(5);
        entry.release();
        Ok(())
    }

    #[test]
    fn released_queue_is_left_alone() -> Result {
        let fixture = Fixture::new()?;
        let (counts, entry) = fixture.queue(1)?;
        fixture.owner.backlog().waiting.lock().working = true;
        entry.push();
        entry.release();
        // The entry is on the list, without its queue.
        Backlog::run(fixture.owner.backlog().clone());
        entry.push();
        drop(fixture);
        assert_eq!(counts.turns.load(Relaxed), 0);
        Ok(())
    }

    #[test]
    fn drop_waits_for_the_work_item() -> Result {
        let fixture = Fixture::new()?;
        let (counts, entry) = fixture.queue(1000)?;
        entry.push();
        drop(fixture);
        assert_eq!(counts.left.load(Relaxed), 0);
        entry.release();
        Ok(())
    }
}
