// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Extensible structures from user space.
//!
//! C header: [`include/linux/uaccess.h`](srctree/include/linux/uaccess.h)
//!
//! This file adds `copy_struct_from_user()` to the `kernel` crate's [`uaccess`](kernel::uaccess).

use crate::bindings;
use core::mem::MaybeUninit;
use kernel::{
    prelude::*,
    uaccess::UserPtr, //
};
use zerocopy::FromBytes;

/// Copies a structure of `size` bytes at `src` in the memory of the current process to `dst`, and
/// returns it.
///
/// If `size` is less than the size of `T`, the rest is filled with zeroes: the caller was built for
/// an earlier version of the structure. If it is greater, the bytes that `T` does not have must be
/// zero.
///
/// Fails with `E2BIG` if one of those bytes is not zero, with `EFAULT` if the memory is not
/// accessible.
#[inline]
pub(crate) fn copy_struct_from_user<T: FromBytes>(
    dst: &mut MaybeUninit<T>,
    src: UserPtr,
    size: usize,
) -> Result<&mut T> {
    // SAFETY: `dst` is valid for writes of its size. The function accepts any user address.
    let error = unsafe {
        bindings::copy_struct_from_user(
            dst.as_mut_ptr().cast(),
            size_of::<T>(),
            src.as_const_ptr(),
            size,
        )
    };
    if error != 0 {
        return Err(Error::from_errno(error));
    }
    // SAFETY: The function has written all bytes, and any bytes are a valid `T`.
    Ok(unsafe { dst.assume_init_mut() })
}

#[kernel::macros::kunit_tests(vfence_uaccess)]
mod tests {
    use super::*;

    #[test]
    fn kernel_and_unmapped_addresses_fault() {
        let (mut words, mut bytes) = (MaybeUninit::new([7u64; 5]), MaybeUninit::new([7u8; 5]));
        for address in [0, 1, usize::MAX - 8, (&raw const words) as usize] {
            let src = UserPtr::from_addr(address);
            // Sizes of an earlier, the current and a later version.
            for size in [8, 40, 48] {
                assert!(matches!(
                    copy_struct_from_user(&mut words, src, size),
                    Err(error) if error == EFAULT
                ));
            }
            assert!(matches!(
                copy_struct_from_user(&mut bytes, src, 5),
                Err(error) if error == EFAULT
            ));
        }
    }

    #[test]
    fn empty_structure_is_all_zeroes() -> Result {
        let mut words = MaybeUninit::new([7u64; 5]);
        let src = UserPtr::from_addr(1);
        assert_eq!(copy_struct_from_user(&mut words, src, 0)?, &mut [0; 5]);
        Ok(())
    }
}
