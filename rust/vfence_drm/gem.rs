// SPDX-License-Identifier: GPL-2.0

//! GEM objects: buffers of the engine, and those of other drivers, by handle.

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
        buffer::create,
        client::Client,
        uarg::{
            must_be_zero,
            UserArg, //
        },
    },
};
use kernel::prelude::*;

/// `DRM_IOCTL_VFENCE_GEM_CREATE`.
pub(super) fn create<D: Driver<File = Client>>(file: &File<D>, argument: &UserArg) -> Result {
    let mut args: drm_vfence_gem_create = argument.read()?;
    must_be_zero(args.flags)?;
    let buf = create::create(&file.inner().device().dma, args.size)?;
    args.size = buf.size() as u64;
    let handle = NewHandle::new(file, buf)?;
    args.handle = handle.number();
    args.mmap_offset = handle.object().mmap_offset()?;
    argument.write(&args)?;
    handle.keep();
    Ok(())
}

/// `DRM_IOCTL_VFENCE_GEM_INFO`.
pub(super) fn info<D: Driver<File = Client>>(file: &File<D>, argument: &UserArg) -> Result {
    let mut info: drm_vfence_gem_info = argument.read()?;
    must_be_zero(info.flags)?;
    let object = Object::lookup(file, info.handle)?;
    info.size = object.buf().size() as u64;
    info.mmap_offset = object.mmap_offset()?;
    argument.write(&info)
}
