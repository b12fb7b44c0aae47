// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Memory as a device sees it, in pieces.
//!
//! C headers: [`include/linux/scatterlist.h`](srctree/include/linux/scatterlist.h),
//! [`include/linux/dma-mapping.h`](srctree/include/linux/dma-mapping.h)
//!
//! The `kernel` crate's tables own their pages, and are for the device of the driver that makes them. An exporter's pages are mapped
//! for many devices, those of others.

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
    device::{
        Bound,
        Device, //
    },
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
/// `table` is initialised, and is mapped for `device` in this direction. The pages are there, and the device is bound, as long as it is.
// The core knows the table only: it comes first.
#[repr(C)]
pub(crate) struct MappedSgTable {
    table: Opaque<bindings::sg_table>,
    device: ARef<Device>,
    direction: DataDirection,
    _pages: Arc<Pages>,
    /// What keeps the device bound, where nobody else sees to it.
    _bound: Option<Arc<DmaDevice>>,
}

// SAFETY: A table belongs to no thread.
unsafe impl Send for MappedSgTable {}
// SAFETY: The functions that take `&self` do not change the table.
unsafe impl Sync for MappedSgTable {}

/// A table that is not mapped yet. Dropping it gives the memory back.
///
/// # Invariants
///
/// It is initialised.
struct Unmapped(Opaque<bindings::sg_table>);

impl Unmapped {
    /// Returns a table of all of `pages`, in pieces that `device` can take. Fails with `ENOMEM`, `EINVAL` for too many.
    fn new(pages: &Pages, device: &Device<Bound>) -> Result<Self> {
        let mut pointers = KVVec::with_capacity(pages.count(), GFP_KERNEL_ACCOUNT)?;
        for page in pages.pages() {
            pointers.push(page, GFP_KERNEL_ACCOUNT)?;
        }
        let count = u32::try_from(pages.count()).map_err(|_| EINVAL)?;
        // SAFETY: The device is valid, and bound.
        let (most, longest) = unsafe {
            (
                bindings::dma_max_mapping_size(raw(device)),
                bindings::dma_get_max_seg_size(raw(device)),
            )
        };
        let longest = match u32::try_from(most) {
            // It is not known.
            Ok(0) | Err(_) => longest,
            Ok(most) => longest.min(most),
        };
        let table = Opaque::zeroed();
        // SAFETY: The table is valid for writes; there are that many pages, whose bytes are all in them. No piece is less than a page.
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
        // INVARIANT: The function has succeeded. A table has a pointer to its list and none to itself, so it may be moved.
        Ok(Self(table))
    }

    /// Returns the table, whose memory the caller gives back.
    fn into_inner(self) -> Opaque<bindings::sg_table> {
        let this = ManuallyDrop::new(self);
        // SAFETY: The original is not used any more.
        Opaque::new(unsafe { this.0.get().read() })
    }
}

impl Drop for Unmapped {
    fn drop(&mut self) {
        // SAFETY: By the type invariants.
        unsafe { bindings::sg_free_table(self.0.get()) };
    }
}

impl MappedSgTable {
    /// Maps all of `pages` for `device`, which stays as long as what is returned. Fails with `ENOMEM`, `EIO`, `EINVAL` if the device
    /// cannot reach them.
    pub(crate) fn new(
        pages: Arc<Pages>,
        device: Arc<DmaDevice>,
        direction: DataDirection,
    ) -> Result<Arc<Self>> {
        let bound = Some(device.clone());
        // SAFETY: The device is bound as long as `bound` is there.
        unsafe { Self::with(pages, device.device(), bound, direction) }
    }

    /// Maps all of `pages` for a device of somebody else. Fails as [`MappedSgTable::new`].
    ///
    /// # Safety
    ///
    /// The device must stay bound as long as what is returned is there.
    pub(super) unsafe fn for_other(
        pages: Arc<Pages>,
        device: &Device<Bound>,
        direction: DataDirection,
    ) -> Result<Arc<Self>> {
        // SAFETY: By the requirements of this function.
        unsafe { Self::with(pages, device, None, direction) }
    }

