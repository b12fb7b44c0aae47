// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Who has the memory of a buffer: C's `struct dma_buf_ops`.

use crate::{
    bindings,
    kernel_ext::{
        scatterlist::MappedSgTable,
        vmalloc::Pages, //
    },
};
use core::marker::PhantomData;
use kernel::{
    device::Device,
    dma::DataDirection,
    mm::virt::VmaNew,
    prelude::*,
    str::CStr,
    sync::Arc,
    ModuleMetadata, //
};

/// Who has the memory of a buffer. Each function but the last ones is called for importers, in a task.
pub(crate) trait Exporter: Send + Sync + 'static {
    /// The module that has the code of this, and is there as long as its buffers.
    type OwnerModule: ModuleMetadata;

    /// What the buffer shows as its exporter.
    const NAME: &'static CStr;

    /// A device wants the buffer. May refuse.
    fn attach(&self, _device: &Device) -> Result {
        Ok(())
    }

    /// A device does not want the buffer any more.
    fn detach(&self, _device: &Device) {}

    /// The memory must stay where it is. Called with the lock of the reservation object.
    fn pin(&self) -> Result;

    /// The memory may move again. Called with the lock of the reservation object.
    fn unpin(&self);

    /// Maps the memory for a device. Called with the lock of the reservation object.
    fn map(&self, device: &Device, direction: DataDirection) -> Result<Arc<MappedSgTable>>;

    /// Takes back what [`Exporter::map`] has returned. Called with the lock of the reservation object.
    fn unmap(&self, mapping: Arc<MappedSgTable>);

    /// The CPU is about to access the memory.
    fn begin_cpu_access(&self, direction: DataDirection) -> Result;

    /// The CPU has accessed the memory.
    fn end_cpu_access(&self, direction: DataDirection) -> Result;

    /// Maps the memory from page `first` on for user space. The core has seen to it that the buffer has as much.
    fn mmap(&self, vma: &VmaNew, first: usize) -> Result;

    /// Returns the memory in the kernel's address space, as large as the buffer. It is there until the exporter is dropped. Called with
    /// the lock of the reservation object.
    fn vmap(&self) -> Result<&Pages>;
}

/// What the core calls for the buffers of an exporter.
pub(super) struct Operations<T>(PhantomData<T>);

impl<T: Exporter> Operations<T> {
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
    /// `buf` must have been exported with these operations, and not be released as long as the reference is used.
    unsafe fn exporter<'a>(buf: *mut bindings::dma_buf) -> &'a T {
        // SAFETY: By the requirements of this function. It was given to the buffer by `DmaBuf::export()`.
        unsafe { &*(*buf).priv_.cast() }
    }

