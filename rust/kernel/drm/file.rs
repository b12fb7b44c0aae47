// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The open files of DRM devices.
//!
//! C header: [`include/drm/drm_file.h`](srctree/include/drm/drm_file.h)
//!
//! The `kernel` crate's driver and file belong to its own `drm::Device`; see `device.rs`.

use crate::drm_bindings as bindings;
use core::marker::PhantomData;
use kernel::types::Opaque;

/// An open file of a device: C's `struct drm_file`.
///
/// # Invariants
///
/// Instances are open files of a `DrmDevice<T>`.
#[repr(transparent)]
pub(crate) struct File<T>(Opaque<bindings::drm_file>, PhantomData<fn() -> T>);

impl<T> File<T> {
    /// Wraps C's pointer to an open file.
    ///
    /// # Safety
    ///
    /// `file` must be an open file of a `DrmDevice<T>`, which must not be closed during `'a`.
    pub(super) unsafe fn from_raw<'a>(file: *mut bindings::drm_file) -> &'a Self {
        // SAFETY: By the safety requirements of this function. `Self` is a transparent wrapper.
        unsafe { &*file.cast() }
    }

    /// Returns the C structure.
    pub(super) fn as_raw(&self) -> *mut bindings::drm_file {
        self.0.get()
    }

    /// Returns the C structure of the device.
    pub(super) fn device(&self) -> *mut bindings::drm_device {
        // SAFETY: By the type invariants. Both fields are constant.
        unsafe { (*(*self.as_raw()).minor).dev }
    }
}
