// SPDX-License-Identifier: GPL-2.0

//! `VFENCE_IOCTL_BUFFER_CREATE`.

use crate::{
    kernel_ext::dma_buf::DmaBuf,
    uapi::vfence_buffer_create,
    vfence::{
        client::Client,
        descriptor,
        refusal::must_be_zero,
        uarg::UserArg, //
    },
};
use kernel::prelude::*;

/// Creates the buffer that the argument describes.
#[inline(never)]
pub(crate) fn create(client: &Client, argument: UserArg) -> Result {
    let mut args: vfence_buffer_create = argument.read()?;
    must_be_zero!("buffer_create: flags", args.flags)?;
    let buf = client.device().create_buffer(args.size)?;
    let fd = descriptor::reserve()?;
    args.size = buf.size() as u64;
    // CAST: Descriptors fit.
    args.fd = fd.reserved_fd() as i32;
    argument.write(&args)?;
    DmaBuf::install(buf, fd);
    Ok(())
}
