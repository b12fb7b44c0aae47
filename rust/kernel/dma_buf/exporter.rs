// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Exporters of buffers, and the mappings of their memory.
//!
//! The memory is [`Pages`], which never move. This file maps them for importers, since a mapping
//! must be undone before its importer detaches, which safe code of a driver could not guarantee.

use crate::kernel_ext::{
    scatterlist::MappedSgTable,
    vmalloc::Pages, //
};
use kernel::{
    device::Device,
    dma::DataDirection,
    prelude::*,
    str::CStr,
    sync::{
        new_mutex,
        Arc,
        Mutex, //
    },
    ModuleMetadata, //
};

/// The owner of a buffer's memory. Its functions are called for importers, in process context.
///
/// The importer's device is valid during a call. It may be unbound from its driver: a DRM device
/// that was unplugged keeps its imported buffers until its last file is closed.
pub(crate) trait Exporter: Send + Sync + 'static {
    /// The module with the exporter's code, which its buffers keep loaded.
    type OwnerModule: ModuleMetadata;

    /// The name of the exporter.
    const NAME: &'static CStr;

    /// Called when a device attaches. May refuse it.
    fn attach(&self, _device: &Device) -> Result {
        Ok(())
    }

    /// Called when a device detaches.
    fn detach(&self, _device: &Device) {}

    /// Called when an importer pins the memory, with the reservation object locked. May refuse it.
    fn pin(&self) -> Result {
        Ok(())
    }

    /// Called when an importer unpins the memory, with the reservation object locked.
    fn unpin(&self) {}

    /// Called before the memory is mapped for a device, with the reservation object locked. May
    /// refuse it.
    fn map(&self, _device: &Device) -> Result {
        Ok(())
    }

    /// Called after the memory was unmapped or could not be mapped, with the reservation object
    /// locked.
    fn unmap(&self) {}

    /// Returns a mapping that the exporter has for `device` already, which importers then share.
    /// With `None`, the memory is mapped for the importer alone. Called with the reservation object
    /// locked.
    ///
    /// A shared mapping must be of the exported pages and bidirectional, and the exporter makes it
    /// coherent in [`Self::begin_cpu_access`] and [`Self::end_cpu_access`].
    fn shared_mapping(&self, _device: &Device) -> Result<Option<Arc<MappedSgTable>>> {
        Ok(None)
    }

    /// Called at the beginning of a CPU access, before the writes of devices are made visible.
    fn begin_cpu_access(&self, _direction: DataDirection) -> Result {
        Ok(())
    }

    /// Called at the end of a CPU access, after the writes of the CPU were made visible to devices.
    fn end_cpu_access(&self, _direction: DataDirection) -> Result {
        Ok(())
    }
}

/// The private data of a buffer: the exporter, its memory, and the mappings of the memory.
#[pin_data]
pub(super) struct Exported<T> {
    pub(super) exporter: T,
    pub(super) pages: Arc<Pages>,
    #[pin]
    /// A mapping for each importer without a shared one. The importer has the only other reference.
    mappings: Mutex<KVec<Arc<MappedSgTable>>>,
}

impl<T: Exporter> Exported<T> {
    pub(super) fn new(exporter: T, pages: Arc<Pages>) -> impl PinInit<Self> {
        pin_init!(Self {
            exporter,
            pages,
            mappings <- new_mutex!(KVec::new()),
        })
    }

    /// Maps the memory for the device of an importer. Fails as the exporter does, and as
    /// [`MappedSgTable::new`] does.
    ///
    /// # Safety
    ///
    /// The DMA API must accept the device until [`Exported::unmap`] takes the mapping back.
    pub(super) unsafe fn map(
        &self,
        device: &Device,
        direction: DataDirection,
    ) -> Result<Arc<MappedSgTable>> {
        self.exporter.map(device)?;
        // SAFETY: By the safety requirements of this function.
        let mapping = unsafe { self.find_or_map(device, direction) };
        if mapping.is_err() {
            self.exporter.unmap();
        }
        mapping
    }

    /// # Safety
    ///
    /// The DMA API must accept the device until [`Exported::unmap`] takes the mapping back.
    unsafe fn find_or_map(
        &self,
        device: &Device,
        direction: DataDirection,
    ) -> Result<Arc<MappedSgTable>> {
        if let Some(mapping) = self.exporter.shared_mapping(device)? {
            // Another device may reach the memory by other addresses, and a table of other pages
            // may be shorter than the buffer.
            return if mapping.is_for(device) && mapping.is_of(&self.pages) {
                Ok(mapping)
            } else {
                Err(EINVAL)
            };
        }
        let pages = self.pages.clone();
        let mut mappings = self.mappings.lock();
        // SAFETY: By the safety requirements of this function the DMA API accepts the device until
        // `unmap()`, which drops both references to the mapping.
        let mapping = unsafe { MappedSgTable::for_other(pages, device, direction) }?;
        mappings.push(mapping.clone(), GFP_KERNEL_ACCOUNT)?;
        Ok(mapping)
    }

