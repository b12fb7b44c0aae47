// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Exporters of buffers: C's `struct dma_buf_ops`.
//!
//! The memory is [`Pages`], which never move. This file maps them for importers, since a mapping
//! must be undone before its importer detaches, which safe code of a driver could not guarantee.

use super::DmaBuf;
use crate::{
    bindings,
    kernel_ext::{
        dma_resv::Usage,
        scatterlist::MappedSgTable,
        vmalloc::Pages, //
    },
};
use core::marker::PhantomData;
use kernel::{
    device::{
        Bound,
        Device, //
    },
    dma::DataDirection,
    mm::virt::VmaNew,
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
    fn map(&self, _device: &Device<Bound>) -> Result {
        Ok(())
    }

    /// Called after the memory was unmapped or could not be mapped, with the reservation object
    /// locked.
    fn unmap(&self) {}

    /// Returns a mapping that the exporter has for `device` already, which importers then share.
    /// With `None`, the memory is mapped for the importer alone. Called with the reservation object
    /// locked.
    ///
    /// A shared mapping must be bidirectional, and the exporter makes it coherent in
    /// [`Self::begin_cpu_access`] and [`Self::end_cpu_access`].
    fn shared_mapping(&self, _device: &Device<Bound>) -> Result<Option<Arc<MappedSgTable>>> {
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
    exporter: T,
    pages: Arc<Pages>,
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
    /// The device must stay bound until [`Exported::unmap`] takes the mapping back.
    unsafe fn map(
        &self,
        device: &Device<Bound>,
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
    /// The device must stay bound until [`Exported::unmap`] takes the mapping back.
    unsafe fn find_or_map(
        &self,
        device: &Device<Bound>,
        direction: DataDirection,
    ) -> Result<Arc<MappedSgTable>> {
        if let Some(mapping) = self.exporter.shared_mapping(device)? {
            // Another device may reach the memory by other addresses.
            return if mapping.is_for(device) {
                Ok(mapping)
            } else {
                Err(EINVAL)
            };
        }
        let pages = self.pages.clone();
        let mut mappings = self.mappings.lock();
        // SAFETY: By the safety requirements of this function the device stays bound until
        // `unmap()`, which drops both references to the mapping.
        let mapping = unsafe { MappedSgTable::for_other(pages, device, direction) }?;
        mappings.push(mapping.clone(), GFP_KERNEL_ACCOUNT)?;
        Ok(mapping)
    }

    /// Takes back a mapping from [`Exported::map`].
    fn unmap(&self, mapping: Arc<MappedSgTable>) {
        self.mappings
            .lock()
            .retain(|other| !Arc::ptr_eq(other, &mapping));
        drop(mapping);
        self.exporter.unmap();
    }

    fn begin_cpu_access(&self, direction: DataDirection) -> Result {
        self.exporter.begin_cpu_access(direction)?;
        for mapping in self.mappings.lock().iter() {
            mapping.sync_for_cpu();
        }
        Ok(())
    }

    fn end_cpu_access(&self, direction: DataDirection) -> Result {
        for mapping in self.mappings.lock().iter() {
            mapping.sync_for_device();
        }
        self.exporter.end_cpu_access(direction)
    }
}

/// The functions that the core calls for the buffers of an exporter.
pub(super) struct ExporterOps<T>(PhantomData<T>);

impl<T: Exporter> ExporterOps<T> {
    pub(super) const TABLE: bindings::dma_buf_ops = bindings::dma_buf_ops {
        attach: Some(Self::attach),
        detach: Some(Self::detach),
        pin: Some(Self::pin),
        unpin: Some(Self::unpin),
        map_dma_buf: Some(Self::map),
        unmap_dma_buf: Some(Self::unmap),
        release: Some(Self::release),
        begin_cpu_access: Some(Self::begin_cpu_access),
        end_cpu_access: Some(Self::end_cpu_access),
        mmap: Some(Self::mmap),
        vmap: Some(Self::vmap),
        vunmap: Some(Self::vunmap),
    };

    /// # Safety
    ///
    /// `buf` must have been exported with these operations, and must not be released during `'a`.
    unsafe fn exported<'a>(buf: *mut bindings::dma_buf) -> &'a Exported<T> {
        // SAFETY: By the safety requirements of this function. `DmaBuf::export_with()` set the
        // private data.
        unsafe { &*(*buf).priv_.cast() }
    }

    /// # Safety
    ///
    /// `attachment` must be an attachment of a buffer that was exported with these operations, and
    /// must stay valid for `'a`.
    unsafe fn attached<'a>(
        attachment: *mut bindings::dma_buf_attachment,
    ) -> (&'a Exported<T>, &'a Device) {
        // SAFETY: By the safety requirements of this function.
        let (buf, device) = unsafe { ((*attachment).dmabuf, (*attachment).dev) };
        // SAFETY: An attachment keeps its buffer and its device valid.
        unsafe { (Self::exported(buf), Device::from_raw(device)) }
    }

    /// Converts a direction.
    fn direction(direction: bindings::dma_data_direction) -> DataDirection {
        match direction {
            bindings::dma_data_direction::DMA_TO_DEVICE => DataDirection::ToDevice,
            bindings::dma_data_direction::DMA_FROM_DEVICE => DataDirection::FromDevice,
            bindings::dma_data_direction::DMA_NONE => DataDirection::None,
            _ => DataDirection::Bidirectional,
        }
    }

    /// Converts a result to the return value of a C function.
    fn status(result: Result) -> c_int {
        match result {
            Ok(()) => 0,
            Err(error) => error.to_errno(),
        }
    }

    /// # Safety
    ///
    /// `attachment` must be an attachment of a buffer that was exported with these operations, and
    /// must stay valid during the call.
    unsafe extern "C" fn attach(
        _buf: *mut bindings::dma_buf,
        attachment: *mut bindings::dma_buf_attachment,
    ) -> c_int {
        // SAFETY: By the safety requirements of this function.
        let (exported, device) = unsafe { Self::attached(attachment) };
        Self::status(exported.exporter.attach(device))
    }

    /// # Safety
    ///
    /// `attachment` must be an attachment of a buffer that was exported with these operations, and
    /// must stay valid during the call.
    unsafe extern "C" fn detach(
        _buf: *mut bindings::dma_buf,
        attachment: *mut bindings::dma_buf_attachment,
    ) {
        // SAFETY: By the safety requirements of this function.
        let (exported, device) = unsafe { Self::attached(attachment) };
        exported.exporter.detach(device);
    }

    /// # Safety
    ///
    /// `attachment` must be an attachment of a buffer that was exported with these operations, and
    /// must stay valid during the call. The caller must hold the reservation object's lock.
    unsafe extern "C" fn pin(attachment: *mut bindings::dma_buf_attachment) -> c_int {
        // SAFETY: By the safety requirements of this function.
        let (exported, _) = unsafe { Self::attached(attachment) };
        Self::status(exported.exporter.pin())
    }

    /// # Safety
    ///
    /// `attachment` must be an attachment of a buffer that was exported with these operations, and
    /// must stay valid during the call. The caller must hold the reservation object's lock.
    unsafe extern "C" fn unpin(attachment: *mut bindings::dma_buf_attachment) {
        // SAFETY: By the safety requirements of this function.
        let (exported, _) = unsafe { Self::attached(attachment) };
        exported.exporter.unpin();
    }

    /// # Safety
    ///
    /// `attachment` must be an attachment of a buffer that was exported with these operations, and
    /// must stay valid during the call. The caller must hold the reservation object's lock. The
    /// importer's device must be bound, and stay bound until [`Self::unmap`].
    unsafe extern "C" fn map(
        attachment: *mut bindings::dma_buf_attachment,
        direction: bindings::dma_data_direction,
    ) -> *mut bindings::sg_table {
        // SAFETY: By the safety requirements of this function.
        let (exported, device) = unsafe { Self::attached(attachment) };
        // SAFETY: By the safety requirements of this function.
        let mapping = unsafe { exported.map(device.as_bound(), Self::direction(direction)) };
        match mapping {
            Ok(mapping) => MappedSgTable::into_raw(mapping),
            Err(error) => error.to_ptr(),
        }
    }

    /// # Safety
    ///
    /// `attachment` must be an attachment of a buffer that was exported with these operations, and
    /// must stay valid during the call. The caller must hold the reservation object's lock. `table`
    /// must come from [`Self::map`] for the same attachment, and must be unmapped once.
    unsafe extern "C" fn unmap(
        attachment: *mut bindings::dma_buf_attachment,
        table: *mut bindings::sg_table,
        _direction: bindings::dma_data_direction,
    ) {
        // SAFETY: By the safety requirements of this function.
        let (exported, mapping) =
            unsafe { (Self::attached(attachment).0, MappedSgTable::from_raw(table)) };
        exported.unmap(mapping);
    }

    /// # Safety
    ///
    /// `buf` must have been exported with these operations, and there must be no references to it.
    /// The function must be called once.
    unsafe extern "C" fn release(buf: *mut bindings::dma_buf) {
        // SAFETY: By the safety requirements of this function. `DmaBuf::export_with()` made the
        // private data from a pinned box.
        drop(unsafe { Pin::new_unchecked(KBox::<Exported<T>>::from_raw((*buf).priv_.cast())) });
    }

    /// # Safety
    ///
    /// `buf` must have been exported with these operations, and must not be released during the
    /// call.
    unsafe extern "C" fn begin_cpu_access(
        buf: *mut bindings::dma_buf,
        direction: bindings::dma_data_direction,
    ) -> c_int {
        let direction = Self::direction(direction);
        let writes = matches!(
            direction,
            DataDirection::Bidirectional | DataDirection::ToDevice
        );
        // SAFETY: By the safety requirements of this function.
        let (exported, buf) = unsafe { (Self::exported(buf), DmaBuf::from_raw(buf)) };
        // The core waits only after this function, which must make the writes of devices visible.
        let waited = buf.resv().wait(Usage::to_wait_for(writes));
        Self::status(waited.and_then(|()| exported.begin_cpu_access(direction)))
    }

    /// # Safety
    ///
    /// `buf` must have been exported with these operations, and must not be released during the
    /// call.
    unsafe extern "C" fn end_cpu_access(
        buf: *mut bindings::dma_buf,
        direction: bindings::dma_data_direction,
    ) -> c_int {
        // SAFETY: By the safety requirements of this function.
        let exported = unsafe { Self::exported(buf) };
        Self::status(exported.end_cpu_access(Self::direction(direction)))
    }

    /// # Safety
    ///
    /// `buf` must have been exported with these operations, and must not be released during the
    /// call. `vma` must be a new mapping that is not published yet, no larger than the buffer.
    unsafe extern "C" fn mmap(
        buf: *mut bindings::dma_buf,
        vma: *mut bindings::vm_area_struct,
    ) -> c_int {
        // SAFETY: By the safety requirements of this function.
        let (exported, first) = unsafe { (Self::exported(buf), (*vma).vm_pgoff) };
        // SAFETY: By the safety requirements of this function.
        Self::status(exported.pages.map(unsafe { VmaNew::from_raw(vma) }, first))
    }

    /// # Safety
    ///
    /// `buf` must have been exported with these operations, and must not be released during the
    /// call. `map` must be valid for writes.
    unsafe extern "C" fn vmap(buf: *mut bindings::dma_buf, map: *mut bindings::iosys_map) -> c_int {
        // SAFETY: By the safety requirements of this function.
        let pages = unsafe { &Self::exported(buf).pages };
        // The pages are as large as the buffer, and are freed after its release.
        let address = bindings::iosys_map__bindgen_ty_1 {
            vaddr: pages.address().as_ptr().cast(),
        };
        // SAFETY: By the safety requirements of this function.
        unsafe {
            map.write(bindings::iosys_map {
                __bindgen_anon_1: address,
                is_iomem: false,
            })
        };
        0
    }

    /// # Safety
    ///
    /// The function has no requirements: the kernel mapping lasts as long as the pages.
    unsafe extern "C" fn vunmap(_buf: *mut bindings::dma_buf, _map: *mut bindings::iosys_map) {}
}

#[kernel::macros::kunit_tests(vfence_dma_buf)]
pub(super) mod tests {
    use super::{
        super::{
            Attachment,
            DmaBuf,
            Mapping, //
        },
        *, //
    };
    use crate::kernel_ext::dma_mapping::DmaDevice;
    use kernel::{
        fs::file::{
            flags::O_CLOEXEC,
            FileDescriptorReservation, //
        },
        page::PAGE_SIZE,
        sync::{
            aref::ARef,
            atomic::{
                Atomic,
                Relaxed, //
            },
            SetOnce, //
        },
    };

    pub(crate) struct Calls {
        attached: Atomic<i32>,
        pinned: Atomic<i32>,
        mapped: Atomic<i32>,
        accessed: Atomic<i32>,
    }

    impl Calls {
        fn new() -> Result<Arc<Self>> {
            let calls = Self {
                attached: Atomic::new(0),
                pinned: Atomic::new(0),
                mapped: Atomic::new(0),
                accessed: Atomic::new(0),
            };
            Ok(Arc::new(calls, GFP_KERNEL)?)
        }

        fn get(&self) -> [i32; 4] {
            [&self.attached, &self.pinned, &self.mapped, &self.accessed]
                .map(|count| count.load(Relaxed))
        }
    }

    struct KunitExporter {
        calls: Arc<Calls>,
        /// The device for which importers share a mapping.
        shared_for: Option<Arc<DmaDevice>>,
        shared: SetOnce<Arc<MappedSgTable>>,
        pages: Arc<Pages>,
        refused: Refused,
    }

    #[derive(Clone, Copy, PartialEq, Eq)]
    enum Refused {
        Nobody,
        Attachments,
        Pins,
        Mappings,
    }

    impl KunitExporter {
        fn refuse(&self, what: Refused) -> Result {
            if self.refused == what {
                return Err(EPERM);
            }
            Ok(())
        }
    }

    impl Exporter for KunitExporter {
        type OwnerModule = crate::LocalModule;

        const NAME: &'static CStr = c"kunit";

        fn attach(&self, _device: &Device) -> Result {
            self.refuse(Refused::Attachments)?;
            self.calls.attached.add(1, Relaxed);
            Ok(())
        }

        fn detach(&self, _device: &Device) {
            self.calls.attached.add(-1, Relaxed);
        }

        fn pin(&self) -> Result {
            self.refuse(Refused::Pins)?;
            self.calls.pinned.add(1, Relaxed);
            Ok(())
        }

        fn unpin(&self) {
            self.calls.pinned.add(-1, Relaxed);
        }

        fn map(&self, _device: &Device<Bound>) -> Result {
            self.refuse(Refused::Mappings)?;
            self.calls.mapped.add(1, Relaxed);
            Ok(())
        }

        fn unmap(&self) {
            self.calls.mapped.add(-1, Relaxed);
        }

        fn shared_mapping(&self, device: &Device<Bound>) -> Result<Option<Arc<MappedSgTable>>> {
            let Some(own) = &self.shared_for else {
                return Ok(None);
            };
            if !core::ptr::eq(own.device(), device) {
                return Ok(None);
            }
            if self.shared.as_ref().is_none() {
                let both = DataDirection::Bidirectional;
                let mapping = MappedSgTable::new(self.pages.clone(), own.clone(), both)?;
                self.shared.populate(mapping);
            }
            Ok(self.shared.as_ref().cloned())
        }

        fn begin_cpu_access(&self, _direction: DataDirection) -> Result {
            self.calls.accessed.add(1, Relaxed);
            Ok(())
        }

        fn end_cpu_access(&self, _direction: DataDirection) -> Result {
            self.calls.accessed.add(-1, Relaxed);
            Ok(())
        }
    }

    pub(crate) const SIZE: usize = 3 * PAGE_SIZE;

    fn exporter(shared_for: Option<Arc<DmaDevice>>, refused: Refused) -> Result<KunitExporter> {
        Ok(KunitExporter {
            calls: Calls::new()?,
            shared_for,
            shared: SetOnce::new(),
            pages: Arc::new(Pages::new(SIZE, GFP_KERNEL)?, GFP_KERNEL)?,
            refused,
        })
    }

    fn exported(
        shared_for: Option<Arc<DmaDevice>>,
        refused: Refused,
    ) -> Result<(ARef<DmaBuf>, Arc<Calls>)> {
        let exporter = exporter(shared_for, refused)?;
        let (pages, calls) = (exporter.pages.clone(), exporter.calls.clone());
        Ok((DmaBuf::export(exporter, pages)?, calls))
    }

    fn with_vmap(ops: &'static bindings::dma_buf_ops) -> Result<ARef<DmaBuf>> {
        let exporter = exporter(None, Refused::Nobody)?;
        let pages = exporter.pages.clone();
        // SAFETY: The operations are those of the exporter, except for `vmap` and `vunmap`.
        unsafe { DmaBuf::export_with(exporter, pages, ops) }
    }

    /// Returns a buffer whose exporter has no `vmap` operation.
    pub(crate) fn buffer_without_vmap() -> Result<ARef<DmaBuf>> {
        with_vmap(
            &const {
                bindings::dma_buf_ops {
                    vmap: None,
                    vunmap: None,
                    ..ExporterOps::<KunitExporter>::TABLE
                }
            },
        )
    }

    /// Returns a buffer whose exporter claims that it maps I/O memory.
    pub(crate) fn buffer_of_a_device() -> Result<ARef<DmaBuf>> {
        /// # Safety
        ///
        /// As for [`ExporterOps::vmap`].
        unsafe extern "C" fn vmap(
            buf: *mut bindings::dma_buf,
            map: *mut bindings::iosys_map,
        ) -> c_int {
            // SAFETY: By the safety requirements of this function.
            unsafe {
                let status = ExporterOps::<KunitExporter>::vmap(buf, map);
                (*map).is_iomem = true;
                status
            }
        }

        with_vmap(
            &const {
                bindings::dma_buf_ops {
                    vmap: Some(vmap),
                    ..ExporterOps::<KunitExporter>::TABLE
                }
            },
        )
    }

    pub(crate) fn buffer() -> Result<(ARef<DmaBuf>, Arc<Calls>)> {
        exported(None, Refused::Nobody)
    }

    /// Returns the number of bytes that a device can access.
    fn dma_len(mapping: &Mapping) -> u64 {
        mapping.table().iter().map(|entry| entry.dma_len()).sum()
    }

    #[test]
    fn buffer_has_size_name_and_mode_of_the_export() -> Result {
        let (buf, _) = buffer()?;
        assert_eq!(buf.size(), SIZE);
        assert_eq!(buf.exporter_name(), c"kunit");
        assert!(buf.is_readable() && buf.is_writable());
        Ok(())
    }

    #[test]
    fn from_fd_finds_an_installed_buffer() -> Result {
        assert!(DmaBuf::from_fd(-1).is_err_and(|error| error == EBADF));
        let (buf, calls) = exported(None, Refused::Nobody)?;
        let reservation = FileDescriptorReservation::get_unused_fd_flags(O_CLOEXEC)?;
        let fd = reservation.reserved_fd();
        DmaBuf::install(buf.clone(), reservation);
        let found = DmaBuf::from_fd(fd as i32);
        // SAFETY: Nothing else uses the descriptor.
        unsafe { bindings::close_fd(fd) };
        assert!(core::ptr::eq(&*found?, &*buf));
        assert!(DmaBuf::from_fd(fd as i32).is_err_and(|error| error == EBADF));
        assert_eq!(calls.get(), [0; 4]);
        Ok(())
    }

    // Each case has its own devices: the last reference to a file is dropped asynchronously in a
    // kernel thread.

    #[test]
    fn importer_attaches_pins_and_maps() -> Result {
        let device = DmaDevice::new(c"kunit-dma-buf")?;
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
            DmaDevice::new(c"kunit-dma-buf-kept")?,
            DmaDevice::new(c"kunit-dma-buf-other")?,
        );
        let (buf, calls) = exported(Some(device.clone()), Refused::Nobody)?;
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
        let device = DmaDevice::new(c"kunit-dma-buf-refused")?;
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
    fn cpu_access_begins_and_ends() -> Result {
        let device = DmaDevice::new(c"kunit-dma-buf-cpu")?;
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