    /// # Safety
    ///
    /// The device must stay bound as long as what is returned is there, `bound` included.
    unsafe fn with(
        pages: Arc<Pages>,
        device: &Device<Bound>,
        bound: Option<Arc<DmaDevice>>,
        direction: DataDirection,
    ) -> Result<Arc<Self>> {
        let mapped = UniqueArc::new_uninit(GFP_KERNEL_ACCOUNT)?;
        let table = Unmapped::new(&pages, device)?;
        // SAFETY: The table is initialised, and of pages that are there as long as it is. The device is valid, and bound.
        to_result(unsafe {
            bindings::dma_map_sgtable(raw(device), table.0.get(), direction.into(), 0)
        })?;
        // INVARIANT: It was mapped just now; the device stays bound by the requirements of this function.
        let mapped = mapped.write(Self {
            table: table.into_inner(),
            device: device.into(),
            direction,
            _pages: pages,
            _bound: bound,
        });
        Ok(mapped.into())
    }

    /// Returns the table as an importer sees it.
    pub(crate) fn table(&self) -> &SGTable {
        // SAFETY: By the type invariants; it does not change.
        unsafe { SGTable::from_raw(self.table.get()) }
    }

    /// Returns whether the pages are mapped for `device`.
    pub(crate) fn is_for(&self, device: &Device) -> bool {
        core::ptr::eq(&*self.device, device)
    }

    /// Gives a count of it to C code.
    pub(crate) fn into_raw(this: Arc<Self>) -> *mut bindings::sg_table {
        Arc::into_raw(this).cast_mut().cast()
    }

    /// # Safety
    ///
    /// `table` must be from [`MappedSgTable::into_raw`], and is given back once.
    pub(crate) unsafe fn from_raw(table: *mut bindings::sg_table) -> Arc<Self> {
        // SAFETY: By the requirements of this function; the table comes first.
        unsafe { Arc::from_raw(table.cast()) }
    }

    /// Makes what the device has written visible to the CPU.
    pub(crate) fn sync_for_cpu(&self) {
        // SAFETY: By the type invariants.
        unsafe {
            bindings::dma_sync_sgtable_for_cpu(
                raw(&self.device),
                self.table.get(),
                self.direction.into(),
            )
        };
    }

    /// Makes what the CPU has written visible to the device.
    pub(crate) fn sync_for_device(&self) {
        // SAFETY: By the type invariants.
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
        // SAFETY: By the type invariants.
        unsafe {
            bindings::dma_unmap_sgtable(
                raw(&self.device),
                self.table.get(),
                self.direction.into(),
                0,
            );
        }
        // SAFETY: It is initialised, and not mapped any more.
        unsafe { bindings::sg_free_table(self.table.get()) };
    }
}

#[kernel::macros::kunit_tests(vfence_scatterlist)]
mod tests {
    use super::*;

    #[test]
    fn device_sees_all_of_the_pages() -> Result {
        let device = DmaDevice::new(c"kunit-dma")?;
        let pages = Arc::new(Pages::new(5 * PAGE_SIZE, GFP_KERNEL)?, GFP_KERNEL)?;
        let direction = DataDirection::Bidirectional;
        let mapped = MappedSgTable::new(pages.clone(), device.clone(), direction)?;
        let seen: u64 = mapped.table().iter().map(|entry| entry.dma_len()).sum();
        assert_eq!(seen, 5 * PAGE_SIZE as u64);
        mapped.sync_for_cpu();
        mapped.sync_for_device();
        // Once for each device and importer.
        let again = MappedSgTable::new(pages, device.clone(), direction)?;
        let addresses = |mapped: &MappedSgTable| {
            mapped
                .table()
                .iter()
                .map(|entry| entry.dma_address())
                .next()
        };
        assert_eq!(addresses(&mapped), addresses(&again));
        // SAFETY: It is given back once.
        drop(unsafe { MappedSgTable::from_raw(MappedSgTable::into_raw(mapped)) });
        // What is mapped keeps the device.
        drop(device);
        again.sync_for_cpu();
        Ok(())
    }

    #[test]
    fn pieces_are_no_longer_than_the_device_says() -> Result {
        let device = DmaDevice::new(c"kunit-dma-pieces")?;
        // The kernel takes as much as it can get in one piece.
        let pages = Arc::new(Pages::new(1024 * PAGE_SIZE, GFP_KERNEL)?, GFP_KERNEL)?;
        let mapped = MappedSgTable::new(pages, device, DataDirection::Bidirectional)?;
        // What a device can take that says nothing.
        for entry in mapped.table().iter() {
            assert!(entry.dma_len() <= 64 << 10);
        }
        Ok(())
    }
}
