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
        scatterlist::MappedSgTable,
        vmalloc::Pages, //
    },
    uapi::vfence_buffer_create,
    LocalModule, //
};
use kernel::{
    device::Device,
    dma::DataDirection,
    fs::file::{
        flags::O_CLOEXEC,
        FileDescriptorReservation, //
    },
    mm::virt::VmaNew,
    prelude::*,
    str::CStr,
    sync::{
        new_mutex,
        Arc,
        Mutex, //
    },
};

/// The memory of a buffer, and which devices have it mapped.
#[pin_data]
struct Buffer {
    pages: Arc<Pages>,
    #[pin]
    mappings: Mutex<KVec<Arc<MappedSgTable>>>,
}

impl Exporter for Buffer {
    type OwnerModule = LocalModule;

    const NAME: &'static CStr = c"vfence";

    fn pin(&self) -> Result {
        // It never moves.
        Ok(())
    }

    fn unpin(&self) {}

    fn map(&self, device: &Device, direction: DataDirection) -> Result<Arc<MappedSgTable>> {
        let mapping = MappedSgTable::new(self.pages.clone(), device, direction)?;
        let mut mappings = self.mappings.lock();
        mappings.push(mapping.clone(), GFP_KERNEL_ACCOUNT)?;
        Ok(mapping)
    }

    fn unmap(&self, mapping: Arc<MappedSgTable>) {
        let mut mappings = self.mappings.lock();
        mappings.retain(|other| !Arc::ptr_eq(other, &mapping));
    }

    fn begin_cpu_access(&self, _direction: DataDirection) -> Result {
        for mapping in self.mappings.lock().iter() {
            mapping.sync_for_cpu();
        }
        Ok(())
    }

    fn end_cpu_access(&self, _direction: DataDirection) -> Result {
        for mapping in self.mappings.lock().iter() {
            mapping.sync_for_device();
        }
        Ok(())
    }

    fn mmap(&self, vma: &VmaNew, first: usize) -> Result {
        self.pages.map(vma, first)
    }

    fn vmap(&self) -> Result<&Pages> {
        Ok(&self.pages)
    }
}

/// Creates the buffer that the argument describes.
pub(super) fn create(argument: &Argument) -> Result {
    let mut create: vfence_buffer_create = argument.read()?;
    must_be_zero(create.flags)?;
    if create.size == 0 {
        return Err(EINVAL);
    }
    if create.size > Limits::get().max_buffer {
        return Err(ENOSPC);
    }
    // CAST: The limit fits.
    let pages = Pages::new(create.size as usize, GFP_KERNEL_ACCOUNT)?;
    let size = pages.size();
    let buffer = try_pin_init!(Buffer {
        pages: Arc::new(pages, GFP_KERNEL_ACCOUNT)?,
        mappings <- new_mutex!(KVec::new()),
    }? Error);
    let buf = DmaBuf::export(KBox::pin_init(buffer, GFP_KERNEL_ACCOUNT)?, size)?;
    let fd = FileDescriptorReservation::get_unused_fd_flags(O_CLOEXEC)?;
    create.size = size as u64;
    // CAST: Descriptors fit.
    create.fd = fd.reserved_fd() as i32;
    argument.write(&create)?;
    DmaBuf::install(buf, fd);
    Ok(())
}
