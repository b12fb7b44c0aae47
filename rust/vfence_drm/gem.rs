// SPDX-License-Identifier: GPL-2.0

//! The ioctls for GEM objects, each of which represents a dma-buf of this driver or of another one.

use crate::{
    drm::{
        Driver,
        File,
        NewHandle,
        Object, //
    },
    drm_uapi::{
        drm_vfence_gem_create,
        drm_vfence_gem_info, //
    },
    vfence::{
        client::Client,
        uarg::{
            must_be_zero,
            UserArg, //
        },
    },
};
use kernel::prelude::*;

/// `DRM_IOCTL_VFENCE_GEM_CREATE`: creates a buffer and a handle for it.
///
/// Fails with `EINVAL` if `flags` is not 0, as [`Device::create_buffer`](crate::vfence::device::Device::create_buffer)
/// does, with `EFAULT` and `ENOMEM`.
/// The handle is kept only if the reply can be written.
pub(super) fn create<D: Driver<File = Client>>(file: &File<D>, argument: &UserArg) -> Result {
    let mut args: drm_vfence_gem_create = argument.read()?;
    must_be_zero(args.flags)?;
    let buf = file.inner().device().create_buffer(args.size)?;
    args.size = buf.size() as u64;
    let handle = NewHandle::new(file, buf)?;
    args.handle = handle.number();
    args.mmap_offset = handle.object().mmap_offset()?;
    argument.write(&args)?;
    handle.keep();
    Ok(())
}

/// `DRM_IOCTL_VFENCE_GEM_INFO`: returns the size and the mmap offset of the object with a handle.
///
/// Fails with `EINVAL` if `flags` is not 0, `ENOENT` for an unknown handle, `EFAULT`, `ENOMEM`.
pub(super) fn info<D: Driver<File = Client>>(file: &File<D>, argument: &UserArg) -> Result {
    let mut args: drm_vfence_gem_info = argument.read()?;
    must_be_zero(args.flags)?;
    let object = Object::lookup(file, args.handle)?;
    args.size = object.buf().size() as u64;
    args.mmap_offset = object.mmap_offset()?;
    argument.write(&args)
}
