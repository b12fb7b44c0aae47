// SPDX-License-Identifier: GPL-2.0

//! The DRM driver: the ioctls of `/dev/vfence` on a primary and a render node, with DRM objects.
//!
//! `gem` has the ioctls for GEM objects, `syncobj` the syncobjs that jobs wait for and signal,
//! `signal` the ioctl that signals them without a job, and `control` registers, unplugs and wedges
//! the device. The other ioctls are those of
//! [`vfence::ioctl`](crate::vfence::ioctl).

#![deny(unsafe_code)]

use crate::{
    drm::{
        Driver,
        DumbBuffer,
        Feature,
        File,
        NewHandle, //
    },
    drm_uapi::{
        drm_vfence_gem_create,
        drm_vfence_gem_info,
        drm_vfence_syncobj_signal,
        DRM_VFENCE_GEM_CREATE,
        DRM_VFENCE_GEM_INFO,
        DRM_VFENCE_SYNCOBJ_SIGNAL, //
    },
    uapi::VFENCE_IOCTL_TYPE,
    vfence::{
        client::Client,
        ioctl::{
            self,
            without_size, //
        },
        uarg::UserArg, //
    },
    LocalModule, //
};
use kernel::{
    bindings,
    ioctl::{
        _IOW,
        _IOWR, //
    },
    prelude::*,
    str::CStr, //
};
use syncobj::DrmHandles;

pub(crate) mod control;
mod gem;
mod signal;
mod syncobj;
pub(crate) mod virtual_device;

const GEM_CREATE: u32 = without_size(_IOWR::<drm_vfence_gem_create>(
    DRM_TYPE,
    FIRST + DRM_VFENCE_GEM_CREATE,
));
const GEM_INFO: u32 = without_size(_IOWR::<drm_vfence_gem_info>(
    DRM_TYPE,
    FIRST + DRM_VFENCE_GEM_INFO,
));
const SYNCOBJ_SIGNAL: u32 = without_size(_IOW::<drm_vfence_syncobj_signal>(
    DRM_TYPE,
    FIRST + DRM_VFENCE_SYNCOBJ_SIGNAL,
));

/// The type of DRM ioctls.
const DRM_TYPE: u32 = bindings::DRM_IOCTL_BASE as u32;
/// The number of the first ioctl of a driver.
const FIRST: u32 = bindings::DRM_COMMAND_BASE;

/// The driver of the DRM device. An open file is a [`Client`].
pub(crate) struct DrmDriver;

#[vtable]
impl Driver for DrmDriver {
    type OwnerModule = LocalModule;
    type File = Client;

    const NAME: &'static CStr = c"vfence";
    const DESCRIPTION: &'static CStr = c"Virtual device that produces fences";
    const VERSION: (i32, i32, i32) = (1, 0, 0);

    const FEATURES: Feature = Feature::RENDER
        .and(Feature::SYNCOBJ)
        .and(Feature::SYNCOBJ_TIMELINE);

    const DUMB_PREFERRED_DEPTH: u32 = 24;

    fn may_use(file: &File<Self>) -> Result {
        file.inner().events.presence().check()
    }

    fn ioctl(file: &File<Self>, number: u32, argument: usize) -> Result<isize> {
        match without_size(number) {
            GEM_CREATE => gem::create(file, &UserArg::new(number, argument))?,
            GEM_INFO => gem::info(file, &UserArg::new(number, argument))?,
            SYNCOBJ_SIGNAL => signal::signal(file, &UserArg::new(number, argument))?,
            _ => {
                // The reverse of DRM_VFENCE_IOCTL(): size and direction stay, type and number
                // change.
                let function = (number & 0xff) - FIRST;
                let cmd = number & !0xffff | VFENCE_IOCTL_TYPE << 8 | function;
                let handles = DrmHandles::new(file);
                let result = ioctl::dispatch(&file.inner(), &handles, cmd, number, argument);
                // drmIoctl() of libdrm repeats a call that fails with EAGAIN.
                result.map_err(|error| if error == EAGAIN { EBUSY } else { error })?;
            }
        }
        Ok(0)
    }

    fn dumb_create<'a>(
        file: &'a File<Self>,
        buffer: &mut DumbBuffer<'_>,
    ) -> Result<NewHandle<'a, Self>> {
        gem::create_dumb(file, buffer)
    }

    fn dumb_map_offset(file: &File<Self>, handle: u32) -> Result<u64> {
        gem::map_dumb(file, handle)
    }
}
