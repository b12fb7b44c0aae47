// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Small structures from and to user space.
//!
//! C header: [`include/linux/uaccess.h`](srctree/include/linux/uaccess.h)

use crate::{
    bindings,
    kernel_ext::transmute::Plain, //
};
use core::mem::MaybeUninit;
use kernel::{
    prelude::*,
    uaccess::{
        UserPtr,
        UserSlice, //
    },
};
use zerocopy::{
    FromBytes,
    Immutable,
    IntoBytes, //
};

/// Reads a small structure at `address` in the memory of the current process into `place`, and returns it. Fails with `EFAULT`.
///
/// If it is of whole words, of 8 bytes, that is quicker than with the `kernel` crate's readers.
#[inline]
pub(crate) fn read<T: FromBytes + IntoBytes>(
    address: usize,
    place: &mut MaybeUninit<T>,
) -> Result<&mut T> {
    const WORD: usize = size_of::<u64>();

    if size_of::<T>() % WORD != 0 || align_of::<T>() % WORD != 0 {
        let value = place.write(T::new_zeroed());
        let mut reader = UserSlice::new(UserPtr::from_addr(address), size_of::<T>()).reader();
        reader.read_slice(value.as_mut_bytes())?;
        return Ok(value);
    }
    let (words, count) = (place.as_mut_ptr().cast(), size_of::<T>() / WORD);
    // SAFETY: The place has so many words and their alignment. The function takes any address.
    if !unsafe { bindings::copy_words_from_user(words, address as *const u64, count) } {
        return Err(EFAULT);
    }
    // SAFETY: All its words have been written, and it may have any bits.
    Ok(unsafe { place.assume_init_mut() })
}

/// Writes a small structure to `address` in the memory of the current process. Fails with `EFAULT`; some of it may have been written
/// then.
///
/// If it is of a few words, of 4 bytes, that is quicker than with the `kernel` crate's writers.
#[inline]
pub(crate) fn write<T: IntoBytes + Immutable>(address: usize, value: &T) -> Result {
    const WORD: usize = size_of::<u32>();
    const FEW: usize = 4;

    let count = size_of::<T>() / WORD;
    if size_of::<T>() % WORD != 0 || align_of::<T>() % WORD != 0 || count > FEW {
        let mut writer = UserSlice::new(UserPtr::from_addr(address), size_of::<T>()).writer();
        return writer.write(Plain::of(value));
    }
    let words = (&raw const *value).cast();
    // SAFETY: The value has so many words and their alignment, and no padding. The function takes any address.
    if unsafe { bindings::copy_words_to_user(address as *mut u32, words, count) } {
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
        let (mut words, mut bytes) = (MaybeUninit::new([7u64; 5]), MaybeUninit::new([7u8; 5]));
        for address in [0, 1, usize::MAX - 8, (&raw const words) as usize] {
            assert_eq!(read(address, &mut words), Err(EFAULT));
            assert_eq!(read(address, &mut bytes), Err(EFAULT));
        }
        // SAFETY: It was initialised.
        assert_eq!(unsafe { words.assume_init() }, [7; 5]);
    }

    #[test]
    fn as_many_words_as_there_are_functions_for() {
        fn refused<T: FromBytes + IntoBytes>(value: T) {
            let mut place = MaybeUninit::new(value);
            assert!(read(1, &mut place).is_err());
            assert!(read((&raw const place) as usize, &mut place).is_err());
        }

        refused([7u64; 1]);
        refused([7u64; 3]);
        refused([7u64; 11]);
        refused([7u64; 12]);
        let place = [7u32; 4];
        let address = (&raw const place) as usize;
        assert_eq!(write(address, &[1u32; 1]), Err(EFAULT));
        assert_eq!(write(address, &[1u32; 2]), Err(EFAULT));
        assert_eq!(write(address, &[1u32; 3]), Err(EFAULT));
        assert_eq!(write(address, &[1u32; 4]), Err(EFAULT));
        assert_eq!(place, [7; 4]);
    }

    #[test]
    fn what_is_no_user_memory_is_not_written() {
        // Few words, more, and bytes.
        let (few, more, bytes) = ([1u32; 3], [1u32; 7], [1u8; 5]);
        let words = [7u32; 7];
        for address in [0, 1, usize::MAX - 8, (&raw const words) as usize] {
            assert_eq!(write(address, &few), Err(EFAULT));
            assert_eq!(write(address, &more), Err(EFAULT));
            assert_eq!(write(address, &bytes), Err(EFAULT));
        }
        assert_eq!(words, [7; 7]);
    }
}
