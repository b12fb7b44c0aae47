// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The registration of DRM devices, and what happens to a device while it is registered.
//!
//! C header: [`include/drm/drm_drv.h`](srctree/include/drm/drm_drv.h)
//!
//! ```text
//!   Registration::new ──▶ Registration ──┬─ drop() ──▶ the nodes are gone; nobody has them open
//!                               │        └─ unplug() ─▶ the nodes are gone; open files remain,
//!                         wedged_event()                whose ioctls fail with ENODEV
//! ```

use super::{
    device::{
        DrmDevice,
        SharedData, //
    },
    driver::Driver, //
};
use crate::{
    drm_bindings as bindings,
    kernel_ext::dma_mapping::raw, //
};
use core::{
    alloc::Layout,
    mem::{
        offset_of,
        ManuallyDrop, //
    },
    ptr::NonNull, //
};
use kernel::{
    alloc::allocator::Kmalloc,
    error::{
        from_err_ptr,
        to_result, //
    },
    prelude::*,
    types::Opaque, //
};

/// The ways to recover a wedged device: C's `DRM_WEDGE_RECOVERY_*`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Recovery(c_ulong);

impl Recovery {
    /// It is not known how.
    pub(crate) const UNKNOWN: Self = Self(0);
    /// No recovery is necessary.
    pub(crate) const NONE: Self = Self(bindings::DRM_WEDGE_RECOVERY_NONE);
    /// Unbind and bind the driver.
    pub(crate) const REBIND: Self = Self(bindings::DRM_WEDGE_RECOVERY_REBIND);
    /// The same, and reset the bus in between.
    pub(crate) const BUS_RESET: Self = Self(bindings::DRM_WEDGE_RECOVERY_BUS_RESET);
    /// The documentation of the driver says how.
    pub(crate) const VENDOR: Self = Self(bindings::DRM_WEDGE_RECOVERY_VENDOR);

    /// Returns the union of two sets of ways.
    pub(crate) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// A registered device. Dropping it unregisters the device and removes its nodes. If they may be
/// open then, the device must be [unplugged](Registration::unplug) instead.
///
/// # Invariants
///
/// The device is registered, and the `Registration` owns a count of it.
pub(crate) struct Registration<T: Driver>(NonNull<DrmDevice<T>>);

// SAFETY: Any thread may unregister a device.
unsafe impl<T: Driver> Send for Registration<T> {}
// SAFETY: All functions that take `&self` may be called concurrently.
unsafe impl<T: Driver> Sync for Registration<T> {}

impl<T: Driver> Registration<T> {
    /// Registers a device below `parent`, whose open files share `data`.
    ///
    /// Fails with `ENOSPC` if there are too many devices, `ENOMEM`.
    pub(crate) fn new(parent: &kernel::device::Device, data: SharedData<T>) -> Result<Self> {
        let layout = Kmalloc::aligned_layout(Layout::new::<DrmDevice<T>>());
        // SAFETY: The driver is static. The parent is valid, and the core takes its own reference.
        let device = from_err_ptr(unsafe {
            bindings::__drm_dev_alloc(
                raw(parent),
                const { &DrmDevice::<T>::DRIVER },
                layout.size(),
                offset_of!(DrmDevice<T>, base),
            )
        })?;
        let device = NonNull::new(device.cast::<DrmDevice<T>>()).ok_or(ENOMEM)?;
        // SAFETY: The memory has the layout of a `DrmDevice<T>`, and nothing else uses it. The data
        // is initialised before `release()`, which drops it, can run.
        unsafe { (&raw mut (*device.as_ptr()).data).write(data) };
        // SAFETY: The core initialised `base`.
        let base = Opaque::cast_into(unsafe { &raw const (*device.as_ptr()).base });
        // SAFETY: The device is initialised.
        if let Err(error) = to_result(unsafe { bindings::drm_dev_register(base, 0) }) {
            // SAFETY: This function owns the reference, and gives it up.
            unsafe { bindings::drm_dev_put(base) };
            return Err(error);
        }
        // INVARIANT: The device is registered.
        Ok(Self(device))
    }

    fn base(&self) -> *mut bindings::drm_device {
        // SAFETY: By the type invariants.
        Opaque::cast_into(unsafe { &raw const (*self.0.as_ptr()).base })
    }

    /// Removes the nodes of the device and clears the mappings of its files. The open files stay
    /// open, but their ioctls fail with `ENODEV`.
    ///
    /// May wait for calls in all DRM drivers that are in a `drm_dev_enter()` section, and for users
    /// of the core's files in debugfs and sysfs.
    pub(crate) fn unplug(self) {
        let this = ManuallyDrop::new(self);
        // SAFETY: By the type invariants. The files that are open refer to the device.
        unsafe {
            bindings::drm_dev_unplug(this.base());
            bindings::drm_dev_put(this.base());
        }
    }

    /// Sends the uevent `WEDGED=` for the device, with the ways to recover it. Fails with `ENOMEM`,
    /// and as user space does if it handles the event.
    pub(crate) fn wedged_event(&self, recovery: Recovery) -> Result {
        // SAFETY: By the type invariants. All devices have the primary node that the event is for.
        to_result(unsafe {
            bindings::drm_dev_wedged_event(self.base(), recovery.0, core::ptr::null_mut())
        })
    }
}

impl<T: Driver> Drop for Registration<T> {
    fn drop(&mut self) {
        let base = self.base();
        // SAFETY: By the type invariants.
        unsafe {
            bindings::drm_dev_unregister(base);
            bindings::drm_dev_put(base);
        }
    }
}
