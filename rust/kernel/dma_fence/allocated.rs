// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Fences before their initialisation.

use super::{
    fence::SignalledFence,
    memory::FenceMemory,
    pending::PendingFence,
    seqno::Seqno,
    timeline::{
        DriverTimeline,
        Timeline, //
    },
};
use core::ptr::NonNull;
use kernel::{
    alloc::Flags,
    prelude::*,
    sync::aref::ARef, //
};

/// The memory of a fence, before the fence's initialisation.
pub(crate) struct AllocatedFence<T: DriverTimeline> {
    memory: KBox<FenceMemory<T>>,
    timeline: ARef<Timeline<T>>,
}

impl<T: DriverTimeline> AllocatedFence<T> {
    /// Allocates a fence for `timeline`. Fails with `ENOMEM`.
    #[inline]
    pub(crate) fn new(timeline: ARef<Timeline<T>>, flags: Flags) -> Result<Self> {
        let memory = FenceMemory::new(&timeline, flags)?;
        Ok(Self { memory, timeline })
    }

    /// Initialises the fence with the next seqno of the timeline.
    ///
    /// The fences of a timeline must [complete](PendingFence::complete) in the order of these
    /// calls.
    pub(crate) fn init(self) -> PendingFence<T> {
        let seqno = self.timeline.next_seqno();
        self.init_at(seqno)
    }

    /// Initialises the fence with a seqno of the driver's own, for a timeline whose seqnos are
    /// those of the driver's jobs. Not to be mixed with [`Self::init`].
    ///
    /// The fences of a timeline must [complete](PendingFence::complete) in the order of their
    /// seqnos. Fences with the same seqno must be for the same work: a reservation object keeps one
    /// of them.
    pub(crate) fn init_at(self, seqno: T::Seqno) -> PendingFence<T> {
        let context = self.timeline.context_id();
        // The memory points to the timeline, and has its count from here on.
        let _ = ARef::into_raw(self.timeline);
        // SAFETY: The pointer of a box is not null.
        let memory = unsafe { NonNull::new_unchecked(KBox::into_raw(self.memory)) };
        // SAFETY: `base` is at offset 0 of the memory, which this function owns. The operations are
        // static. A null lock selects the inline one.
        unsafe {
            T::Seqno::INIT(
                memory.cast().as_ptr(),
                &FenceMemory::<T>::OPS,
                core::ptr::null_mut(),
                context,
                seqno.into_raw(),
            )
        };
        // SAFETY: The fence is initialised, and nothing else refers to it.
        unsafe { FenceMemory::set_tag(memory) };
        // SAFETY: The fence is initialised, and there is no other reference to it, so it has not
        // signalled. The memory has a count of the timeline.
        unsafe { PendingFence::new(memory) }
    }

    /// Initialises the fence as signalled, for work that is done already, and so is that of all
    /// earlier seqnos. Its own may be earlier than those of completed fences: nobody can have
    /// waited for it. For `result` and `timestamp` see [`PendingFence::complete`].
    pub(crate) fn init_signalled(
        self,
        seqno: T::Seqno,
        result: Result,
        timestamp: u64,
    ) -> SignalledFence {
        self.init_at(seqno).complete(result, timestamp)
    }
}

#[kernel::macros::kunit_tests(vfence_dma_fence_allocated)]
mod tests {
    use super::{
        super::fixture::{
            timeline,
            timeline_of, //
        },
        *, //
    };
    use crate::kernel_ext::workqueue::OwnedQueue;

    #[test]
    fn allocation_can_be_dropped() -> Result {
        let timeline = timeline()?;
        let allocated = AllocatedFence::new(timeline.clone(), GFP_KERNEL)?;
        assert_eq!(timeline.count(), 2);
        drop(allocated);
        assert_eq!(timeline.count(), 1);
        Ok(())
    }

    #[test]
    fn another_thread_can_initialise_the_fence() -> Result {
        let timeline = timeline()?;
        let allocated = AllocatedFence::new(timeline.clone(), GFP_KERNEL)?;
        let queue = OwnedQueue::new(c"kunit")?;
        queue.try_spawn(GFP_KERNEL, move || {
            allocated.init().complete(Ok(()), 1);
        })?;
        drop(queue);
        // The next seqno is 2.
        let fence = AllocatedFence::new(timeline, GFP_KERNEL)?.init();
        assert_eq!(fence.fence().seqno(), 2);
        Ok(())
    }

    #[test]
    fn timeline_numbers_its_fences() -> Result {
        let timeline = timeline()?;
        for seqno in 1..4 {
            let fence = AllocatedFence::new(timeline.clone(), GFP_KERNEL)?.init();
            assert_eq!(fence.fence().seqno(), seqno);
            fence.complete(Ok(()), 1);
        }
        assert_eq!(timeline.misordered(), 0);
        Ok(())
    }

    #[test]
    fn wrapping_seqnos_are_in_order() -> Result {
        let timeline = timeline_of::<u32>()?;
        let before = AllocatedFence::new(timeline.clone(), GFP_KERNEL)?.init_at(u32::MAX);
        let after = AllocatedFence::new(timeline.clone(), GFP_KERNEL)?.init_at(0);
        assert!(after.fence().is_same_or_later(before.fence()));
        assert!(!before.fence().is_same_or_later(after.fence()));
        before.complete(Ok(()), 1);
        after.complete(Ok(()), 1);
        Ok(())
    }

    #[test]
    fn fence_for_work_that_is_done_may_have_an_earlier_seqno() -> Result {
        let timeline = timeline()?;
        let allocate = || AllocatedFence::new(timeline.clone(), GFP_KERNEL);
        allocate()?.init_at(5).complete(Ok(()), 1);
        let signalled = allocate()?.init_signalled(3, Err(EIO), 7);
        assert!(signalled.fence().is_signaled());
        assert_eq!(signalled.fence().seqno(), 3);
        assert_eq!(signalled.result(), Err(EIO));
        assert_eq!(signalled.timestamp(), 7);
        assert_eq!(timeline.misordered(), 0);
        Ok(())
    }
}
