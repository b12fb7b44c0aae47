// SPDX-License-Identifier: GPL-2.0

//! What a job does with buffers: `struct vfence_operation`, and how far it has come.

use crate::{
    kernel_ext::dma_mapping::DmaDevice,
    uapi::{
        vfence_operation,
        vfence_operation_kind_VFENCE_OPERATION_COPY as COPY,
        vfence_operation_kind_VFENCE_OPERATION_CRC32C as CRC32C,
        vfence_operation_kind_VFENCE_OPERATION_FILL as FILL,
        vfence_submit,
        VFENCE_MAX_OPERATIONS, //
    },
    vfence::{
        buffer::{
            map::{
                MappingRef,
                MappingTable, //
            },
            resv::BufferUses, //
        },
        uarg::UserArg, //
    },
};
use kernel::{
    prelude::*,
    sync::Arc, //
};

/// How much is done at a time, in bytes: for so long an end that is forced has to wait.
const STEP: usize = 256 << 10;

/// An operation; buffers are told by their index among those that are used.
#[derive(Clone, Copy)]
enum BufferOperation {
    Fill {
        target: usize,
        offset: usize,
        pattern: u64,
        length: usize,
    },
    Copy {
        target: usize,
        target_offset: usize,
        source: usize,
        source_offset: usize,
        length: usize,
    },
    Crc32c {
        source: usize,
        offset: usize,
        length: usize,
    },
}

impl BufferOperation {
    /// Returns what user space describes. Fails with `EINVAL` if that cannot be.
    fn from_user(from: &vfence_operation, uses: &BufferUses) -> Result<Self> {
        // CAST: Indices and offsets are checked against what there is, which fits.
        let (target, source) = (from.target as usize, from.source as usize);
        let writes = from.kind == FILL || from.kind == COPY;
        let reads = from.kind == COPY || from.kind == CRC32C;
        if !(writes || reads) || from.length == 0 {
            return Err(EINVAL);
        }
        if writes {
            uses.check_writable(target)?;
            must_be_inside(uses, target, from.target_offset, from.length)?;
        } else if target != 0 || from.target_offset != 0 {
            return Err(EINVAL);
        }
        if reads {
            uses.check_readable(source)?;
            must_be_inside(uses, source, from.source_offset, from.length)?;
        } else if source != 0 || from.source_offset != 0 {
            return Err(EINVAL);
        }
        if from.kind != FILL && (from.pattern != 0 || from.pattern_size != 0) {
            return Err(EINVAL);
        }
        let (target_offset, source_offset) =
            (from.target_offset as usize, from.source_offset as usize);
        let length = from.length as usize;
        match from.kind {
            FILL => Ok(Self::Fill {
                target,
                offset: target_offset,
                pattern: pattern(from)?,
                length,
            }),
            COPY => {
                let apart = target_offset.abs_diff(source_offset) >= length;
                if !apart && uses.is_same(target, source)? {
                    return Err(EINVAL);
                }
                Ok(Self::Copy {
                    target,
                    target_offset,
                    source,
                    source_offset,
                    length,
                })
            }
            _ => Ok(Self::Crc32c {
                source,
                offset: source_offset,
                length,
            }),
        }
    }

    /// Returns which buffers it needs.
    fn needs(&self) -> impl Iterator<Item = usize> {
        let both = match *self {
            Self::Fill { target, .. } => [Some(target), None],
            Self::Copy { target, source, .. } => [Some(target), Some(source)],
            Self::Crc32c { source, .. } => [None, Some(source)],
        };
        both.into_iter().flatten()
    }

    fn length(&self) -> usize {
        match *self {
            Self::Fill { length, .. } | Self::Copy { length, .. } | Self::Crc32c { length, .. } => {
                length
            }
        }
    }
}

/// Refuses, with `EINVAL`, ranges that are not in the buffer.
fn must_be_inside(uses: &BufferUses, index: usize, offset: u64, length: u64) -> Result {
    let size = uses.buffer(index)?.size() as u64;
    match offset.checked_add(length) {
        Some(end) if end <= size => Ok(()),
        _ => Err(EINVAL),
    }
}

