// SPDX-License-Identifier: GPL-2.0

//! The operations of a job on its buffers, `struct vfence_operation`: how they are checked, and how
//! the worker of the queue performs them in steps.

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
        refusal::refuse,
        uarg::UserArg, //
    },
};
use kernel::{
    prelude::*,
    sync::Arc, //
};

/// Most bytes of one step. It is performed with a spinlock held, for which a timeout, a reset and
/// the destruction of the queue wait.
const STEP: usize = 64 << 10;

/// A checked operation. `target` and `source` are indices in the job's [`BufferUses`]; offsets and
/// lengths are in bytes and within the buffer.
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
    /// Checks an operation on the buffers of `uses`.
    ///
    /// Fails with `EINVAL` as `struct vfence_operation` describes, and with `EACCES` if the
    /// caller's descriptor does not permit the access.
    fn new(from: &vfence_operation, uses: &BufferUses) -> Result<Self> {
        // CAST: An index has 32 bits.
        let (target, source) = (from.target as usize, from.source as usize);
        let writes = from.kind == FILL || from.kind == COPY;
        let reads = from.kind == COPY || from.kind == CRC32C;
        if !(writes || reads) {
            return Err(refuse!(EINVAL, "operation: kind {} is unknown", from.kind));
        }
        if from.length == 0 {
            return Err(refuse!(EINVAL, "operation: length is 0"));
        }
        if writes {
            uses.check_writable(target)?;
            check_range(uses, target, from.target_offset, from.length)?;
        } else if target != 0 || from.target_offset != 0 {
            return Err(refuse!(
                EINVAL,
                "operation: kind {} needs no target and no target_offset: they must be 0",
                from.kind
            ));
        }
        if reads {
            uses.check_readable(source)?;
            check_range(uses, source, from.source_offset, from.length)?;
        } else if source != 0 || from.source_offset != 0 {
            return Err(refuse!(
                EINVAL,
                "operation: kind {} needs no source and no source_offset: they must be 0",
                from.kind
            ));
        }
        if from.kind != FILL && (from.pattern != 0 || from.pattern_size != 0) {
            return Err(refuse!(
                EINVAL,
                "operation: kind {} needs no pattern and no pattern_size: they must be 0",
                from.kind
            ));
        }
        // CAST: `check_range()` bounds these by the size of a buffer; an offset it does not check
        // is 0.
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
                    return Err(refuse!(
                        EINVAL,
                        "operation: the ranges of a copy overlap in one buffer: {} bytes at {} \
                         and {}",
                        length,
                        target_offset,
                        source_offset
                    ));
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

    /// Returns the indices of the buffers that the operation accesses.
    fn buffers(&self) -> impl Iterator<Item = usize> {
        let buffers = match *self {
            Self::Fill { target, .. } => [Some(target), None],
            Self::Copy { target, source, .. } => [Some(target), Some(source)],
            Self::Crc32c { source, .. } => [None, Some(source)],
        };
        buffers.into_iter().flatten()
    }

    /// Returns the number of bytes that the operation processes.
    fn length(&self) -> usize {
        match *self {
            Self::Fill { length, .. } | Self::Copy { length, .. } | Self::Crc32c { length, .. } => {
                length
            }
        }
    }
}

/// Checks that a buffer of `uses` contains the range. Fails with `EINVAL` if not.
fn check_range(uses: &BufferUses, index: usize, offset: u64, length: u64) -> Result {
    let size = uses.buffer(index)?.size() as u64;
    match offset.checked_add(length) {
        Some(end) if end <= size => Ok(()),
        _ => Err(refuse!(
            EINVAL,
            "operation: {} bytes at {} are outside use {}, a buffer of {} bytes",
            length,
            offset,
            index,
            size
        )),
    }
}

/// Returns the pattern of a fill, repeated to 8 bytes.
///
/// Fails with `EINVAL` if `pattern_size` is not 1, 4 or 8, `pattern` is larger than that, or
/// `target_offset` or `length` is no multiple of it.
fn pattern(from: &vfence_operation) -> Result<u64> {
    let size = u64::from(from.pattern_size);
    let (repeated, fits) = match size {
        1 => (0x0101_0101_0101_0101, from.pattern <= 0xff),
        4 => (0x0000_0001_0000_0001, from.pattern <= 0xffff_ffff),
        8 => (1, true),
        _ => {
            return Err(refuse!(
                EINVAL,
                "operation: pattern_size {} is not 1, 4 or 8",
                size
            ))
        }
    };
    if !fits {
        return Err(refuse!(
            EINVAL,
            "operation: pattern {:#x} does not fit in pattern_size, {}",
            from.pattern,
            size
        ));
    }
    if (from.target_offset | from.length) & (size - 1) != 0 {
        return Err(refuse!(
            EINVAL,
            "operation: target_offset {} or length {} is not a multiple of pattern_size, {}",
            from.target_offset,
            from.length,
            size
        ));
    }
    Ok(from.pattern.wrapping_mul(repeated))
}

