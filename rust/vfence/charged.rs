// SPDX-License-Identifier: GPL-2.0

//! The memory of rings in the kernel: charged to the memory cgroup of the task that allocates it.

use crate::vfence::sched::ring::{
    RingMemory,
    SEGMENT_LEN, //
};
use kernel::prelude::*;
use pin_init::init_array_from_fn;

/// Allocates segments with `kmalloc()` and directories with `kvmalloc()`, `GFP_KERNEL_ACCOUNT`.
pub(crate) struct ChargedMemory;

impl RingMemory for ChargedMemory {
    type Segment<T> = KBox<[Option<T>; SEGMENT_LEN]>;
    type Directory<T> = KVVec<Option<Self::Segment<T>>>;
    type Error = Error;

    /// Fails with `ENOMEM`.
    fn segment<T>() -> Result<Self::Segment<T>> {
        KBox::init(
            init_array_from_fn::<_, SEGMENT_LEN, Option<T>, Error>(|_| Ok(None)),
            GFP_KERNEL_ACCOUNT,
        )
    }

    /// Fails with `ENOMEM`.
    fn directory<T>(len: usize) -> Result<Self::Directory<T>> {
        let mut directory = KVVec::with_capacity(len, GFP_KERNEL_ACCOUNT)?;
        while directory.len() < len {
            directory.push(None, GFP_KERNEL_ACCOUNT)?;
        }
        Ok(directory)
    }
}
