// SPDX-License-Identifier: GPL-2.0

//! The driver: what an open file of `/dev/vfence` answers.

#![deny(unsafe_code)]

use kernel::{
    fs::File,
    ioctl::{
        _IOC_DIR,
        _IOC_NR,
        _IOC_SIZE,
        _IOC_TYPE, //
    },
    miscdevice::{
        MiscDevice,
        MiscDeviceRegistration, //
    },
    prelude::*,
    uaccess::{
        UserPtr,
        UserSlice, //
    },
};

mod query;

/// The type byte of the ioctls, `VFENCE_IOCTL_TYPE`.
const TYPE: u32 = 0xf7;
/// The direction bits of `_IOWR`.
const READ_WRITE: u32 = 3;
/// The number of `VFENCE_IOCTL_QUERY`.
const QUERY: u32 = 0;

/// An open file of the device.
pub(crate) struct Client;

#[vtable]
impl MiscDevice for Client {
    type Ptr = KBox<Self>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<KBox<Self>> {
        Ok(KBox::new(Self, GFP_KERNEL_ACCOUNT)?)
    }

    fn ioctl(_client: &Self, _file: &File, cmd: u32, arg: usize) -> Result<isize> {
        if _IOC_TYPE(cmd) != TYPE || _IOC_DIR(cmd) != READ_WRITE || _IOC_NR(cmd) != QUERY {
            return Err(ENOTTY);
        }
        let user = UserSlice::new(UserPtr::from_addr(arg), _IOC_SIZE(cmd));
        query::query(user, *crate::module_parameters::watchdog_ms.value_ref())?;
        Ok(0)
    }
}
