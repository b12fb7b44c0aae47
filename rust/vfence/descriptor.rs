// SPDX-License-Identifier: GPL-2.0

//! The file descriptors that calls return.

use crate::vfence::refusal::refuse;
use kernel::{
    fs::file::{
        flags::O_CLOEXEC,
        FileDescriptorReservation, //
    },
    prelude::*,
};

/// Reserves a descriptor with close-on-exec set. Fails with `EMFILE`, `ENOMEM`.
#[inline]
pub(crate) fn reserve() -> Result<FileDescriptorReservation> {
    let reserved = FileDescriptorReservation::get_unused_fd_flags(O_CLOEXEC);
    reserved.map_err(|error| {
        if error == EMFILE {
            refuse!(EMFILE, "no free file descriptor in the process")
        } else {
            error
        }
    })
}
