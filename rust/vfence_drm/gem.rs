// SPDX-License-Identifier: GPL-2.0

//! GEM objects: buffers of the engine, and those of other drivers, by handle.

use super::DrmDriver;
use crate::{
    drm::{
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
        uarg::{
            must_be_zero,
            UserArg, //
        },
    },
};
use kernel::prelude::*;

/// `DRM_IOCTL_VFENCE_GEM_CREATE`.
pub(super) fn create(file: &File<DrmDriver>, argument: &UserArg) -> Result {
    let mut create: drm_vfence_gem_create = argument.read()?;
    must_be_zero(create.flags)?;
    let buf = create::new(file.inner().device(), create.size)?;
    create.size = buf.size() as u64;
    let handle = NewHandle::new(file, buf)?;
    create.handle = handle.number();
    create.mmap_offset = handle.object().mmap_offset()?;
    argument.write(&create)?;
    handle.keep();
    Ok(())
}

/// `DRM_IOCTL_VFENCE_GEM_INFO`.
pub(super) fn info(file: &File<DrmDriver>, argument: &UserArg) -> Result {
    let mut info: drm_vfence_gem_info = argument.read()?;
    must_be_zero(info.flags)?;
    let object = Object::lookup(file, info.handle)?;
    info.size = object.buf().size() as u64;
    info.mmap_offset = object.mmap_offset()?;
    argument.write(&info)
}
