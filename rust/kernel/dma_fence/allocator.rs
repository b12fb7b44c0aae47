// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Allocation of contexts, by which the driver's data of a signalled fence is found.

use super::{
    context::TypedContext,
    fence::Fence,
    memory::FenceMemory,
    timeline::DriverTimeline, //
};
use crate::bindings;
use core::{
    marker::PhantomData,
    num::NonZeroU32, //
};
use kernel::{
    prelude::*,
    sync::{
        new_mutex,
        Mutex, //
    },
};

/// Allocates contexts for timelines of the type `T`, and finds the driver's data of their fences.
///
/// A signalled fence has no operations any more that identify its driver. Its context does, among
/// the fences of this module: the core allocates no number twice. Some drivers make numbers up
/// (`amdxdna`), so a fence must also have the tag that only `AllocatedFence` gives.
#[pin_data]
pub(crate) struct ContextAllocator<T: DriverTimeline> {
    /// The number of contexts that are allocated from the core at a time.
    chunk: NonZeroU32,
    #[pin]
    chunks: Mutex<Chunks>,
    _timelines: PhantomData<fn() -> T>,
}

struct Chunks {
    /// The first context of each chunk.
    first: KVec<u64>,
    /// The number of unused contexts in the last chunk.
    unused: u32,
}

impl<T: DriverTimeline> ContextAllocator<T> {
    /// Creates an allocator that takes `chunk` contexts from the core at a time.
    ///
    /// [`Self::data_of`] searches all chunks, so large chunks make it fast.
    pub(crate) fn new(chunk: NonZeroU32) -> impl PinInit<Self> {
        let chunks = Chunks {
            first: KVec::new(),
            unused: 0,
        };
        pin_init!(Self {
            chunk,
            chunks <- new_mutex!(chunks),
            _timelines: PhantomData,
        })
    }

    /// Allocates a context. Fails with `ENOMEM`.
    pub(crate) fn alloc(&self) -> Result<TypedContext<T>> {
        let mut chunks = self.chunks.lock();
        if chunks.unused == 0 {
            chunks.first.reserve(1, GFP_KERNEL)?;
            // SAFETY: The number of contexts is not 0.
            let first = unsafe { bindings::dma_fence_context_alloc(self.chunk.get()) };
            chunks.first.push(first, GFP_KERNEL)?;
            chunks.unused = self.chunk.get();
        }
        let first = chunks.first.last().ok_or(ENOMEM)?;
        let context = first + u64::from(self.chunk.get() - chunks.unused);
        chunks.unused -= 1;
        Ok(TypedContext::new(context))
    }

    /// Returns the driver's data of a fence, which may have signalled. May sleep.
    ///
    /// Returns `None` if the fence's context is not from this allocator.
    pub(crate) fn data_of<'a>(&self, fence: &'a Fence) -> Option<&'a T::FenceData> {
        let context = fence.context();
        let contains = |first: &u64| context.wrapping_sub(*first) < u64::from(self.chunk.get());
        if !FenceMemory::<T>::has_tag(fence) || !self.chunks.lock().first.iter().any(contains) {
            return None;
        }
        // SAFETY: By the tag, an `AllocatedFence` initialised the fence, so its context was
        // allocated from the core. It is one of this allocator. Only a timeline of `T` can have
        // that as `TypedContext<T>`, so the fence is the `base` of a `FenceMemory<T>`. The
        // reference keeps that allocated for `'a`.
        Some(unsafe { FenceMemory::data(FenceMemory::<T>::from_fence(fence.as_raw())) })
    }
}

#[kernel::macros::kunit_tests(vfence_dma_fence_allocator)]
mod tests {
    use super::{
        super::{
            allocated::AllocatedFence,
            fixture::{
                domain,
                pending,
                KunitTimeline,
                LastDeadline, //
            },
            pending::PendingFence,
            timeline::Timeline, //
        },
        *, //
    };
    use core::ptr::NonNull;
    use kernel::{
        sync::aref::ARef,
        types::Opaque, //
    };

