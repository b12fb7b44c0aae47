// SPDX-License-Identifier: GPL-2.0

//! The DRM driver: the engine of `/dev/vfence` on a render node, with the objects of DRM.
//!
//! `gem` are buffers by handle, `syncobj` what jobs wait for and signal by handle. All else is the engine's.

#![deny(unsafe_code)]

use crate::{
    drm::{
        Driver,
        Feature,
        File, //
    },
    drm_uapi::{
        drm_vfence_gem_create,
        drm_vfence_gem_info,
        DRM_VFENCE_GEM_CREATE,
        DRM_VFENCE_GEM_INFO, //
    },
    uapi::VFENCE_IOCTL_TYPE,
    vfence::{
        client::Client,
        ioctl::sizeless,
        uarg::UserArg, //
    },
};
use kernel::{
    bindings,
    ioctl::_IOWR,
    prelude::*,
    str::CStr, //
};
use syncobj::DrmHandles;

mod gem;
mod syncobj;

const GEM_CREATE: u32 = sizeless(_IOWR::<drm_vfence_gem_create>(
    DRM,
    FIRST + DRM_VFENCE_GEM_CREATE,
));
const GEM_INFO: u32 = sizeless(_IOWR::<drm_vfence_gem_info>(
    DRM,
    FIRST + DRM_VFENCE_GEM_INFO,
));

/// The type of DRM's ioctls, and the first of a driver's own.
const DRM: u32 = bindings::DRM_IOCTL_BASE as u32;
const FIRST: u32 = bindings::DRM_COMMAND_BASE;

/// The driver of the DRM device.
pub(crate) struct DrmDriver;

#[vtable]
impl Driver for DrmDriver {
    type File = Client;

    const NAME: &'static CStr = c"vfence";
    const DESCRIPTION: &'static CStr = c"Virtual device that produces fences";
    const VERSION: (i32, i32, i32) = (1, 0, 0);

    const FEATURES: Feature = Feature::RENDER
        .and(Feature::SYNCOBJ)
        .and(Feature::SYNCOBJ_TIMELINE);

    fn ioctl(file: &File<Self>, number: u32, argument: usize) -> Result<isize> {
        match sizeless(number) {
            GEM_CREATE => gem::create(file, &UserArg::new(number, argument))?,
            GEM_INFO => gem::info(file, &UserArg::new(number, argument))?,
            _ => {
                // The same size and direction, and the number of the engine's header.
                let function = (number & 0xff) - FIRST;
                let number = number & !0xffff | VFENCE_IOCTL_TYPE << 8 | function;
                let done = file.inner().ioctl(&DrmHandles::new(file), number, argument);
                // libdrm calls again and again while it is told EAGAIN.
                done.map_err(|error| if error == EAGAIN { EBUSY } else { error })?;
            }
        }
        Ok(0)
    }
}
