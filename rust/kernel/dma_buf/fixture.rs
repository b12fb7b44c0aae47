// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Buffers for KUnit cases.

use super::{
    attachment::Mapping,
    buf::DmaBuf,
    exporter::Exporter,
    ops::ExporterOps, //
};
use crate::{
    bindings,
    kernel_ext::{
        dma_mapping::DmaDevice,
        scatterlist::MappedSgTable,
        vmalloc::Pages, //
    },
};
use kernel::{
    device::Device,
    dma::DataDirection,
    page::PAGE_SIZE,
    prelude::*,
    str::CStr,
    sync::{
        aref::ARef,
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        SetOnce, //
    },
};

/// Counts the calls of a [`KunitExporter`]'s functions.
pub(super) struct Calls {
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

    /// Returns the numbers of attachments, pins, mappings and CPU accesses that have not ended.
    pub(super) fn get(&self) -> [i32; 4] {
        [&self.attached, &self.pinned, &self.mapped, &self.accessed]
            .map(|count| count.load(Relaxed))
    }
}

/// An exporter that counts its calls, and refuses some.
struct KunitExporter {
    calls: Arc<Calls>,
    /// The device for which importers share a mapping.
    shared_for: Option<Arc<DmaDevice>>,
    shared: SetOnce<Arc<MappedSgTable>>,
    pages: Arc<Pages>,
    refused: Refused,
}

/// The calls that an exporter refuses.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    None,
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

    fn map(&self, _device: &Device) -> Result {
        self.refuse(Refused::Mappings)?;
        self.calls.mapped.add(1, Relaxed);
        Ok(())
    }

    fn unmap(&self) {
        self.calls.mapped.add(-1, Relaxed);
    }

    fn shared_mapping(&self, device: &Device) -> Result<Option<Arc<MappedSgTable>>> {
        let Some(own) = &self.shared_for else {
            return Ok(None);
        };
        if !own.is(device) {
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

/// The size of all buffers.
pub(super) const SIZE: usize = 3 * PAGE_SIZE;

fn exporter(shared_for: Option<Arc<DmaDevice>>, refused: Refused) -> Result<KunitExporter> {
    Ok(KunitExporter {
        calls: Calls::new()?,
        shared_for,
        shared: SetOnce::new(),
        pages: Arc::new(Pages::new(SIZE, GFP_KERNEL)?, GFP_KERNEL)?,
        refused,
    })
}

pub(super) fn exported(
    shared_for: Option<Arc<DmaDevice>>,
    refused: Refused,
) -> Result<(ARef<DmaBuf>, Arc<Calls>)> {
    let exporter = exporter(shared_for, refused)?;
    let (pages, calls) = (exporter.pages.clone(), exporter.calls.clone());
    Ok((DmaBuf::export(exporter, pages)?, calls))
}

fn with_vmap(ops: &'static bindings::dma_buf_ops) -> Result<ARef<DmaBuf>> {
    let exporter = exporter(None, Refused::None)?;
    let pages = exporter.pages.clone();
    // SAFETY: The operations are those of the exporter, except for `vmap` and `vunmap`.
    unsafe { DmaBuf::export_with(exporter, pages, ops) }
}

/// Returns a buffer whose exporter has no `vmap` operation.
pub(super) fn buffer_without_vmap() -> Result<ARef<DmaBuf>> {
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
pub(super) fn buffer_of_a_device() -> Result<ARef<DmaBuf>> {
    /// # Safety
    ///
    /// `buf` must have been exported with the private data of a [`KunitExporter`], and must not be
    /// released during the call. `map` must be valid for writes.
    unsafe extern "C" fn vmap(buf: *mut bindings::dma_buf, map: *mut bindings::iosys_map) -> c_int {
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

/// Returns a buffer, and the calls of its exporter.
pub(super) fn buffer() -> Result<(ARef<DmaBuf>, Arc<Calls>)> {
    exported(None, Refused::None)
}

/// Returns the number of bytes that a device can access.
pub(super) fn dma_len(mapping: &Mapping) -> u64 {
    mapping.table().iter().map(|entry| entry.dma_len()).sum()
}