    /// Takes back a mapping from [`Exported::map`].
    pub(super) fn unmap(&self, mapping: Arc<MappedSgTable>) {
        self.mappings
            .lock()
            .retain(|other| !Arc::ptr_eq(other, &mapping));
        drop(mapping);
        self.exporter.unmap();
    }

    pub(super) fn begin_cpu_access(&self, direction: DataDirection) -> Result {
        self.exporter.begin_cpu_access(direction)?;
        for mapping in self.mappings.lock().iter() {
            mapping.sync_for_cpu();
        }
        Ok(())
    }

    pub(super) fn end_cpu_access(&self, direction: DataDirection) -> Result {
        for mapping in self.mappings.lock().iter() {
            mapping.sync_for_device();
        }
        self.exporter.end_cpu_access(direction)
    }
}

#[kernel::macros::kunit_tests(vfence_dma_buf_exporter)]
mod tests {
    use super::{
        super::{
            attachment::{
                Attachment,
                Mapping, //
            },
            fixture::{
                buffer,
                dma_len,
                exported,
                Refused,
                SIZE, //
            },
        },
        *, //
    };
    use crate::kernel_ext::dma_mapping::{
        Bus,
        DmaDevice, //
    };

    // KUnit runs in a kernel thread, where the last reference to a file is dropped asynchronously,
    // so each case has its own devices.

    #[test]
    fn importer_attaches_pins_and_maps() -> Result {
        let device = DmaDevice::new(Bus::Faux, c"kunit-dma-buf")?;
        let (buf, calls) = buffer()?;
        let attachment = Attachment::new(buf.clone(), device)?;
        assert_eq!(calls.get(), [1, 0, 0, 0]);
        let mapping = attachment.map(DataDirection::Bidirectional)?;
        // An attachment without `move_notify` pins the memory.
        assert_eq!(calls.get(), [1, 1, 1, 0]);
        assert_eq!(dma_len(&mapping), SIZE as u64);
        drop(mapping);
        assert_eq!(calls.get(), [0; 4]);
        Ok(())
    }

    #[test]
    fn importers_for_one_device_share_a_mapping() -> Result {
        let (device, other) = (
            DmaDevice::new(Bus::Faux, c"kunit-dma-buf-kept")?,
            DmaDevice::new(Bus::Faux, c"kunit-dma-buf-other")?,
        );
        let (buf, calls) = exported(Some(device.clone()), Refused::None)?;
        let map = |device: &Arc<DmaDevice>| {
            Attachment::new(buf.clone(), device.clone())?.map(DataDirection::ToDevice)
        };
        let table = |mapping: &Mapping| core::ptr::from_ref(mapping.table());
        let (one, same, another) = (map(&device)?, map(&device)?, map(&other)?);
        assert_eq!(calls.get(), [3, 3, 3, 0]);
        // With `CONFIG_DMABUF_DEBUG`, importers get copies of the table.
        if !cfg!(CONFIG_DMABUF_DEBUG) {
            assert!(table(&one) == table(&same) && table(&one) != table(&another));
        }
        drop((one, same, another));
        assert_eq!(calls.get(), [0; 4]);
        assert_eq!(dma_len(&map(&device)?), SIZE as u64);
        Ok(())
    }

    #[test]
    fn refusal_of_the_exporter_fails_the_importer() -> Result {
        let device = DmaDevice::new(Bus::Faux, c"kunit-dma-buf-refused")?;
        for refused in [Refused::Attachments, Refused::Pins, Refused::Mappings] {
            let (buf, calls) = exported(None, refused)?;
            let attachment = Attachment::new(buf, device.clone());
            let result = attachment.and_then(|attachment| attachment.map(DataDirection::ToDevice));
            assert!(result.is_err_and(|error| error == EPERM));
            // The attachment is undone.
            assert_eq!(calls.get(), [0; 4]);
        }
        Ok(())
    }

    #[test]
    fn uses_need_a_direction() -> Result {
        let device = DmaDevice::new(Bus::Faux, c"kunit-dma-buf-none")?;
        let (buf, calls) = buffer()?;
        let mapping = Attachment::new(buf.clone(), device)?.map(DataDirection::None);
        assert!(mapping.is_err_and(|error| error == EINVAL));
        let access = buf.begin_cpu_access(DataDirection::None);
        assert!(access.is_err_and(|error| error == EINVAL));
        assert_eq!(calls.get(), [0; 4]);
        Ok(())
    }

    #[test]
    fn cpu_access_begins_and_ends() -> Result {
        let device = DmaDevice::new(Bus::Faux, c"kunit-dma-buf-cpu")?;
        let (buf, calls) = buffer()?;
        for mapped in [false, true] {
            let mut mapping = None;
            if mapped {
                let attachment = Attachment::new(buf.clone(), device.clone())?;
                mapping = Some(attachment.map(DataDirection::Bidirectional)?);
            }
            let access = buf.begin_cpu_access(DataDirection::Bidirectional)?;
            assert_eq!(calls.get()[3], 1);
            drop(access);
            drop(mapping);
            assert_eq!(calls.get(), [0; 4]);
        }
        Ok(())
    }
}
