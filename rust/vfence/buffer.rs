// SPDX-License-Identifier: GPL-2.0

//! `VFENCE_IOCTL_BUFFER_CREATE`: memory that is shared as a dma-buf.
//!
//! A buffer belongs to nobody but those who refer to it: it outlives the client. As long as it is there, so is the module.

use super::{
    argument::{
        must_be_zero,
        Argument, //
    },
    limits::Limits,
};
use crate::{
    kernel_ext::{
        dma_buf::{
            DmaBuf,
            Exporter, //
        },
        dma_mapping::DmaDevice,
        vmalloc::Pages, //
    },
    uapi::vfence_buffer_create,
    LocalModule, //
};
use kernel::{
    fs::file::{
        flags::O_CLOEXEC,
        FileDescriptorReservation, //
    },
    prelude::*,
    str::CStr,
    sync::{
        aref::ARef,
        Arc, //
    },
};

/// Whose the memory of a buffer is.
struct Buffer {
    /// Our own device, for which the next job wants the buffer again.
    own: Arc<DmaDevice>,
}

impl Exporter for Buffer {
    type OwnerModule = LocalModule;

    const NAME: &'static CStr = c"vfence";

    fn kept_for(&self) -> Option<&Arc<DmaDevice>> {
        Some(&self.own)
    }
}

/// Returns whether a buffer is one of these, also if it is of the other module that has this source.
pub(super) fn is_ours(buf: &DmaBuf) -> bool {
    buf.exporter_name() == Buffer::NAME
}

/// Creates a buffer of at least `size` bytes. Fails with `EINVAL` for none, `ENOSPC` for too many, `ENOMEM`.
pub(crate) fn new(engine: &super::Device, size: u64) -> Result<ARef<DmaBuf>> {
    if size == 0 {
        return Err(EINVAL);
    }
    if size > Limits::get().max_buffer {
        return Err(ENOSPC);
    }
    // What the administrator allows may be more than there are addresses.
    let size = usize::try_from(size).map_err(|_| ENOSPC)?;
    let pages = Arc::new(Pages::new(size, GFP_KERNEL_ACCOUNT)?, GFP_KERNEL_ACCOUNT)?;
    let own = engine.dma.clone();
    DmaBuf::export(Buffer { own }, pages)
}

/// Creates the buffer that the argument describes.
pub(super) fn create(engine: &super::Device, argument: &Argument) -> Result {
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
