// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Extensible structures from user space.
//!
//! C header: [`include/linux/uaccess.h`](srctree/include/linux/uaccess.h)
//!
//! This file adds `copy_struct_from_user()` to the `kernel` crate's [`uaccess`](kernel::uaccess).

use crate::bindings;
use kernel::{
    error::to_result,
    prelude::*,
    uaccess::UserPtr, //
};
use zerocopy::{
    FromBytes,
    IntoBytes, //
};

/// Copies a structure of `size` bytes at `src` in the memory of the current process to `dst`.
///
/// If `size` is less than the size of `T`, the rest of `dst` is filled with zeroes: the caller was
/// built for an earlier version of the structure. If it is greater, the bytes that `T` does not
/// have must be zero.
///
/// Fails with `E2BIG` if one of those bytes is not zero, with `EFAULT` if the memory is not
/// accessible. `dst` may be overwritten in part in either case.
pub(crate) fn copy_struct_from_user<T: FromBytes + IntoBytes>(
    dst: &mut T,
    src: UserPtr,
    size: usize,
) -> Result {
    // SAFETY: `dst` is valid for writes of its size, and any bytes are a valid `T`. The function
    // accepts any user address.
    to_result(unsafe {
        bindings::copy_struct_from_user(
            (&raw mut *dst).cast(),
            size_of::<T>(),
            src.as_const_ptr(),
            size,
        )
    })
}

#[kernel::macros::kunit_tests(vfence_uaccess)]
mod tests {
    use super::*;

    #[test]
    fn kernel_and_unmapped_addresses_fault() {
        let (mut words, mut bytes) = ([7u64; 5], [7u8; 5]);
        for address in [0, 1, usize::MAX - 8, (&raw const words) as usize] {
            let src = UserPtr::from_addr(address);
            // Sizes of an earlier, the present and a later version.
            for size in [8, 40, 48] {
                assert_eq!(copy_struct_from_user(&mut words, src, size), Err(EFAULT));
            }
            assert_eq!(copy_struct_from_user(&mut bytes, src, 5), Err(EFAULT));
        }
    }

    #[test]
    fn empty_structure_is_all_zeroes() {
        let mut words = [7u64; 5];
        let src = UserPtr::from_addr(1);
        assert_eq!(copy_struct_from_user(&mut words, src, 0), Ok(()));
        assert_eq!(words, [0; 5]);
    }
}
