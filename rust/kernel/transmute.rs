// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Plain values, for functions of the kernel crate that want its own traits.

use kernel::transmute;
use zerocopy::{
    Immutable,
    IntoBytes, //
};

/// A value of which zerocopy has checked that it is plain bytes.
///
/// With it, `UserSliceWriter::write()` copies a structure in one piece and without looking
/// whether the kernel's end is a proper object, as C's functions do when the size is a constant.
#[repr(transparent)]
pub(crate) struct Plain<T>(T);

// SAFETY: It is a `T`, which has no padding and no interior mutability, as zerocopy has checked.
unsafe impl<T: IntoBytes + Immutable> transmute::AsBytes for Plain<T> {}

impl<T> Plain<T> {
    /// Returns a value as a plain one.
    pub(crate) fn of(value: &T) -> &Self {
        // SAFETY: By `repr(transparent)` the two have the same layout, and the lifetimes are the same.
        unsafe { &*core::ptr::from_ref(value).cast() }
    }
}
