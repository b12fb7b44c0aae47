// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The lists of outputs and planes of a device that has none.
//!
//! C header: [`include/uapi/drm/drm_mode.h`](srctree/include/uapi/drm/drm_mode.h)
//!
//! The core has no lists of outputs and planes without KMS, and fails with `EOPNOTSUPP`. `drm_info`
//! then shows nothing of the device. To X.Org's modesetting driver and to KWin 5, however, a device
//! with a list is one to display on, even if the list is empty. Display servers open a device for
//! writing. So only files that are open for reading get empty lists.

use crate::drm_bindings as bindings;
use kernel::{
    fs::file::flags::{
        O_ACCMODE,
        O_RDONLY, //
    },
    ioctl::{
        _IOC_NR,
        _IOC_SIZE,
        _IOC_TYPE, //
    },
    prelude::*,
    uaccess::{
        UserPtr,
        UserSlice, //
    },
};

/// The numbers of the ioctls. The core ignores the sizes that user space gives.
const GET_RESOURCES: u32 = 0xa0;
const GET_PLANE_RESOURCES: u32 = 0xb5;

/// A list without entries: its counts are 0.
const EMPTY: [u8; size_of::<bindings::drm_mode_card_res>()] =
    [0; size_of::<bindings::drm_mode_card_res>()];

/// Returns whether `number` asks for a list.
pub(super) fn is_query(number: u32) -> bool {
    _IOC_TYPE(number) == u32::from(bindings::DRM_IOCTL_BASE)
        && matches!(_IOC_NR(number), GET_RESOURCES | GET_PLANE_RESOURCES)
}

/// Writes an empty list to the argument of a query. Fails with `EOPNOTSUPP` if `flags`, those of
/// the file, allow writing, and with `EFAULT`.
pub(super) fn answer(flags: u32, number: u32, address: usize) -> Result {
    if flags & O_ACCMODE != O_RDONLY {
        return Err(EOPNOTSUPP);
    }
    let list = &EMPTY[.._IOC_SIZE(number).min(EMPTY.len())];
    let user = UserSlice::new(UserPtr::from_addr(address), list.len());
    user.writer().write_slice(list)
}
