// SPDX-License-Identifier: GPL-2.0

//! `VFENCE_IOCTL_BUFFER_CREATE`: memory that is shared as a dma-buf.
//!
//! A buffer belongs to nobody but those who refer to it: it outlives the client. As long as it is there, so is the module.

use crate::{
    kernel_ext::{
        dma_buf::{
            DmaBuf,
            Exporter, //
        },
        dma_mapping::DmaDevice,
        vmalloc::Pages, //
    },
    vfence::limits::Limits,
    LocalModule, //
};
use kernel::{
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
pub(crate) fn is_ours(buf: &DmaBuf) -> bool {
    buf.exporter_name() == Buffer::NAME
}

/// Creates a buffer of at least `size` bytes. Fails with `EINVAL` for none, `ENOSPC` for too many, `ENOMEM`.
pub(crate) fn create(device: &Arc<DmaDevice>, size: u64) -> Result<ARef<DmaBuf>> {
    if size == 0 {
        return Err(EINVAL);
    }
    if size > Limits::get().max_buffer {
        return Err(ENOSPC);
    }
    // What the administrator allows may be more than there are addresses.
    let size = usize::try_from(size).map_err(|_| ENOSPC)?;
    let pages = Arc::new(Pages::new(size, GFP_KERNEL_ACCOUNT)?, GFP_KERNEL_ACCOUNT)?;
    let own = device.clone();
    DmaBuf::export(Buffer { own }, pages)
}
