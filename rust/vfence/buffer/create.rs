// SPDX-License-Identifier: GPL-2.0

//! Creates the dma-bufs that this driver exports, for `VFENCE_IOCTL_BUFFER_CREATE` and
//! `DRM_IOCTL_VFENCE_GEM_CREATE`.
//!
//! A buffer lives as long as a file descriptor, a GEM object, a mapping or a job refers to it,
//! which can be longer than its client. It holds a reference to the module.

use crate::{
    kernel_ext::{
        dma_buf::{
            DmaBuf,
            Exporter, //
        },
        dma_mapping::DmaDevice,
        scatterlist::MappedSgTable,
        vmalloc::Pages, //
    },
    vfence::refusal::refuse,
    LocalModule, //
};
use kernel::{
    device::Device,
    dma::DataDirection,
    prelude::*,
    str::CStr,
    sync::{
        aref::ARef,
        Arc,
        SetOnce, //
    },
};

/// The exporter's data of a buffer.
struct ExportedBuffer {
    pages: Arc<Pages>,
    /// The device for which operations map the buffer.
    device: Arc<DmaDevice>,
    /// The mapping for `device`, kept for the next job instead of being unmapped with each job. Set
    /// with the reservation object locked.
    mapping: SetOnce<Arc<MappedSgTable>>,
}

impl Exporter for ExportedBuffer {
    type OwnerModule = LocalModule;

    const NAME: &'static CStr = c"vfence";

    fn shared_mapping(&self, device: &Device) -> Result<Option<Arc<MappedSgTable>>> {
        if !self.device.is(device) {
            return Ok(None);
        }
        if self.mapping.as_ref().is_none() {
            let (pages, device) = (self.pages.clone(), self.device.clone());
            let mapping = MappedSgTable::new(pages, device, DataDirection::Bidirectional)?;
            self.mapping.populate(mapping);
        }
        Ok(self.mapping.as_ref().cloned())
    }

    fn begin_cpu_access(&self, _direction: DataDirection) -> Result {
        if let Some(mapping) = self.mapping.as_ref() {
            mapping.sync_for_cpu();
        }
        Ok(())
    }

    fn end_cpu_access(&self, _direction: DataDirection) -> Result {
        if let Some(mapping) = self.mapping.as_ref() {
            mapping.sync_for_device();
        }
        Ok(())
    }
}

/// Returns whether this driver exports `buf`, in this module or in the other module that is built
/// from this source.
pub(crate) fn is_vfence_buffer(buf: &DmaBuf) -> bool {
    buf.exporter_name() == ExportedBuffer::NAME
}

/// Creates a buffer of `size` bytes, rounded up to whole pages, that operations will map for
/// `device`. The memory is zeroed and charged to the caller's memory cgroup.
///
/// Fails with `EINVAL` if `size` is 0, `ENOSPC` if it is above `max_size`, `ENOMEM`.
pub(crate) fn create(device: &Arc<DmaDevice>, max_size: u64, size: u64) -> Result<ARef<DmaBuf>> {
    if size == 0 {
        return Err(refuse!(EINVAL, "buffer: size is 0"));
    }
    if size > max_size {
        return Err(refuse!(
            ENOSPC,
            "buffer: size {} exceeds max_buffer_size, {}",
            size,
            max_size
        ));
    }
    // `max_size` may exceed the address space.
    let size = usize::try_from(size).map_err(|_| {
        refuse!(
            ENOSPC,
            "buffer: size {} exceeds the address space of the kernel",
            size
        )
    })?;
    let pages = Arc::new(Pages::new(size, GFP_KERNEL_ACCOUNT)?, GFP_KERNEL_ACCOUNT)?;
    let exporter = ExportedBuffer {
        pages: pages.clone(),
        device: device.clone(),
        mapping: SetOnce::new(),
    };
    DmaBuf::export(exporter, pages)
}