/// Returns eight bytes of the pattern. Fails with `EINVAL` if that does not fit the range.
fn pattern(from: &vfence_operation) -> Result<u64> {
    let size = u64::from(from.pattern_size);
    let (repeated, fits) = match size {
        1 => (0x0101_0101_0101_0101, from.pattern <= 0xff),
        4 => (0x0000_0001_0000_0001, from.pattern <= 0xffff_ffff),
        8 => (1, true),
        _ => return Err(EINVAL),
    };
    // The size is a power of two.
    if !fits || (from.target_offset | from.length) & (size - 1) != 0 {
        return Err(EINVAL);
    }
    Ok(from.pattern.wrapping_mul(repeated))
}

/// The operations of a job, and how far they have come.
pub(crate) struct OperationList {
    list: KVec<BufferOperation>,
    /// Those that operations need, in no order, each with its index among those that are used.
    buffers: KVec<(usize, MappingRef)>,
    /// How many are done, and how much of the next one.
    done: usize,
    bytes: usize,
    /// Of the range that is summed up.
    crc: u32,
    /// The last sum.
    result: u64,
}

impl OperationList {
    /// Prepares the operations of a job; returns `None` if there are none.
    ///
    /// Fails with `EINVAL` for too many, and for those that cannot be; `ENOSPC` if the client's jobs need too much of buffers;
    /// `EFAULT`, `E2BIG`, `ENOMEM`, `EOPNOTSUPP` for the memory of a device, and as exporters do.
    pub(crate) fn from_user(
        mappings: &Arc<MappingTable>,
        device: &Arc<DmaDevice>,
        submit: &vfence_submit,
        uses: &BufferUses,
    ) -> Result<Option<Self>> {
        let count = submit.operation_count;
        if count == 0 {
            return Ok(None);
        }
        if count > VFENCE_MAX_OPERATIONS {
            return Err(EINVAL);
        }
        let mut list: KVec<BufferOperation> =
            KVec::with_capacity(count as usize, GFP_KERNEL_ACCOUNT)?;
        for index in 0..count as usize {
            let size = submit.operation_size as usize;
            let element = UserArg::element(submit.operations, index, size)?;
            let operation = BufferOperation::from_user(&element.read()?, uses)?;
            list.push(operation, GFP_KERNEL_ACCOUNT)?;
        }
        let mut buffers: KVec<(usize, MappingRef)> = KVec::new();
        for index in list.iter().flat_map(BufferOperation::needs) {
            if buffers.iter().all(|(other, _)| *other != index) {
                let mapped = MappingTable::map(mappings, uses.buffer(index)?, device)?;
                buffers.push((index, mapped), GFP_KERNEL_ACCOUNT)?;
            }
        }
        Ok(Some(Self {
            list,
            buffers,
            done: 0,
            bytes: 0,
            crc: 0,
            result: 0,
        }))
    }

    /// Does some of what is left. Returns the result when that was all.
    pub(crate) fn step(&mut self) -> Option<u64> {
        let Some(operation) = self.list.get(self.done).copied() else {
            return Some(self.result);
        };
        let length = STEP.min(operation.length() - self.bytes);
        // What was checked when it was submitted cannot fail.
        let _ = self.some(operation, self.bytes, length);
        self.bytes += length;
        if self.bytes < operation.length() {
            return None;
        }
        if let BufferOperation::Crc32c { .. } = operation {
            self.result = u64::from(!self.crc);
        }
        self.done += 1;
        self.bytes = 0;
        (self.done == self.list.len()).then_some(self.result)
    }

    /// Does `length` bytes of an operation, `from` its beginning.
    fn some(&mut self, operation: BufferOperation, from: usize, length: usize) -> Result {
        let buffers = &self.buffers;
        let vmap = |index: usize| {
            let mut found = buffers.iter().filter(|(other, _)| *other == index);
            found.next().map(|(_, mapped)| mapped.vmap()).ok_or(EINVAL)
        };
        match operation {
            BufferOperation::Fill {
                target,
                offset,
                pattern,
                ..
            } => vmap(target)?.fill(offset + from, length, pattern),
            BufferOperation::Copy {
                target,
                target_offset,
                source,
                source_offset,
                ..
            } => vmap(target)?.copy(
                target_offset + from,
                vmap(source)?,
                source_offset + from,
                length,
            ),
            BufferOperation::Crc32c { source, offset, .. } => {
                let before = if from == 0 { !0 } else { self.crc };
                self.crc = vmap(source)?.crc32c(before, offset + from, length)?;
                Ok(())
            }
        }
    }
}
