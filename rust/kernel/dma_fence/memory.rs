// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The memory of a driver's fence, and the operations that the core calls on it.

use super::{
    fence::Fence,
    seqno::Seqno,
    timeline::{
        DriverTimeline,
        Timeline, //
    },
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
    sync::atomic::{
        atomic_load,
        Relaxed, //
    },
    types::Opaque, //
};

/// The bits of `dma_fence.flags` that tell fences of this file from those of other drivers.
///
/// The core leaves the bits from `DMA_FENCE_FLAG_USER_BITS` on to the driver of the fence, and
/// nothing changes them when the fence signals. Other drivers count their flags up from there; none
/// of them reaches the upper half.
const TAG_MASK: c_ulong = c_ulong::MAX << (c_ulong::BITS / 2);

/// The value of the bits of [`TAG_MASK`] in fences of this file.
const TAG: c_ulong = 0x5275_7374 << (c_ulong::BITS / 2);

const _: () = assert!(TAG_MASK >> bindings::dma_fence_flag_bits_DMA_FENCE_FLAG_USER_BITS != 0);

/// The memory of a driver's fence.
#[repr(C)]
pub(super) struct FenceMemory<T: DriverTimeline> {
    base: Opaque<bindings::dma_fence>,
    /// Not null after the fence's initialisation. Valid until a grace period after it has
    /// signalled.
    pub(super) timeline: *const Timeline<T>,
    data: T::FenceData,
}

// SAFETY: Any thread may initialise a fence. The timeline and the data are `Send` and `Sync`.
unsafe impl<T: DriverTimeline> Send for FenceMemory<T> {}

impl<T: DriverTimeline> FenceMemory<T> {
    /// `release` and `wait` are missing: they would tie the fence to the module.
    pub(super) const OPS: bindings::dma_fence_ops = bindings::dma_fence_ops {
        get_driver_name: Some(Self::driver_name),
        get_timeline_name: Some(Self::timeline_name),
        set_deadline: Some(Self::set_deadline),
        enable_signaling: if T::HAS_ENABLE_SIGNALING {
            Some(Self::enable_signaling)
        } else {
            None
        },
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

    /// Marks an initialised fence as one of this file, for [`Self::has_tag`].
    ///
    /// # Safety
    ///
    /// `memory` must be valid. Its `base` must be initialised, and nothing else may access it.
    #[inline]
    pub(super) unsafe fn set_tag(memory: NonNull<Self>) {
        // SAFETY: By the safety requirements of this function.
        unsafe { (*Opaque::cast_into(&raw const (*memory.as_ptr()).base)).flags |= TAG };
        // `from_fence()` needs a pointer to all of the memory.
        memory.as_ptr().expose_provenance();
    }

    /// Returns whether a fence, which may be any driver's and may have signalled, has the tag of
    /// [`Self::set_tag`].
    #[inline]
    pub(super) fn has_tag(fence: &Fence) -> bool {
        // SAFETY: The fence is valid. The core and its driver change flags by atomic operations.
        let flags = unsafe { atomic_load(&raw mut (*fence.as_raw()).flags, Relaxed) };
        flags & TAG_MASK == TAG
    }

    /// Returns the memory of a fence, which must be the `base` of a `FenceMemory<T>` for the result
    /// to be valid. A reference to the fence, and a pointer that is derived from one, is not valid
    /// for all of it.
    pub(super) fn from_fence(fence: *mut bindings::dma_fence) -> *mut Self {
        core::ptr::with_exposed_provenance_mut(fence.addr())
    }

    /// # Safety
    ///
    /// `fence` must be the `base` of an initialised `FenceMemory<T>`. The caller must have read the
    /// fence's operations, and found them attached, in the RCU read-side section that `'a` is.
    unsafe fn timeline<'a>(fence: *mut bindings::dma_fence) -> &'a Timeline<T> {
        // SAFETY: The core detaches the operations before `signal()` of the fence's `PendingFence`
        // gives up its count of the timeline, whose memory is freed a grace period after that. The
        // section began before. The field is constant.
        unsafe { &*(*Self::from_fence(fence)).timeline }
    }

    /// Returns the driver's data of a fence.
    ///
    /// # Safety
    ///
    /// `memory` must be valid and initialised, and stay so for `'a`.
    pub(super) unsafe fn data<'a>(memory: *mut Self) -> &'a T::FenceData {
        // SAFETY: By the safety requirements of this function. `AllocatedFence::new()` initialises
        // the data, and only shared references to it exist after that.
        unsafe { &(*memory).data }
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
        // SAFETY: By the safety requirements of this function.
        let (timeline, data, seqno) = unsafe { Self::parts(fence) };
        timeline.set_deadline(data, seqno, deadline);
    }

    /// # Safety
    ///
    /// `fence` must have these operations, which the caller must have read in the current RCU
    /// read-side section. The caller must hold the fence's lock.
    unsafe extern "C" fn enable_signaling(fence: *mut bindings::dma_fence) -> bool {
        // SAFETY: By the safety requirements of this function.
        let (timeline, data, seqno) = unsafe { Self::parts(fence) };
        timeline.enable_signaling(data, seqno);
        // `false` lets the core signal the fence, which does nothing if the fence has signalled. On
        // uniprocessor kernels the operation can complete it, although that breaks the rules: no
        // callback must be added to it then.
        //
        // SAFETY: The caller has a reference to the fence. `Fence` is a transparent wrapper.
        !unsafe { &*fence.cast::<Fence>() }.signaled_flag()
    }

    /// # Safety
    ///
    /// `fence` must be the `base` of an initialised `FenceMemory<T>`. The caller must have read the
    /// fence's operations, and found them attached, in the RCU read-side section that `'a` is.
    unsafe fn parts<'a>(
        fence: *mut bindings::dma_fence,
    ) -> (&'a Timeline<T>, &'a T::FenceData, T::Seqno) {
        // SAFETY: By the safety requirements of this function. The fence is allocated as long as
        // its operations may be called. The seqno is constant.
        let (timeline, data, seqno) = unsafe {
            (
                Self::timeline(fence),
                Self::data(Self::from_fence(fence)),
                (*fence).seqno,
            )
        };
        (timeline, data, T::Seqno::from_raw(seqno))
    }
}
