// SPDX-License-Identifier: GPL-2.0

//! Segments, and lists of them, in the kernel's memory, charged to the caller's memory cgroup.

use super::segments::SEGMENT;
use kernel::prelude::*;
use pin_init::init_array_from_fn;

/// Places for [`SEGMENT`] values.
pub(super) type Segment<T> = KBox<[Option<T>; SEGMENT]>;

/// A list of segments.
pub(super) type Directory<T> = KVVec<Option<Segment<T>>>;

/// Returns an empty segment. Fails with `ENOMEM`.
pub(super) fn segment<T>() -> Result<Segment<T>> {
    KBox::init(
        init_array_from_fn::<_, SEGMENT, Option<T>, Error>(|_| Ok(None)),
        GFP_KERNEL_ACCOUNT,
    )
}

/// Returns a list of `len` segments that are not there yet. Fails with `ENOMEM`.
pub(super) fn directory<T>(len: usize) -> Result<Directory<T>> {
    let mut directory = KVVec::with_capacity(len, GFP_KERNEL_ACCOUNT)?;
    while directory.len() < len {
        directory.push(None, GFP_KERNEL_ACCOUNT)?;
    }
    Ok(directory)
}
