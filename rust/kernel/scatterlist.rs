// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Scatter-gather tables of pages that are mapped for a device.
//!
//! C headers: [`include/linux/scatterlist.h`](srctree/include/linux/scatterlist.h),
//! [`include/linux/dma-mapping.h`](srctree/include/linux/dma-mapping.h)
//!
//! A table of the `kernel` crate owns its pages and is mapped for one device, that of its driver.
//! An exporter maps the same pages for many devices, which belong to other drivers.

use super::{
    dma_mapping::{
        raw,
        DmaDevice, //
    },
    vmalloc::Pages, //
};
use crate::bindings;
use core::mem::ManuallyDrop;
use kernel::{
    device::Device,
    dma::DataDirection,
    error::to_result,
    page::PAGE_SIZE,
    prelude::*,
    scatterlist::SGTable,
    sync::{
        aref::ARef,
        Arc,
        UniqueArc, //
    },
    types::Opaque, //
};

/// Pages that are mapped for a device: C's `struct sg_table`. Dropping it unmaps them.
///
/// # Invariants
///
/// `table` is initialised, and mapped for `device` in `direction`. The pages stay allocated, and
/// the DMA API accepts the device, until the table is unmapped.
// `into_raw()` and `from_raw()` rely on `table` being the first field.
#[repr(C)]
pub(crate) struct MappedSgTable {
    table: Opaque<bindings::sg_table>,
    device: ARef<Device>,
    direction: DataDirection,
    pages: Arc<Pages>,
    /// Keeps the device bound. `None` for a device of an importer, which answers for it.
    _bound: Option<Arc<DmaDevice>>,
}

// SAFETY: Any thread may use and unmap a table.
unsafe impl Send for MappedSgTable {}
// SAFETY: The functions that take `&self` do not change the table.
unsafe impl Sync for MappedSgTable {}

/// A table that is not mapped. Dropping it frees it.
///
/// # Invariants
///
/// The table is initialised.
struct Unmapped(Opaque<bindings::sg_table>);

impl Unmapped {
    /// Creates a table of `pages`, in segments that `device` can map. Fails with `ENOMEM`, and with
    /// `EINVAL` for too many pages.
    ///
    /// # Safety
    ///
    /// The DMA API must accept the device.
    unsafe fn new(pages: &Pages, device: &Device) -> Result<Self> {
        let mut pointers = KVVec::with_capacity(pages.count(), GFP_KERNEL_ACCOUNT)?;
        for page in pages.pages() {
            pointers.push(page.as_ptr(), GFP_KERNEL_ACCOUNT)?;
        }
        let count = u32::try_from(pages.count()).map_err(|_| EINVAL)?;
        // SAFETY: By the safety requirements of this function.
        let (most, longest) = unsafe {
            (
                bindings::dma_max_mapping_size(raw(device)),
                bindings::dma_get_max_seg_size(raw(device)),
            )
        };
        let longest = match u32::try_from(most) {
            // Unlimited.
            Ok(0) | Err(_) => longest,
            Ok(most) => longest.min(most),
        };
        let table = Opaque::zeroed();
        // SAFETY: The table is valid for writes. The array has `count` pages, which have
        // `pages.size()` bytes. The longest segment is at least a page.
        to_result(unsafe {
            bindings::sg_alloc_table_from_pages_segment(
                table.get(),
                pointers.as_mut_ptr(),
                count,
                0,
                pages.size(),
                longest.max(PAGE_SIZE as u32),
                bindings::GFP_KERNEL_ACCOUNT,
            )
        })?;
        // INVARIANT: The function succeeded. A table does not point to itself, so it may be moved.
        Ok(Self(table))
    }

    /// Returns the table, which the caller must free.
    fn into_inner(self) -> Opaque<bindings::sg_table> {
        let this = ManuallyDrop::new(self);
        // SAFETY: `this` is not used or dropped after this.
        Opaque::new(unsafe { this.0.get().read() })
    }
}

impl Drop for Unmapped {
    fn drop(&mut self) {
        // SAFETY: By the type invariants the table is initialised.
        unsafe { bindings::sg_free_table(self.0.get()) };
    }
}

impl MappedSgTable {
    /// Maps `pages` for `device`, and keeps the device bound. Fails with `ENOMEM`, `EIO`, and with
    /// `EINVAL` if the device cannot reach them or `direction` is none.
    pub(crate) fn new(
        pages: Arc<Pages>,
        device: Arc<DmaDevice>,
        direction: DataDirection,
    ) -> Result<Arc<Self>> {
        let bound = Some(device.clone());
        // SAFETY: `bound` keeps the device bound, with its DMA mask set.
        unsafe { Self::with(pages, device.device(), bound, direction) }
    }

    /// Maps `pages` for a device of another driver. Fails as [`MappedSgTable::new`] does.
    ///
    /// # Safety
    ///
    /// The DMA API must accept the device until the last reference to the mapping is dropped.
    pub(super) unsafe fn for_other(
        pages: Arc<Pages>,
        device: &Device,
        direction: DataDirection,
    ) -> Result<Arc<Self>> {
        // SAFETY: By the safety requirements of this function.
        unsafe { Self::with(pages, device, None, direction) }
    }

