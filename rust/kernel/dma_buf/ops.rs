// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The operations of exported buffers: C's `struct dma_buf_ops`.

use super::{
    buf::DmaBuf,
    exporter::{
        Exported,
        Exporter, //
    },
};
use crate::{
    bindings,
    kernel_ext::{
        dma_resv::Usage,
        scatterlist::MappedSgTable, //
    },
};
use core::marker::PhantomData;
use kernel::{
    device::Device,
    dma::DataDirection,
    mm::virt::VmaNew,
    prelude::*, //
};

/// The functions that the core calls for the buffers of an exporter.
pub(super) struct ExporterOps<T>(PhantomData<T>);

impl<T: Exporter> ExporterOps<T> {
    // These are all operations of Linux 7.3; a later kernel may have more.
    #[allow(clippy::needless_update)]
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
        ..pin_init::zeroed()
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
    /// must stay valid during the call. The caller must hold the reservation object's lock. The DMA
    /// API must accept the importer's device until [`Self::unmap`].
    unsafe extern "C" fn map(
        attachment: *mut bindings::dma_buf_attachment,
        direction: bindings::dma_data_direction,
    ) -> *mut bindings::sg_table {
        // SAFETY: By the safety requirements of this function.
        let (exported, device) = unsafe { Self::attached(attachment) };
        // SAFETY: By the safety requirements of this function.
        let mapping = unsafe { exported.map(device, Self::direction(direction)) };
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
    pub(super) unsafe extern "C" fn vmap(
        buf: *mut bindings::dma_buf,
        map: *mut bindings::iosys_map,
    ) -> c_int {
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
