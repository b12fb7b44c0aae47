// SPDX-License-Identifier: GPL-2.0

//! `VFENCE_IOCTL_BUFFER_CREATE`.

use crate::{
    kernel_ext::dma_buf::DmaBuf,
    uapi::vfence_buffer_create,
    vfence::{
        buffer::create::new,
        device::Device,
        uarg::{
            must_be_zero,
            UserArg, //
        },
    },
};
use kernel::{
    fs::file::{
        flags::O_CLOEXEC,
        FileDescriptorReservation, //
    },
    prelude::*, //
};

/// Creates the buffer that the argument describes.
pub(crate) fn create(engine: &Device, argument: &UserArg) -> Result {
    let mut create: vfence_buffer_create = argument.read()?;
    must_be_zero(create.flags)?;
    let buf = new(engine, create.size)?;
    let fd = FileDescriptorReservation::get_unused_fd_flags(O_CLOEXEC)?;
    create.size = buf.size() as u64;
    // CAST: Descriptors fit.
    create.fd = fd.reserved_fd() as i32;
    argument.write(&create)?;
    DmaBuf::install(buf, fd);
    Ok(())
}
