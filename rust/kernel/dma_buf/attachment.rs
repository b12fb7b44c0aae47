// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Attachments of a buffer to a device, and the device's mappings.

use super::buf::DmaBuf;
use crate::{
    bindings,
    kernel_ext::dma_mapping::{
        raw,
        DmaDevice, //
    },
};
use core::ptr::NonNull;
use kernel::{
    dma::DataDirection,
    error::from_err_ptr,
    prelude::*,
    scatterlist::SGTable,
    sync::{
        aref::ARef,
        Arc, //
    },
};

/// A buffer that is attached to a device. Dropping it detaches the buffer, with the reservation
/// object locked.
///
/// # Invariants
///
/// `raw` is an attachment of `buf` to the device, and the `Attachment` owns it.
pub(crate) struct Attachment {
    raw: NonNull<bindings::dma_buf_attachment>,
    buf: ARef<DmaBuf>,
    /// Keeps the device bound.
    _device: Arc<DmaDevice>,
}

// SAFETY: Any thread may detach a buffer.
unsafe impl Send for Attachment {}
// SAFETY: No function that takes `&self` changes the attachment.
unsafe impl Sync for Attachment {}

impl Attachment {
    /// Attaches a buffer to a device. Locks the reservation object.
    ///
    /// Fails with `ENOMEM`, and as the exporter does if it refuses the device.
    pub(crate) fn new(buf: ARef<DmaBuf>, device: Arc<DmaDevice>) -> Result<Self> {
        let raw = raw(device.device());
        // SAFETY: The attachment keeps the buffer valid and the device bound.
        let raw = from_err_ptr(unsafe { bindings::dma_buf_attach(buf.as_raw(), raw) })?;
        Ok(Self {
            // The pointer is not an error, and not null.
            raw: NonNull::new(raw).ok_or(ENOMEM)?,
            buf,
            _device: device,
        })
    }

    /// Maps the buffer for the device. Locks the reservation object, and waits for fences of the
    /// kernel's memory management.
    ///
    /// Fails with `EINVAL` if `direction` is none, for which the DMA API has a `BUG()`, `ENOMEM`,
    /// with `ERESTARTSYS` if a signal arrives first, and as the exporter does.
    pub(crate) fn map(self, direction: DataDirection) -> Result<Mapping> {
        if direction == DataDirection::None {
            return Err(EINVAL);
        }
        // SAFETY: By the type invariants.
        let table = from_err_ptr(unsafe {
            bindings::dma_buf_map_attachment_unlocked(self.raw.as_ptr(), direction.into())
        })?;
        // INVARIANT: The attachment is mapped.
        Ok(Mapping {
            table: NonNull::new(table).ok_or(ENOMEM)?,
            attachment: self,
            direction,
        })
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        // SAFETY: By the type invariants. The attachment is not mapped.
        unsafe { bindings::dma_buf_detach(self.buf.as_raw(), self.raw.as_ptr()) };
    }
}

/// A buffer that is mapped for a device. Dropping it unmaps the buffer, with the reservation object
/// locked.
///
/// # Invariants
///
/// `table` is the table of `attachment`, mapped in `direction`.
pub(crate) struct Mapping {
    table: NonNull<bindings::sg_table>,
    attachment: Attachment,
    direction: DataDirection,
}

// SAFETY: Any thread may unmap a buffer.
unsafe impl Send for Mapping {}
// SAFETY: The only function that takes `&self` reads.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Returns the table of the buffer's DMA addresses.
    pub(crate) fn table(&self) -> &SGTable {
        // SAFETY: By the type invariants. The table does not change while it is mapped.
        unsafe { SGTable::from_raw(self.table.as_ptr()) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: By the type invariants.
        unsafe {
            bindings::dma_buf_unmap_attachment_unlocked(
                self.attachment.raw.as_ptr(),
                self.table.as_ptr(),
                self.direction.into(),
            )
        };
    }
}
