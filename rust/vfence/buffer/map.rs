// SPDX-License-Identifier: GPL-2.0

//! The buffers that the jobs of a client have mapped: each of them once, however many jobs need it.
//!
//! What an exporter allocates to map a buffer grows with the buffer, and it may charge that to nobody. So pages are counted, those of
//! different buffers, and nothing is kept of a buffer once the last job that needs it has let it go.

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
    vfence::buffer::create, //
};
use kernel::{
    dma::DataDirection,
    page::PAGE_SIZE,
    prelude::*,
    rbtree::{
        RBTree,
        RBTreeNode, //
    },
    sync::{
        new_mutex,
        Arc,
        Mutex, //
    },
};

/// Most pages that are mapped at a time.
const MOST: usize = VFENCE_MAX_MAPPED as usize;

/// A buffer as the device has it: mapped for its DMA, and, since that is done by the CPU, in the kernel's address space.
struct BufferMapping {
    vmap: Vmap,
    _mapping: Mapping,
}

impl BufferMapping {
    /// Fails with `ENOMEM`, `EOPNOTSUPP` for the memory of a device, and as the exporter does.
    fn new(buf: &DmaBuf, device: &Arc<DmaDevice>) -> Result<Arc<Self>> {
        let attachment = Attachment::new(buf.into(), device.clone())?;
        let mapped = Self {
            _mapping: attachment.map(DataDirection::Bidirectional)?,
            vmap: Vmap::new(buf.into())?,
        };
        Ok(Arc::new(mapped, GFP_KERNEL_ACCOUNT)?)
    }
}

/// Returns as how many pages a buffer counts. What it takes to map one of ours is charged, as the buffer is.
fn pages(buf: &DmaBuf) -> usize {
    if create::is_ours(buf) {
        1
    } else {
        buf.size().div_ceil(PAGE_SIZE)
    }
}

/// A buffer that is mapped, and how many have it.
struct TableEntry {
    mapped: Arc<BufferMapping>,
    holders: usize,
}

struct Mappings {
    /// By address, which is the buffer's own as long as it is mapped.
    buffers: RBTree<usize, TableEntry>,
    pages: usize,
}

/// The buffers that the jobs of a client have mapped.
#[pin_data]
pub(crate) struct MappingTable {
    /// Held while a buffer is mapped and unmapped, so it is never mapped twice, and what is counted is what there is. The locks of
    /// reservation objects are taken under it.
    #[pin]
    state: Mutex<Mappings>,
}

impl MappingTable {
    /// Returns none. Fails with `ENOMEM`.
    pub(crate) fn new() -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                state <- new_mutex!(Mappings {
                    buffers: RBTree::new(),
                    pages: 0,
                }),
            }),
            GFP_KERNEL_ACCOUNT,
        )
    }

    /// Maps a buffer for `device`, unless it is mapped already. Takes the lock of its reservation object.
    ///
    /// Fails with `ENOSPC` if that were too many pages, `ENOMEM`, `EOPNOTSUPP` for the memory of a device, or if the kernel has ours bounce, and
    /// as the exporter does.
    pub(crate) fn map(
        all: &Arc<Self>,
        buf: &DmaBuf,
        device: &Arc<DmaDevice>,
    ) -> Result<MappingRef> {
        let address = core::ptr::from_ref(buf).addr();
        let mut state = all.state.lock();
        let mapped = if let Some(entry) = state.buffers.get_mut(&address) {
            entry.holders += 1;
            entry.mapped.clone()
        } else {
            let pages = pages(buf);
            if pages > MOST - state.pages {
                return Err(ENOSPC);
            }
            if device.is_bounced() {
                return Err(EOPNOTSUPP);
            }
            let mapped = BufferMapping::new(buf, device)?;
            let entry = TableEntry {
                mapped: mapped.clone(),
                holders: 1,
            };
            let node = RBTreeNode::new(address, entry, GFP_KERNEL_ACCOUNT)?;
            state.buffers.insert(node);
            state.pages += pages;
            mapped
        };
        Ok(MappingRef {
            mapped,
            _held: MappingCount {
                all: all.clone(),
                address,
            },
        })
    }
}

/// A buffer that is mapped for a job. Dropping the last one of the same buffer unmaps it, which takes the lock of its reservation object.
pub(crate) struct MappingRef {
    /// Dropped first, so that the last reference is dropped under the lock.
    mapped: Arc<BufferMapping>,
    _held: MappingCount,
}

impl MappingRef {
    /// Returns where it is in the kernel's address space.
    pub(crate) fn vmap(&self) -> &Vmap {
        &self.mapped.vmap
    }
}

/// One of those who have a buffer mapped.
struct MappingCount {
    all: Arc<MappingTable>,
    address: usize,
}

impl Drop for MappingCount {
    fn drop(&mut self) {
        let mut state = self.all.state.lock();
        let Some(entry) = state.buffers.get_mut(&self.address) else {
            return;
        };
        entry.holders -= 1;
        if entry.holders == 0 {
            let pages = pages(entry.mapped.vmap.buf());
            let unmapped = state.buffers.remove(&self.address);
            drop(unmapped);
            state.pages -= pages;
        }
    }
}
