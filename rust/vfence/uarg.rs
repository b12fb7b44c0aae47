// SPDX-License-Identifier: GPL-2.0

//! How an ioctl's argument is read and written: the header's "rules for all ioctls".

use crate::kernel_ext::{
    dma_fence::Fence,
    uaccess::copy_struct_from_user, //
};
use core::mem::MaybeUninit;
use kernel::{
    ioctl::_IOC_SIZE,
    page::PAGE_SIZE,
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

/// Where the argument of an ioctl, or an element of an array, is in user space, and how large the caller says it is.
pub(crate) struct UserArg {
    address: usize,
    size: usize,
}

impl UserArg {
    /// Returns the argument of a call with the number `cmd`.
    pub(crate) fn new(cmd: u32, address: usize) -> Self {
        Self {
            address,
            size: _IOC_SIZE(cmd),
        }
    }

    /// Returns the element `index` of an array in user space at `array`, whose elements have the size `size`.
    ///
    /// Fails with `E2BIG` if that is more than a page, `EFAULT` if there is no such address.
    pub(crate) fn element(array: u64, index: usize, size: usize) -> Result<Self> {
        if size > PAGE_SIZE {
            return Err(E2BIG);
        }
        let array = usize::try_from(array).map_err(|_| EFAULT)?;
        let offset = index.checked_mul(size).ok_or(EFAULT)?;
        Ok(Self {
            address: array.checked_add(offset).ok_or(EFAULT)?,
            size,
        })
    }

    /// Returns the `size` bytes at `offset`. Fails with `EFAULT` if there is no such address.
    fn slice(&self, offset: usize, size: usize) -> Result<UserSlice> {
        let address = self.address.checked_add(offset).ok_or(EFAULT)?;
        Ok(UserSlice::new(UserPtr::from_addr(address), size))
    }

    /// Reads the structure, which has not grown yet.
    ///
    /// Fails as [`UserArg::read_versioned`] does.
    pub(crate) fn read<T: FromBytes + IntoBytes + Immutable + Copy>(&self) -> Result<T> {
        self.read_versioned(&[])
    }

    /// Reads the structure, which had the sizes `earlier` in earlier versions. What the caller's does not have is
    /// zero.
    ///
    /// Fails with `EINVAL` if the caller's ends where no version did, with `E2BIG` if it is larger
    /// than ours and not zero there, with `EFAULT` if it is not accessible.
    pub(crate) fn read_versioned<T: FromBytes + IntoBytes + Immutable + Copy>(
        &self,
        earlier: &[usize],
    ) -> Result<T> {
        let mut place = MaybeUninit::uninit();
        Ok(*self.read_versioned_into(&mut place, earlier)?)
    }

    /// As [`UserArg::read_versioned`], into `place`: what is large is not moved.
    #[inline]
    pub(crate) fn read_versioned_into<'a, T: FromBytes + IntoBytes + Immutable>(
        &self,
        place: &'a mut MaybeUninit<T>,
        earlier: &[usize],
    ) -> Result<&'a mut T> {
        if self.size < size_of::<T>() && !earlier.contains(&self.size) {
            return Err(EINVAL);
        }
        let value = place.write(T::new_zeroed());
        copy_struct_from_user(value, UserPtr::from_addr(self.address), self.size)?;
        Ok(value)
    }

    /// Reads a field at `offset`, which the caller's structure has in every version. Fails with `EFAULT`.
    pub(crate) fn read_field<T: FromBytes + IntoBytes + Copy>(&self, offset: usize) -> Result<T> {
        let mut value = T::new_zeroed();
        let mut reader = self.slice(offset, size_of::<T>())?.reader();
        reader.read_slice(value.as_mut_bytes())?;
        Ok(value)
    }

    /// Writes back what the caller's structure has of ours. Fails with `EFAULT`.
    pub(crate) fn write<T: IntoBytes + Immutable>(&self, value: &T) -> Result {
        let known = self.size.min(size_of::<T>());
        let mut writer = self.slice(0, known)?.writer();
        writer.write_slice(&value.as_bytes()[..known])
    }

    /// Writes back a field, or several in a row, at `offset`, which the caller's structure has in every version.
    ///
    /// Fails with `EFAULT`.
    pub(crate) fn write_field<T: IntoBytes + Immutable>(&self, offset: usize, value: &T) -> Result {
        let mut writer = self.slice(offset, size_of::<T>())?.writer();
        writer.write_slice(value.as_bytes())
    }
}

/// Refuses, with `EINVAL`, what is not zero but must be.
pub(crate) fn must_be_zero(field: u32) -> Result {
    if field == 0 {
        Ok(())
    } else {
        Err(EINVAL)
    }
}

/// Refuses, with `EINVAL`, what is neither zero nor a negative errno that a fence can carry.
pub(crate) fn must_be_errno(field: i32) -> Result {
    if (-Fence::MAX_ERRNO..=0).contains(&field) {
        Ok(())
    } else {
        Err(EINVAL)
    }
}