/// The operations of a job and their progress.
pub(crate) struct OperationList {
    list: KVec<BufferOperation>,
    /// The mappings of the buffers that `list` accesses, each with the index of its buffer.
    mappings: KVec<(usize, MappingRef)>,
    /// The number of operations that are complete, which is the index of the current one.
    completed: usize,
    /// The number of bytes of the current operation that are processed.
    processed: usize,
    /// The CRC-32C of the `processed` bytes, without the final inversion.
    crc: u32,
    /// The checksum of the last complete CRC32C operation, or 0.
    result: u64,
}

impl OperationList {
    /// Copies the operations of a job from user space, checks them against `uses`, and maps the
    /// buffers that they access for `device`. Returns `None` if the job has no operations.
    ///
    /// Fails with `EINVAL` for more than `VFENCE_MAX_OPERATIONS`, with `EFAULT` or `E2BIG` for the
    /// array, and as [`BufferOperation::new`] and [`MappingTable::map`] do.
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
            return Err(refuse!(
                EINVAL,
                "submit: operation_count {} exceeds VFENCE_MAX_OPERATIONS, {}",
                count,
                VFENCE_MAX_OPERATIONS
            ));
        }
        let mut list = KVec::with_capacity(count as usize, GFP_KERNEL_ACCOUNT)?;
        for index in 0..count as usize {
            let size = submit.operation_size as usize;
            let element = UserArg::element("submit: operations", submit.operations, index, size)?;
            let operation = BufferOperation::new(&element.read()?, uses)?;
            list.push(operation, GFP_KERNEL_ACCOUNT)?;
        }
        let mut mapped: KVec<(usize, MappingRef)> = KVec::new();
        for index in list.iter().flat_map(BufferOperation::buffers) {
            if mapped.iter().all(|(other, _)| *other != index) {
                let mapping = MappingTable::map(mappings, uses.buffer(index)?, device)?;
                mapped.push((index, mapping), GFP_KERNEL_ACCOUNT)?;
            }
        }
        Ok(Some(Self {
            list,
            mappings: mapped,
            completed: 0,
            processed: 0,
            crc: 0,
            result: 0,
        }))
    }

    /// Processes up to [`STEP`] bytes of the current operation. Returns the result of the job once
    /// all operations are complete.
    pub(crate) fn step(&mut self) -> Option<u64> {
        let Some(operation) = self.list.get(self.completed).copied() else {
            return Some(self.result);
        };
        let length = STEP.min(operation.length() - self.processed);
        // `BufferOperation::new()` has checked the ranges, and `from_user()` has mapped the
        // buffers.
        let _ = self.process(operation, length);
        self.processed += length;
        if self.processed < operation.length() {
            return None;
        }
        if let BufferOperation::Crc32c { .. } = operation {
            self.result = u64::from(!self.crc);
        }
        self.completed += 1;
        self.processed = 0;
        (self.completed == self.list.len()).then_some(self.result)
    }

    /// Processes `length` bytes of `operation`, the current one, after those that are `processed`.
    ///
    /// Fails with `EINVAL` if a buffer is not mapped or too small.
    fn process(&mut self, operation: BufferOperation, length: usize) -> Result {
        let (mappings, processed) = (&self.mappings, self.processed);
        let vmap = |index: usize| {
            let mut found = mappings.iter().filter(|(other, _)| *other == index);
            found
                .next()
                .map(|(_, mapping)| mapping.vmap())
                .ok_or(EINVAL)
        };
        match operation {
            BufferOperation::Fill {
                target,
                offset,
                pattern,
                ..
            } => vmap(target)?.fill(offset + processed, length, pattern),
            BufferOperation::Copy {
                target,
                target_offset,
                source,
                source_offset,
                ..
            } => vmap(target)?.copy(
                target_offset + processed,
                vmap(source)?,
                source_offset + processed,
                length,
            ),
            BufferOperation::Crc32c { source, offset, .. } => {
                let crc = if processed == 0 { !0 } else { self.crc };
                self.crc = vmap(source)?.crc32c(crc, offset + processed, length)?;
                Ok(())
            }
        }
    }
}
