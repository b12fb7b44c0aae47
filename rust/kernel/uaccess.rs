// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Small structures from user space.
//!
//! C header: [`include/linux/uaccess.h`](srctree/include/linux/uaccess.h)

use crate::bindings;
use kernel::{
    prelude::*,
    uaccess::{
        UserPtr,
        UserSlice, //
    },
};
use zerocopy::{
    FromBytes,
    IntoBytes, //
};

/// Reads a small structure at `address` in the memory of the current process into `value`. Fails with `EFAULT`; some of it may have
/// been read then.
///
/// If it is of whole words, of 8 bytes, that is quicker than with the `kernel` crate's readers.
#[inline]
pub(crate) fn read<T: FromBytes + IntoBytes>(address: usize, value: &mut T) -> Result {
    const WORD: usize = size_of::<u64>();

    if size_of::<T>() % WORD != 0 || align_of::<T>() % WORD != 0 {
        let mut reader = UserSlice::new(UserPtr::from_addr(address), size_of::<T>()).reader();
        return reader.read_slice(value.as_mut_bytes());
    }
    let (words, count) = ((&raw mut *value).cast(), size_of::<T>() / WORD);
    // SAFETY: The value has so many words and their alignment, and may have any bits. The function takes any address.
    if unsafe { bindings::copy_words_from_user(words, address as *const u64, count) } {
        Ok(())
    } else {
        Err(EFAULT)
    }
}

#[kernel::macros::kunit_tests(vfence_uaccess)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_user_memory_is_not_read() {
        // Whole words, and not: these go different ways.
        let (mut words, mut bytes) = ([7u64; 5], [7u8; 5]);
        for address in [0, 1, usize::MAX - 8, (&raw const words) as usize] {
            assert_eq!(read(address, &mut words), Err(EFAULT));
            assert_eq!(read(address, &mut bytes), Err(EFAULT));
        }
        assert_eq!(words, [7; 5]);
    }
}