    /// # Safety
    ///
    /// `attachment` must be of a buffer that was exported with these operations, and stay as long as the references are used.
    unsafe fn attached<'a>(attachment: *mut bindings::dma_buf_attachment) -> (&'a T, &'a Device) {
        // SAFETY: By the requirements of this function.
        let (buf, device) = unsafe { ((*attachment).dmabuf, (*attachment).dev) };
        // SAFETY: An attachment refers to its buffer, and to a device that is there as long as it is.
        unsafe { (Self::exporter(buf), Device::from_raw(device)) }
    }

    /// Returns the kernel crate's word for a direction.
    fn direction(direction: bindings::dma_data_direction) -> DataDirection {
        match direction {
            bindings::dma_data_direction::DMA_TO_DEVICE => DataDirection::ToDevice,
            bindings::dma_data_direction::DMA_FROM_DEVICE => DataDirection::FromDevice,
            bindings::dma_data_direction::DMA_NONE => DataDirection::None,
            _ => DataDirection::Bidirectional,
        }
    }

    /// Returns what C functions return.
    fn status(result: Result) -> c_int {
        match result {
            Ok(()) => 0,
            Err(error) => error.to_errno(),
        }
    }

    /// # Safety
    ///
    /// As the core calls it.
    unsafe extern "C" fn attach(
        _buf: *mut bindings::dma_buf,
        attachment: *mut bindings::dma_buf_attachment,
    ) -> c_int {
        // SAFETY: By the requirements of this function.
        let (exporter, device) = unsafe { Self::attached(attachment) };
        Self::status(exporter.attach(device))
    }

    /// # Safety
    ///
    /// As the core calls it.
    unsafe extern "C" fn detach(
        _buf: *mut bindings::dma_buf,
        attachment: *mut bindings::dma_buf_attachment,
    ) {
        // SAFETY: By the requirements of this function.
        let (exporter, device) = unsafe { Self::attached(attachment) };
        exporter.detach(device);
    }

    /// # Safety
    ///
    /// As the core calls it.
    unsafe extern "C" fn pin(attachment: *mut bindings::dma_buf_attachment) -> c_int {
        // SAFETY: By the requirements of this function.
        Self::status(unsafe { Self::attached(attachment) }.0.pin())
    }

    /// # Safety
    ///
    /// As the core calls it.
    unsafe extern "C" fn unpin(attachment: *mut bindings::dma_buf_attachment) {
        // SAFETY: By the requirements of this function.
        unsafe { Self::attached(attachment) }.0.unpin();
    }

    /// # Safety
    ///
    /// As the core calls it.
    unsafe extern "C" fn map(
        attachment: *mut bindings::dma_buf_attachment,
        direction: bindings::dma_data_direction,
    ) -> *mut bindings::sg_table {
        // SAFETY: By the requirements of this function.
        let (exporter, device) = unsafe { Self::attached(attachment) };
        match exporter.map(device, Self::direction(direction)) {
            Ok(mapping) => MappedSgTable::into_raw(mapping),
            Err(error) => error.to_ptr(),
        }
    }

    /// # Safety
    ///
    /// As the core calls it: with a table that [`Self::map`] has returned, once.
    unsafe extern "C" fn unmap(
        attachment: *mut bindings::dma_buf_attachment,
        table: *mut bindings::sg_table,
        _direction: bindings::dma_data_direction,
    ) {
        // SAFETY: By the requirements of this function.
        let (exporter, mapping) =
            unsafe { (Self::attached(attachment).0, MappedSgTable::from_raw(table)) };
        exporter.unmap(mapping);
    }

    /// # Safety
    ///
    /// As the core calls it: once, nobody refers to the buffer any more.
    unsafe extern "C" fn release(buf: *mut bindings::dma_buf) {
        // SAFETY: By the requirements of this function. It came from a box that was pinned.
        drop(unsafe { Pin::new_unchecked(KBox::<T>::from_raw((*buf).priv_.cast())) });
    }

    /// # Safety
    ///
    /// As the core calls it.
    unsafe extern "C" fn begin_cpu_access(
        buf: *mut bindings::dma_buf,
        direction: bindings::dma_data_direction,
    ) -> c_int {
        // SAFETY: By the requirements of this function.
        let exporter = unsafe { Self::exporter(buf) };
        Self::status(exporter.begin_cpu_access(Self::direction(direction)))
    }

    /// # Safety
    ///
    /// As the core calls it.
    unsafe extern "C" fn end_cpu_access(
        buf: *mut bindings::dma_buf,
        direction: bindings::dma_data_direction,
    ) -> c_int {
        // SAFETY: By the requirements of this function.
        let exporter = unsafe { Self::exporter(buf) };
        Self::status(exporter.end_cpu_access(Self::direction(direction)))
    }

    /// # Safety
    ///
    /// As the core calls it: `vma` is being set up, and is for no more than the buffer has.
    unsafe extern "C" fn mmap(
        buf: *mut bindings::dma_buf,
        vma: *mut bindings::vm_area_struct,
    ) -> c_int {
        // SAFETY: By the requirements of this function.
        let (exporter, first) = unsafe { (Self::exporter(buf), (*vma).vm_pgoff) };
        // SAFETY: By the requirements of this function.
        Self::status(exporter.mmap(unsafe { VmaNew::from_raw(vma) }, first))
    }

    /// # Safety
    ///
    /// As the core calls it: `map` is valid for writes.
    unsafe extern "C" fn vmap(buf: *mut bindings::dma_buf, map: *mut bindings::iosys_map) -> c_int {
        // SAFETY: By the requirements of this function.
        let (exporter, size) = unsafe { (Self::exporter(buf), (*buf).size) };
        // What is borrowed of the exporter is there until that is released, so after the last unmapping.
        let pages = match exporter.vmap() {
            Ok(pages) if pages.size() >= size => pages,
            Ok(_) => return EINVAL.to_errno(),
            Err(error) => return error.to_errno(),
        };
        let address = bindings::iosys_map__bindgen_ty_1 {
            vaddr: pages.address().as_ptr().cast(),
        };
        // SAFETY: By the requirements of this function.
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
    /// There are no requirements: the memory stays.
    unsafe extern "C" fn vunmap(_buf: *mut bindings::dma_buf, _map: *mut bindings::iosys_map) {}
}

