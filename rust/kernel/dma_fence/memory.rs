// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The memory of a driver's fence, and the operations that the core calls on it.

use super::timeline::{
    DriverTimeline,
    Timeline, //
};
use crate::bindings;
use core::{
    mem::{
        needs_drop,
        offset_of,
        MaybeUninit, //
    },
    ptr::NonNull, //
};
use kernel::{
    alloc::Flags,
    prelude::*,
    types::Opaque, //
};

/// The memory of a driver's fence.
#[repr(C)]
pub(super) struct FenceMemory<T: DriverTimeline> {
    base: Opaque<bindings::dma_fence>,
    /// Not null after the fence's initialisation. Valid until a grace period after it has
    /// signalled.
    pub(super) timeline: *const Timeline<T>,
    data: T::FenceData,
}

impl<T: DriverTimeline> FenceMemory<T> {
    /// `release` and `wait` are missing: they would tie the fence to the module.
    pub(super) const OPS: bindings::dma_fence_ops = bindings::dma_fence_ops {
        get_driver_name: Some(Self::driver_name),
        get_timeline_name: Some(Self::timeline_name),
        set_deadline: Some(Self::set_deadline),
        ..pin_init::zeroed()
    };

    // The core frees the memory through the address of `base`, and drops nothing in it.
    const CHECKED: () = {
        assert!(offset_of!(Self, base) == 0);
        assert!(!needs_drop::<T::FenceData>());
    };

    /// Allocates the memory of a fence of `timeline`, with the default data. Fails with `ENOMEM`.
    #[inline]
    pub(super) fn new(timeline: &Timeline<T>, flags: Flags) -> Result<KBox<Self>> {
        const { Self::CHECKED };
        let memory = Self {
            base: Opaque::uninit(),
            timeline,
            data: T::FenceData::default(),
        };
        Ok(Self::alloc(flags)?.write(memory))
    }

    /// Allocates the memory. `dma_fence_kmalloc()` has a constant size and constant flags, with
    /// which the compiler selects the slab cache.
    #[inline]
    fn alloc(flags: Flags) -> Result<KBox<MaybeUninit<Self>>> {
        let fits = const {
            size_of::<Self>() <= bindings::DMA_FENCE_MEMORY
                && align_of::<Self>() <= bindings::ARCH_KMALLOC_MINALIGN
        };
        if !fits || flags != GFP_KERNEL_ACCOUNT {
            return Ok(KBox::new_uninit(flags)?);
        }
        // SAFETY: The function may be called wherever `GFP_KERNEL_ACCOUNT` may be used.
        let memory = NonNull::new(unsafe { bindings::dma_fence_kmalloc() }).ok_or(ENOMEM)?;
        // SAFETY: `kmalloc()` allocated the memory, which is large enough, aligned, and ours.
        Ok(unsafe { KBox::from_raw(memory.as_ptr().cast()) })
    }

    /// Returns the timeline that the fence has a count of.
    ///
    /// # Safety
    ///
    /// `fence` must be the `base` of an initialised `FenceMemory<T>`.
    pub(super) unsafe fn timeline_ptr(fence: *mut bindings::dma_fence) -> *const Timeline<T> {
        // SAFETY: By the safety requirements of this function. The field is constant.
        unsafe { (*fence.cast::<Self>()).timeline }
    }

    /// # Safety
    ///
    /// `fence` must be the `base` of an initialised `FenceMemory<T>`. The caller must have read the
    /// fence's operations, and found them attached, in the RCU read-side section that `'a` is.
    unsafe fn timeline<'a>(fence: *mut bindings::dma_fence) -> &'a Timeline<T> {
        // SAFETY: The operations were attached, so the fence had not signalled when the section
        // began. Until it signals, a `PendingFence` owns a count of the timeline, whose memory is
        // freed only after the section's end.
        unsafe { &*Self::timeline_ptr(fence) }
    }

    /// Returns the driver's data of a fence.
    ///
    /// # Safety
    ///
    /// `fence` must be the `base` of an initialised `FenceMemory<T>`, which must stay allocated for
    /// `'a`.
    pub(super) unsafe fn data<'a>(fence: *mut bindings::dma_fence) -> &'a T::FenceData {
        // SAFETY: By the safety requirements of this function. `AllocatedFence::new()` initialises
        // the data, and only shared references to it exist after that.
        unsafe { &(*fence.cast::<Self>()).data }
    }

    /// # Safety
    ///
    /// `fence` must have these operations, which the caller must have read in the current RCU
    /// read-side section.
    unsafe extern "C" fn driver_name(fence: *mut bindings::dma_fence) -> *const c_char {
        // SAFETY: By the safety requirements of this function. The caller uses the name only in
        // that section.
        unsafe { Self::timeline(fence) }.driver_name().as_char_ptr()
    }

    /// # Safety
    ///
    /// `fence` must have these operations, which the caller must have read in the current RCU
    /// read-side section.
    unsafe extern "C" fn timeline_name(fence: *mut bindings::dma_fence) -> *const c_char {
        // SAFETY: By the safety requirements of this function. The caller uses the name only in
        // that section.
        unsafe { Self::timeline(fence) }
            .timeline_name()
            .as_char_ptr()
    }

    /// # Safety
    ///
    /// `fence` must have these operations, which the caller must have read in the current RCU
    /// read-side section.
    unsafe extern "C" fn set_deadline(
        fence: *mut bindings::dma_fence,
        deadline: bindings::ktime_t,
    ) {
        // SAFETY: By the safety requirements of this function. The seqno is constant.
        let (timeline, seqno) = unsafe { (Self::timeline(fence), (*fence).seqno) };
        // SAFETY: By the safety requirements of this function.
        let data = unsafe { Self::data(fence) };
        timeline.set_deadline(data, seqno, deadline);
    }
}
