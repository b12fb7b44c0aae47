// SPDX-License-Identifier: GPL-2.0

//! How an ioctl's argument is read and written: the header's "rules for all ioctls".

use kernel::{
    ioctl::_IOC_SIZE,
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

/// Where the argument of an ioctl is in user space, and how large the caller says it is.
pub(super) struct Argument {
    address: usize,
    size: usize,
}

impl Argument {
    /// Returns the argument of a call with the number `cmd`.
    pub(super) fn new(cmd: u32, address: usize) -> Self {
        Self {
            address,
            size: _IOC_SIZE(cmd),
        }
    }

    fn slice(&self, size: usize) -> UserSlice {
        UserSlice::new(UserPtr::from_addr(self.address), size)
    }

    /// Reads the structure.
    ///
    /// Fails with `EINVAL` if the caller's is smaller, with `E2BIG` if it is larger and not zero there,
    /// with `EFAULT` if it is not accessible.
    pub(super) fn read<T: FromBytes + IntoBytes>(&self) -> Result<T> {
        if self.size < size_of::<T>() {
            return Err(EINVAL);
        }
        let mut reader = self.slice(self.size).reader();
        let mut value = T::new_zeroed();
        reader.read_slice(value.as_mut_bytes())?;
        let mut rest = [0; 64];
        while !reader.is_empty() {
            let part = &mut rest[..reader.len().min(64)];
            reader.read_slice(part)?;
            if part.iter().any(|byte| *byte != 0) {
                return Err(E2BIG);
            }
        }
        Ok(value)
    }

    /// Writes the structure back. Fails with `EFAULT`.
    pub(super) fn write<T: IntoBytes + Immutable>(&self, value: &T) -> Result {
        self.slice(size_of::<T>())
            .writer()
            .write_slice(value.as_bytes())
    }
}
