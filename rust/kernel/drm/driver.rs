// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The driver of a DRM device: its name, features and ioctls.
//!
//! C header: [`include/drm/drm_drv.h`](srctree/include/drm/drm_drv.h)
//!
//! The `kernel` crate's driver and file belong to its own `drm::Device`; see `device.rs`.

use super::{
    dumb_buffer::DumbBuffer,
    file::File,
    gem::{
        NewHandle,
        Object, //
    }, //
};
use crate::{
    drm_bindings as bindings,
    kernel_ext::file_operations::FileOperations, //
};
use kernel::{
    error::VTABLE_DEFAULT_ERROR,
    prelude::*,
    str::CStr,
    ModuleMetadata, //
};

/// Features of a device in addition to buffer objects: C's `enum drm_driver_feature`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Feature(pub(super) u32);

impl Feature {
    /// A render node.
    pub(crate) const RENDER: Self = Self(bindings::drm_driver_feature_DRIVER_RENDER);
    /// Syncobjs.
    pub(crate) const SYNCOBJ: Self = Self(bindings::drm_driver_feature_DRIVER_SYNCOBJ);
    /// Timeline syncobjs.
    pub(crate) const SYNCOBJ_TIMELINE: Self =
        Self(bindings::drm_driver_feature_DRIVER_SYNCOBJ_TIMELINE);

    /// Returns the union of two sets of features.
    pub(crate) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// A driver of DRM devices, whose buffer objects are [`Object`](super::Object)s.
#[vtable]
pub(crate) trait Driver: Sized + 'static {
    /// The module with the driver's code, which open files keep loaded.
    type OwnerModule: ModuleMetadata;

    /// The driver's data of an open file.
    type File: FileOperations;

    /// The name of the driver in `DRM_IOCTL_VERSION`.
    const NAME: &'static CStr;
    /// The description of the driver in `DRM_IOCTL_VERSION`.
    const DESCRIPTION: &'static CStr;
    /// The version of the driver in `DRM_IOCTL_VERSION`: major, minor, and patch level.
    const VERSION: (i32, i32, i32);

    /// The features of the devices.
    const FEATURES: Feature;

    /// The depth of color, in bits, that programs should choose for dumb buffers; 0 for no
    /// preference.
    const DUMB_PREFERRED_DEPTH: u32 = 0;
    /// Whether programs should draw to their own memory and copy that to a dumb buffer.
    const DUMB_PREFER_SHADOW: bool = false;

    /// Called before each ioctl, those of the core included, and before `mmap()`. The call fails as
    /// this function does.
    fn may_use(file: &File<Self>) -> Result;

    /// Called for the driver's ioctls, those from `DRM_COMMAND_BASE` on. `number` is the whole
    /// ioctl number. `argument` is the caller's value: the core copies nothing. Needs no
    /// authentication. Structures of 32-bit programs must have the same layout, with 64-bit
    /// pointers.
    fn ioctl(file: &File<Self>, number: u32, argument: usize) -> Result<isize>;

    /// Creates a dumb buffer, whose size [`DumbBuffer::set_size`] computes, and a handle of it. A
    /// driver without this function has no dumb buffers.
    fn dumb_create<'a>(
        _file: &'a File<Self>,
        _buffer: &mut DumbBuffer<'_>,
    ) -> Result<NewHandle<'a, Self>> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Returns the offset for `mmap()` of the object with a handle. The core refuses imported
    /// objects with `EINVAL`, which this trait leaves to the driver.
    fn dumb_map_offset(file: &File<Self>, handle: u32) -> Result<u64> {
        Object::lookup(file, handle)?.mmap_offset()
    }
}
