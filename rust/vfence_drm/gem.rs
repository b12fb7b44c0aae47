// SPDX-License-Identifier: GPL-2.0

//! The ioctls for GEM objects, each of which represents a dma-buf of this driver or of another one.

use crate::{
    drm::{
        Driver,
        DumbBuffer,
        File,
        NewHandle,
        Object,
        ObjectRef, //
    },
    drm_uapi::{
        drm_vfence_gem_create,
        drm_vfence_gem_info, //
    },
    vfence::{
        buffer::create,
        client::Client,
        refusal::{
            must_be_zero,
            refuse, //
        },
        uarg::UserArg, //
    },
};
use kernel::prelude::*;

/// `DRM_IOCTL_VFENCE_GEM_CREATE`: creates a buffer and a handle for it.
///
/// Fails with `EINVAL` if `flags` is not 0, as [`create::create`] does, with `EFAULT` and `ENOMEM`.
/// The handle is kept only if the reply can be written.
pub(super) fn create<D: Driver<File = Client>>(file: &File<D>, argument: &UserArg) -> Result {
    let mut args: drm_vfence_gem_create = argument.read()?;
    must_be_zero!("gem_create: flags", args.flags)?;
    let buf = file.inner().device().create_buffer(args.size)?;
    args.size = buf.size() as u64;
    let handle = NewHandle::new(file, buf)?;
    args.handle = handle.number();
    args.mmap_offset = mmap_offset(handle.object())?;
    argument.write(&args)?;
    handle.keep();
    Ok(())
}

/// `DRM_IOCTL_MODE_CREATE_DUMB`: creates a buffer for pixels and a handle for it.
///
/// Fails as [`create::create`] does, with `EINVAL` and `ENOMEM`.
pub(super) fn create_dumb<'a, D: Driver<File = Client>>(
    file: &'a File<D>,
    buffer: &mut DumbBuffer<'_>,
) -> Result<NewHandle<'a, D>> {
    let size = buffer.set_size(0).map_err(|_| {
        refuse!(
            EINVAL,
            "create_dumb: 32 bits cannot hold the size of the buffer"
        )
    })?;
    NewHandle::new(file, file.inner().device().create_buffer(size)?)
}

/// `DRM_IOCTL_MODE_MAP_DUMB`: returns the mmap offset of the object with a handle.
///
/// Fails with `ENOENT` for an unknown handle, `EINVAL` for a buffer of another exporter, as in the
/// core, with `ENOSPC` and `ENOMEM`.
pub(super) fn map_dumb<D: Driver>(file: &File<D>, handle: u32) -> Result<u64> {
    let object = look_up(file, handle)?;
    if !create::is_vfence_buffer(object.buf()) {
        return Err(refuse!(
            EINVAL,
            "map_dumb: the buffer of handle {} is not from vfence",
            handle
        ));
    }
    mmap_offset(&object)
}

/// `DRM_IOCTL_VFENCE_GEM_INFO`: returns the size and the mmap offset of the object with a handle.
///
/// Fails with `EINVAL` if `flags` is not 0, `ENOENT` for an unknown handle, `EFAULT`, `ENOMEM`.
pub(super) fn info<D: Driver<File = Client>>(file: &File<D>, argument: &UserArg) -> Result {
    let mut args: drm_vfence_gem_info = argument.read()?;
    must_be_zero!("gem_info: flags", args.flags)?;
    let object = look_up(file, args.handle)?;
    args.size = object.buf().size() as u64;
    args.mmap_offset = mmap_offset(&object)?;
    argument.write(&args)
}

/// Returns the object with the handle `handle`. Fails with `ENOENT`.
fn look_up<D: Driver>(file: &File<D>, handle: u32) -> Result<ObjectRef<'_>> {
    Object::lookup(file, handle)
        .map_err(|_| refuse!(ENOENT, "{} is not the handle of a GEM object", handle))
}

/// Returns the offset of `object` for `mmap()`. Fails with `ENOSPC`, `ENOMEM`.
fn mmap_offset(object: &Object) -> Result<u64> {
    object.mmap_offset().map_err(|error| {
        if error == ENOSPC {
            refuse!(ENOSPC, "no offset for mmap() is left")
        } else {
            error
        }
    })
}