#[kernel::macros::kunit_tests(vfence_dma_buf)]
pub(super) mod tests {
    use super::{
        super::{
            Attachment,
            DmaBuf, //
        },
        *, //
    };
    use crate::kernel_ext::dma_mapping::DmaDevice;
    use kernel::{
        page::PAGE_SIZE,
        sync::{
            aref::ARef,
            atomic::{
                Atomic,
                Relaxed, //
            }, //
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

    struct Plain {
        pages: Arc<Pages>,
        calls: Arc<Calls>,
    }

    impl Exporter for Plain {
        type OwnerModule = crate::LocalModule;

        const NAME: &'static CStr = c"kunit";

        fn attach(&self, _device: &Device) -> Result {
            self.calls.attached.add(1, Relaxed);
            Ok(())
        }

        fn detach(&self, _device: &Device) {
            self.calls.attached.add(-1, Relaxed);
        }

        fn pin(&self) -> Result {
            self.calls.pinned.add(1, Relaxed);
            Ok(())
        }

        fn unpin(&self) {
            self.calls.pinned.add(-1, Relaxed);
        }

        fn map(&self, device: &Device, direction: DataDirection) -> Result<Arc<MappedSgTable>> {
            self.calls.mapped.add(1, Relaxed);
            MappedSgTable::new(self.pages.clone(), device, direction)
        }

        fn unmap(&self, _mapping: Arc<MappedSgTable>) {
            self.calls.mapped.add(-1, Relaxed);
        }

        fn begin_cpu_access(&self, _direction: DataDirection) -> Result {
            self.calls.accessed.add(1, Relaxed);
            Ok(())
        }

        fn end_cpu_access(&self, _direction: DataDirection) -> Result {
            self.calls.accessed.add(-1, Relaxed);
            Ok(())
        }

        fn mmap(&self, vma: &VmaNew, first: usize) -> Result {
            self.pages.map(vma, first)
        }

        fn vmap(&self) -> Result<&Pages> {
            Ok(&self.pages)
        }
    }

    pub(crate) const SIZE: usize = 3 * PAGE_SIZE;

    pub(crate) fn buffer() -> Result<(ARef<DmaBuf>, Arc<Calls>)> {
        let calls = Calls::new()?;
        let plain = Plain {
            pages: Arc::new(Pages::new(SIZE, GFP_KERNEL)?, GFP_KERNEL)?,
            calls: calls.clone(),
        };
        let plain = KBox::pin(plain, GFP_KERNEL)?;
        Ok((DmaBuf::export(plain, SIZE)?, calls))
    }

    #[test]
    fn buffer_has_pages() -> Result {
        let (buf, _) = buffer()?;
        assert_eq!(buf.size(), SIZE);
        for size in [0, 1, PAGE_SIZE + 1] {
            let plain = Plain {
                pages: Arc::new(Pages::new(SIZE, GFP_KERNEL)?, GFP_KERNEL)?,
                calls: Calls::new()?,
            };
            let plain = KBox::pin(plain, GFP_KERNEL)?;
            let refused = DmaBuf::export(plain, size);
            assert!(refused.is_err_and(|error| error == EINVAL));
        }
        Ok(())
    }

    #[test]
    fn device_has_the_buffer_mapped() -> Result {
        let device = DmaDevice::new(c"kunit-dma-buf")?;
        let (buf, calls) = buffer()?;
        let attachment = Attachment::new(buf.clone(), device.device())?;
        assert_eq!(calls.get(), [1, 0, 0, 0]);
        let mapping = attachment.map(DataDirection::Bidirectional)?;
        // An importer that cannot follow the memory has it pinned.
        assert_eq!(calls.get(), [1, 1, 1, 0]);
        let seen: u64 = mapping.table().iter().map(|entry| entry.dma_len()).sum();
        assert_eq!(seen, SIZE as u64);
        drop(mapping);
        assert_eq!(calls.get(), [0; 4]);
        Ok(())
    }

    #[test]
    fn cpu_access_begins_and_ends() -> Result {
        let (buf, calls) = buffer()?;
        let access = buf.begin_cpu_access(DataDirection::Bidirectional)?;
        assert_eq!(calls.get(), [0, 0, 0, 1]);
        drop(access);
        assert_eq!(calls.get(), [0; 4]);
        Ok(())
    }
}
