// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Accesses of the CPU to a buffer, between which devices may access it.

use super::buf::DmaBuf;
use crate::bindings;
use kernel::{
    dma::DataDirection,
    error::to_result,
    prelude::*, //
};

/// A CPU access, see [`DmaBuf::begin_cpu_access`].
#[must_use = "the access ends at once when this is not kept"]
pub(crate) struct CpuAccess<'a> {
    buf: &'a DmaBuf,
    direction: DataDirection,
}

impl Drop for CpuAccess<'_> {
    fn drop(&mut self) {
        // SAFETY: `begin_cpu_access()` began the access. A failure of the exporter cannot be
        // handled.
        unsafe { bindings::dma_buf_end_cpu_access(self.buf.as_raw(), self.direction.into()) };
    }
}

impl DmaBuf {
    /// Begins a CPU access: waits for the fences of conflicting work, and makes the writes of
    /// devices visible. Dropping the guard ends the access, and makes the writes of the CPU visible
    /// to devices.
    ///
    /// Fails with `EINVAL` if `direction` is none, which exporters may pass to the DMA API, with
    /// `ERESTARTSYS` if a signal arrives first, and as the exporter does.
    pub(crate) fn begin_cpu_access(&self, direction: DataDirection) -> Result<CpuAccess<'_>> {
        if direction == DataDirection::None {
            return Err(EINVAL);
        }
        // SAFETY: By the type invariants.
        to_result(unsafe { bindings::dma_buf_begin_cpu_access(self.as_raw(), direction.into()) })?;
        Ok(CpuAccess {
            buf: self,
            direction,
        })
    }
}