    /// # Safety
    ///
    /// The DMA API must accept the device until the last reference to the mapping, which owns
    /// `bound`, is dropped.
    unsafe fn with(
        pages: Arc<Pages>,
        device: &Device,
        bound: Option<Arc<DmaDevice>>,
        direction: DataDirection,
    ) -> Result<Arc<Self>> {
        // A `BUG()` of the DMA API.
        if direction == DataDirection::None {
            return Err(EINVAL);
        }
        let mapped = UniqueArc::new_uninit(GFP_KERNEL_ACCOUNT)?;
        // SAFETY: By the safety requirements of this function.
        let table = unsafe { Unmapped::new(&pages, device) }?;
        // SAFETY: The table is initialised, and its pages are allocated. By the safety requirements
        // of this function the DMA API accepts the device.
        to_result(unsafe {
            bindings::dma_map_sgtable(raw(device), table.0.get(), direction.into(), 0)
        })?;
        // INVARIANT: The table is mapped. By the safety requirements of this function the DMA API
        // accepts the device.
        let mapped = mapped.write(Self {
            table: table.into_inner(),
            device: device.into(),
            direction,
            pages,
            _bound: bound,
        });
        Ok(mapped.into())
    }

    /// Returns the table.
    pub(crate) fn table(&self) -> &SGTable {
        // SAFETY: By the type invariants the table is mapped. It does not change.
        unsafe { SGTable::from_raw(self.table.get()) }
    }

    /// Returns whether the pages are mapped for `device`.
    pub(crate) fn is_for(&self, device: &Device) -> bool {
        core::ptr::eq(&*self.device, device)
    }

    /// Returns whether this is a mapping of `pages`.
    pub(crate) fn is_of(&self, pages: &Arc<Pages>) -> bool {
        Arc::ptr_eq(&self.pages, pages)
    }

    /// Passes a reference to C code.
    pub(crate) fn into_raw(this: Arc<Self>) -> *mut bindings::sg_table {
        Arc::into_raw(this).cast_mut().cast()
    }

    /// # Safety
    ///
    /// `table` must come from [`MappedSgTable::into_raw`], which must have been called once more
    /// for it than this function.
    pub(crate) unsafe fn from_raw(table: *mut bindings::sg_table) -> Arc<Self> {
        // SAFETY: By the safety requirements of this function. `table` is at offset 0.
        unsafe { Arc::from_raw(table.cast()) }
    }

    /// Makes the device's writes visible to the CPU.
    pub(crate) fn sync_for_cpu(&self) {
        // SAFETY: By the type invariants the table is mapped for the device in this direction.
        unsafe {
            bindings::dma_sync_sgtable_for_cpu(
                raw(&self.device),
                self.table.get(),
                self.direction.into(),
            )
        };
    }

    /// Makes the CPU's writes visible to the device.
    pub(crate) fn sync_for_device(&self) {
        // SAFETY: By the type invariants the table is mapped for the device in this direction.
        unsafe {
            bindings::dma_sync_sgtable_for_device(
                raw(&self.device),
                self.table.get(),
                self.direction.into(),
            )
        };
    }
}

impl Drop for MappedSgTable {
    fn drop(&mut self) {
        // SAFETY: By the type invariants the table is mapped for the device in this direction.
        unsafe {
            bindings::dma_unmap_sgtable(
                raw(&self.device),
                self.table.get(),
                self.direction.into(),
                0,
            );
        }
        // SAFETY: The table is initialised and not mapped.
        unsafe { bindings::sg_free_table(self.table.get()) };
    }
}

#[kernel::macros::kunit_tests(vfence_scatterlist)]
mod tests {
    use super::*;
    use crate::kernel_ext::dma_mapping::Bus;

    #[test]
    fn device_sees_all_of_the_pages() -> Result {
        let device = DmaDevice::new(Bus::Faux, c"kunit-dma")?;
        let pages = Arc::new(Pages::new(5 * PAGE_SIZE, GFP_KERNEL)?, GFP_KERNEL)?;
        let direction = DataDirection::Bidirectional;
        let mapped = MappedSgTable::new(pages.clone(), device.clone(), direction)?;
        let seen: u64 = mapped.table().iter().map(|entry| entry.dma_len()).sum();
        assert_eq!(seen, 5 * PAGE_SIZE as u64);
        mapped.sync_for_cpu();
        mapped.sync_for_device();
        // The same pages can be mapped twice.
        let again = MappedSgTable::new(pages, device.clone(), direction)?;
        let addresses = |mapped: &MappedSgTable| {
            mapped
                .table()
                .iter()
                .map(|entry| entry.dma_address())
                .next()
        };
        assert_eq!(addresses(&mapped), addresses(&again));
        // SAFETY: The pointer comes from `into_raw()`.
        drop(unsafe { MappedSgTable::from_raw(MappedSgTable::into_raw(mapped)) });
        // The mapping keeps the device bound.
        drop(device);
        again.sync_for_cpu();
        Ok(())
    }

    #[test]
    fn mapping_needs_a_direction() -> Result {
        let device = DmaDevice::new(Bus::Faux, c"kunit-dma-none")?;
        let pages = Arc::new(Pages::new(PAGE_SIZE, GFP_KERNEL)?, GFP_KERNEL)?;
        let mapped = MappedSgTable::new(pages, device, DataDirection::None);
        assert!(mapped.is_err_and(|error| error == EINVAL));
        Ok(())
    }

    #[test]
    fn segments_fit_the_limit_of_the_device() -> Result {
        let device = DmaDevice::new(Bus::Faux, c"kunit-dma-pieces")?;
        // Physically contiguous pages would make longer segments.
        let pages = Arc::new(Pages::new(1024 * PAGE_SIZE, GFP_KERNEL)?, GFP_KERNEL)?;
        let mapped = MappedSgTable::new(pages, device, DataDirection::Bidirectional)?;
        // The default limit of a device.
        for entry in mapped.table().iter() {
            assert!(entry.dma_len() <= 64 << 10);
        }
        Ok(())
    }
}