    type Contexts = Pin<KBox<ContextAllocator<KunitTimeline>>>;

    const CHUNK: u32 = 16;

    fn contexts() -> Result<Contexts> {
        let chunk = NonZeroU32::new(CHUNK).ok_or(EINVAL)?;
        KBox::pin_init(ContextAllocator::new(chunk), GFP_KERNEL)
    }

    fn fence_of(contexts: &Contexts) -> Result<PendingFence<KunitTimeline>> {
        let data = Ok(KunitTimeline::new());
        let timeline = Timeline::new::<Error>(domain()?, contexts.alloc()?, data, GFP_KERNEL)?;
        Ok(AllocatedFence::new(timeline, GFP_KERNEL)?.init_at(7))
    }

    /// The operations of another driver.
    static FOREIGN_OPS: bindings::dma_fence_ops = bindings::dma_fence_ops {
        get_driver_name: Some(foreign_name),
        get_timeline_name: Some(foreign_name),
        ..pin_init::zeroed()
    };

    extern "C" fn foreign_name(_fence: *mut bindings::dma_fence) -> *const c_char {
        c"foreign".as_char_ptr()
    }

    #[test]
    fn fence_of_another_driver_has_no_data() -> Result {
        let contexts = contexts()?;
        let own = fence_of(&contexts)?;
        let memory = KBox::new(Opaque::<bindings::dma_fence>::uninit(), GFP_KERNEL)?;
        let raw = Opaque::cast_into(KBox::into_raw(memory));
        let (context, lock) = (own.fence().context(), core::ptr::null_mut());
        // SAFETY: The memory is large enough, and the operations are static.
        unsafe { bindings::dma_fence_init64(raw, &FOREIGN_OPS, lock, context, 1) };
        // SAFETY: The fence is initialised. `ARef` takes over its reference, with which the core
        // frees the memory.
        let foreign = unsafe { ARef::<Fence>::from_raw(NonNull::new_unchecked(raw).cast()) };
        assert!(contexts.data_of(&foreign).is_none());
        // Other drivers count their flags up from the first one.
        for bit in 0..16 {
            let flag = 1 << (bindings::dma_fence_flag_bits_DMA_FENCE_FLAG_USER_BITS + bit);
            // SAFETY: The fence is valid, and only this function uses it.
            unsafe { (*raw).flags |= flag };
        }
        assert!(contexts.data_of(&foreign).is_none());
        // SAFETY: The fence is valid.
        unsafe { bindings::dma_fence_signal(raw) };
        assert!(contexts.data_of(&foreign).is_none());
        assert!(contexts.data_of(own.fence()).is_some());
        Ok(())
    }

    #[test]
    fn data_is_found_for_fences_of_the_contexts() -> Result {
        let contexts = contexts()?;
        let (fence, two) = (fence_of(&contexts)?, fence_of(&contexts)?);
        assert!(fence.fence().context() != two.fence().context());
        let reference: ARef<Fence> = fence.fence().into();
        let deadline_of = |fence: &Fence| contexts.data_of(fence).map(LastDeadline::get);
        assert_eq!(deadline_of(&reference), Some(0));
        reference.set_deadline(500);
        assert_eq!(deadline_of(&reference), Some(500));
        assert_eq!(fence.data().get(), 500);
        fence.complete(Ok(()), 1);
        // The timeline has no references any more, but the fence has.
        assert_eq!(deadline_of(&reference), Some(500));
        assert!(contexts.data_of(pending()?.fence()).is_none());
        assert!(self::contexts()?.data_of(&reference).is_none());
        for _ in 0..2 * CHUNK {
            contexts.alloc()?;
        }
        let fence = fence_of(&contexts)?;
        assert_eq!(deadline_of(fence.fence()), Some(0));
        assert_eq!(deadline_of(&reference), Some(500));
        Ok(())
    }
}
