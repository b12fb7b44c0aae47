// SPDX-License-Identifier: GPL-2.0

//! The mappings that the jobs of a client need: each buffer is mapped once, however many jobs
//! operate on it.
//!
//! The memory that an exporter allocates to map a buffer grows with the size of the buffer, and the
//! exporter may charge it to no memory cgroup. The table therefore bounds the pages of all mapped
//! buffers of a client, and unmaps a buffer as soon as no job needs it any more.

use crate::{
    kernel_ext::{
        dma_buf::{
            Attachment,
            DmaBuf,
            Mapping,
            Vmap, //
        },
        dma_mapping::DmaDevice, //
    },
    uapi::VFENCE_MAX_MAPPED,
    vfence::{
        buffer::create,
        refusal::refuse, //
    },
};
use kernel::{
    dma::DataDirection,
    page::PAGE_SIZE,
    prelude::*,
    rbtree::{
        RBTree,
        RBTreeNode, //
    },
    str::CStr,
    sync::{
        new_mutex,
        Arc,
        Mutex, //
    },
};

/// Most pages that the mappings of a client may have, see [`pages`].
const MAX_PAGES: usize = VFENCE_MAX_MAPPED as usize;

/// A buffer that is mapped twice: for the DMA of the device, as an importer's driver does, and into
/// the kernel's address space, where the CPU performs the operations.
struct BufferMapping {
    vmap: Vmap,
    _dma: Mapping,
}

impl BufferMapping {
    /// Attaches `device` to `buf` and maps it. Takes the lock of the buffer's reservation object.
    ///
    /// Fails with `ENOMEM`, with `EOPNOTSUPP` if the CPU cannot access the memory, and with the
    /// errno of the exporter.
    fn new(buf: &DmaBuf, device: &Arc<DmaDevice>) -> Result<Arc<Self>> {
        let refused = |error| exporter_refused(buf.exporter_name(), error);
        let attachment = Attachment::new(buf.into(), device.clone()).map_err(refused)?;
        let dma = attachment.map(DataDirection::Bidirectional);
        let mapping = Self {
            _dma: dma.map_err(refused)?,
            vmap: Vmap::new(buf.into()).map_err(refused)?,
        };
        Ok(Arc::new(mapping, GFP_KERNEL_ACCOUNT)?)
    }
}

/// Returns `error`, with which the mapping of a buffer of `exporter` has failed.
#[cold]
#[inline(never)]
fn exporter_refused(exporter: &CStr, error: Error) -> Error {
    if error == ENOMEM || error == EINTR || error == ERESTARTSYS {
        // Not the exporter's refusal, and an errno with one cause.
        error
    } else if error == EOPNOTSUPP {
        refuse!(
            EOPNOTSUPP,
            "submit: the CPU cannot access a buffer of an operation: its exporter, {}, does not \
             map it for the kernel, or it is device memory",
            exporter
        )
    } else {
        let errno = error.to_errno();
        refuse!(
            error,
            "submit: the exporter of a buffer, {}, does not let the device map it: error {}",
            exporter,
            errno
        )
    }
}

/// Returns the number of pages for which `buf` counts towards [`MAX_PAGES`]: 1 for a buffer of this
/// driver, because the memory that its mappings take is charged to a memory cgroup.
fn pages(buf: &DmaBuf) -> usize {
    if create::is_vfence_buffer(buf) {
        1
    } else {
        buf.size().div_ceil(PAGE_SIZE)
    }
}

/// A buffer in the table, and the number of [`MappingCount`]s that keep it there.
struct TableEntry {
    mapping: Arc<BufferMapping>,
    count: usize,
}

/// The contents of a [`MappingTable`].
struct Mappings {
    /// By the address of the buffer, which stays allocated while it is mapped.
    by_address: RBTree<usize, TableEntry>,
    /// The sum of [`pages`] over `by_address`, at most [`MAX_PAGES`].
    pages: usize,
}

/// The mappings that the jobs of a client need.
#[pin_data]
pub(crate) struct MappingTable {
    /// Held while a buffer is mapped or unmapped, so that no buffer is mapped twice and `pages` is
    /// exact. The locks of reservation objects nest inside.
    #[pin]
    mappings: Mutex<Mappings>,
}

impl MappingTable {
    /// Creates an empty table. Fails with `ENOMEM`.
    pub(crate) fn new() -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                mappings <- new_mutex!(Mappings {
                    by_address: RBTree::new(),
                    pages: 0,
                }),
            }),
            GFP_KERNEL_ACCOUNT,
        )
    }

    /// Maps `buf` for `device`, or takes another reference if `buf` is in the table. Takes the lock
    /// of the buffer's reservation object.
    ///
    /// Fails with `ENOSPC` if the client's mappings would have too many pages, `ENOMEM`, with
    /// `EOPNOTSUPP` if the CPU cannot access the memory or DMA goes through bounce buffers, and
    /// with the errno of the exporter.
    pub(crate) fn map(
        table: &Arc<Self>,
        buf: &DmaBuf,
        device: &Arc<DmaDevice>,
    ) -> Result<MappingRef> {
        let address = core::ptr::from_ref(buf).addr();
        let mut mappings = table.mappings.lock();
        let mapping = if let Some(entry) = mappings.by_address.get_mut(&address) {
            entry.count += 1;
            entry.mapping.clone()
        } else {
            let pages = pages(buf);
            let left = MAX_PAGES - mappings.pages;
            if pages > left {
                return Err(refuse!(
                    ENOSPC,
                    "submit: the {} pages of a buffer exceed the {} that are left of \
                     VFENCE_MAX_MAPPED",
                    pages,
                    left
                ));
            }
            // Unmapping copies the bounce buffers back, over what the CPU has written meanwhile.
            if device.is_bounced() {
                return Err(refuse!(
                    EOPNOTSUPP,
                    "submit: operations are not possible: the kernel bounces the accesses of all \
                     devices"
                ));
            }
            let mapping = BufferMapping::new(buf, device)?;
            let entry = TableEntry {
                mapping: mapping.clone(),
                count: 1,
            };
            let node = RBTreeNode::new(address, entry, GFP_KERNEL_ACCOUNT)?;
            mappings.by_address.insert(node);
            mappings.pages += pages;
            mapping
        };
        Ok(MappingRef {
            mapping,
            _count: MappingCount {
                table: table.clone(),
                address,
            },
        })
    }
}

/// A reference of a job to a mapped buffer. Dropping the last reference to a buffer unmaps it,
/// which takes the lock of its reservation object.
pub(crate) struct MappingRef {
    /// Declared, and so dropped, before `_count`: the last reference is then the table's, and
    /// [`MappingCount`] drops that with [`MappingTable::mappings`] held.
    mapping: Arc<BufferMapping>,
    _count: MappingCount,
}

impl MappingRef {
    /// Returns the mapping in the kernel's address space.
    pub(crate) fn vmap(&self) -> &Vmap {
        &self.mapping.vmap
    }
}

/// One of [`TableEntry::count`]. Dropping the last one removes the entry.
struct MappingCount {
    table: Arc<MappingTable>,
    address: usize,
}

impl Drop for MappingCount {
    fn drop(&mut self) {
        let mut mappings = self.table.mappings.lock();
        let Some(entry) = mappings.by_address.get_mut(&self.address) else {
            return;
        };
        entry.count -= 1;
        if entry.count == 0 {
            let pages = pages(entry.mapping.vmap.buf());
            let unmapped = mappings.by_address.remove(&self.address);
            drop(unmapped);
            mappings.pages -= pages;
        }
    }
}
