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
        aref::ARef,
        new_mutex,
        Arc,
        Mutex, //
    },
};

/// The memory of a buffer, and which devices have it mapped.
#[pin_data]
struct Buffer {
    pages: Arc<Pages>,
    /// Our own device, which is there as long as the module, and so longer than the buffer.
    own: ARef<Device>,
    #[pin]
    mappings: Mutex<Mappings>,
}

/// Which devices have a buffer mapped.
struct Mappings {
    /// One for each that was asked for.
    others: KVec<Arc<MappedSgTable>>,
    /// That of our own device, once there is one: the next job wants it again. It is shared, since what is seen through it is
    /// what the CPU sees.
    own: Option<Arc<MappedSgTable>>,
}

impl Mappings {
    fn for_each(&self, mut f: impl FnMut(&Arc<MappedSgTable>)) {
        self.others.iter().for_each(&mut f);
        self.own.iter().for_each(f);
    }
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
        let new = || MappedSgTable::new(self.pages.clone(), device, direction);
        let mut mappings = self.mappings.lock();
        if !core::ptr::eq(device, &*self.own) {
            let mapping = new()?;
            mappings.others.push(mapping.clone(), GFP_KERNEL_ACCOUNT)?;
            return Ok(mapping);
        }
        match &mappings.own {
            Some(mapping) => Ok(mapping.clone()),
            None => Ok(mappings.own.insert(new()?).clone()),
        }
    }

    fn unmap(&self, mapping: Arc<MappedSgTable>) {
        let mut mappings = self.mappings.lock();
        mappings
            .others
            .retain(|other| !Arc::ptr_eq(other, &mapping));
    }

    fn begin_cpu_access(&self, _direction: DataDirection) -> Result {
        let mappings = self.mappings.lock();
        mappings.for_each(|mapping| mapping.sync_for_cpu());
        Ok(())
    }

    fn end_cpu_access(&self, _direction: DataDirection) -> Result {
        let mappings = self.mappings.lock();
        mappings.for_each(|mapping| mapping.sync_for_device());
        Ok(())
    }

    fn mmap(&self, vma: &VmaNew, first: usize) -> Result {
        self.pages.map(vma, first)
    }

    fn vmap(&self) -> Result<&Pages> {
        Ok(&self.pages)
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
    // CAST: The limit fits.
    let pages = Pages::new(size as usize, GFP_KERNEL_ACCOUNT)?;
    let size = pages.size();
    let buffer = try_pin_init!(Buffer {
        pages: Arc::new(pages, GFP_KERNEL_ACCOUNT)?,
        own: engine.device().into(),
        mappings <- new_mutex!(Mappings {
            others: KVec::new(),
            own: None,
        }),
    }? Error);
    DmaBuf::export(KBox::pin_init(buffer, GFP_KERNEL_ACCOUNT)?, size)
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
