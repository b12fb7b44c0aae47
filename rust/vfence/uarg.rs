// SPDX-License-Identifier: GPL-2.0

//! Extensible structures in user space: the arguments of ioctls, and the elements of their arrays.
//! Also the text that user space writes to files.
//!
//! A structure grows at its end. User space passes the size that it was built for. Fields that it
//! does not have read as 0; fields that the driver does not have must be 0. Besides these rules of
//! `copy_struct_from_user()`, the driver refuses a size that no version of the structure had.

use crate::{
    kernel_ext::uaccess::copy_struct_from_user,
    vfence::refusal::refuse, //
};
use core::mem::MaybeUninit;
use kernel::{
    ioctl::_IOC_SIZE,
    page::PAGE_SIZE,
    prelude::*,
    str::CStr,
    transmute::AsBytes,
    uaccess::{
        UserPtr,
        UserSlice,
        UserSliceReader, //
    },
};
use zerocopy::{
    FromBytes,
    Immutable,
    IntoBytes, //
};

/// A structure in user space: the argument of an ioctl, or an element of an array.
pub(crate) struct UserArg {
    address: usize,
    /// The size in bytes that the caller gives, less than 2^14 for an argument, at most `PAGE_SIZE`
    /// for an element.
    size: usize,
}

impl UserArg {
    /// Returns the argument at `address` of the ioctl `cmd`, whose number includes the size.
    pub(crate) fn new(cmd: u32, address: usize) -> Self {
        Self {
            address,
            size: _IOC_SIZE(cmd),
        }
    }

    /// Returns element `index` of the array at `array` in user space, whose elements have `size`
    /// bytes. `name` names the array in the reason of a refusal.
    ///
    /// Fails with `E2BIG` if `size` exceeds `PAGE_SIZE`, and with `EFAULT` if the address
    /// overflows.
    #[inline(always)]
    pub(crate) fn element(
        name: &'static str,
        array: u64,
        index: usize,
        size: usize,
    ) -> Result<Self> {
        if size > PAGE_SIZE {
            return Err(refuse!(
                E2BIG,
                "{}: an element size of {} exceeds one page, {}",
                name,
                size,
                PAGE_SIZE
            ));
        }
        let offset = index.checked_mul(size);
        let address = usize::try_from(array).ok().zip(offset);
        match address.and_then(|(array, offset)| array.checked_add(offset)) {
            Some(address) => Ok(Self { address, size }),
            None => Err(refuse!(
                EFAULT,
                "{}: element {} of {} bytes at {:#x} is outside the address space",
                name,
                index,
                size,
                array
            )),
        }
    }

    /// Returns `size` bytes at `offset` in the structure. Fails with `EFAULT` if the address
    /// overflows.
    fn slice(&self, offset: usize, size: usize) -> Result<UserSlice> {
        match self.address.checked_add(offset) {
            Some(address) => Ok(UserSlice::new(UserPtr::from_addr(address), size)),
            None => Err(self.inaccessible()),
        }
    }

    /// Copies a structure that has had one size only from user space. Fails as
    /// [`UserArg::read_versioned`] does.
    pub(crate) fn read<T: FromBytes + IntoBytes + Immutable + Copy>(&self) -> Result<T> {
        self.read_versioned(&[])
    }

    /// Copies a structure from user space. `earlier` are the sizes in bytes of its earlier
    /// versions; fields that the caller's version does not have are 0.
    ///
    /// Fails with `EINVAL` if the caller's size is below the current one and not in `earlier`, with
    /// `E2BIG` if it is larger and the rest is not 0, and with `EFAULT` if the memory is not
    /// accessible.
    pub(crate) fn read_versioned<T: FromBytes + IntoBytes + Immutable + Copy>(
        &self,
        earlier: &[usize],
    ) -> Result<T> {
        let mut place = MaybeUninit::uninit();
        Ok(*self.read_versioned_into(&mut place, earlier)?)
    }

    /// Like [`UserArg::read_versioned`], but copies to `place`, so that a large structure is not
    /// moved.
    #[inline]
    pub(crate) fn read_versioned_into<'a, T: FromBytes + IntoBytes + Immutable>(
        &self,
        place: &'a mut MaybeUninit<T>,
        earlier: &[usize],
    ) -> Result<&'a mut T> {
        let size = self.size;
        if size < size_of::<T>() && !earlier.contains(&size) {
            return Err(refuse!(
                EINVAL,
                "{}: no version of the structure has {} bytes; this one has {}",
                short_name::<T>(),
                size,
                size_of::<T>()
            ));
        }
        copy_struct_from_user(place, UserPtr::from_addr(self.address), size)
            .map_err(|error| self.not_copied::<T>(error))
    }

    /// Returns `error`, with which `copy_struct_from_user()` has refused a `T`.
    #[cold]
    #[inline(never)]
    fn not_copied<T>(&self, error: Error) -> Error {
        if error != E2BIG {
            return self.inaccessible();
        }
        let size = self.size;
        refuse!(
            E2BIG,
            "{}: of {} bytes, those beyond the kernel's {} are not all 0",
            short_name::<T>(),
            size,
            size_of::<T>()
        )
    }

    /// Returns the error of an access to the structure.
    #[cold]
    #[inline(never)]
    fn inaccessible(&self) -> Error {
        let (size, address) = (self.size, self.address);
        refuse!(
            EFAULT,
            "a pointer does not point to accessible memory: {} bytes at {:#x}",
            size,
            address
        )
    }

    /// Copies the field at `offset`, which every version has, from user space. Fails with `EFAULT`.
    pub(crate) fn read_field<T: FromBytes + IntoBytes + Copy>(&self, offset: usize) -> Result<T> {
        let mut value = T::new_zeroed();
        let mut reader = self.slice(offset, size_of::<T>())?.reader();
        let read = reader.read_slice(value.as_mut_bytes());
        read.map_err(|_| self.inaccessible())?;
        Ok(value)
    }

    /// Copies a structure to user space, without the fields that the caller's version does not
    /// have. Fails with `EFAULT`.
    pub(crate) fn write<T: IntoBytes + Immutable>(&self, value: &T) -> Result {
        let known = self.size.min(size_of::<T>());
        let mut writer = self.slice(0, known)?.writer();
        let written = writer.write_slice(&value.as_bytes()[..known]);
        written.map_err(|_| self.inaccessible())
    }

    /// Copies a field, or adjacent ones, at `offset`, which every version has, to user space. Fails
    /// with `EFAULT`.
    pub(crate) fn write_field<T: AsBytes>(&self, offset: usize, value: &T) -> Result {
        let written = self.slice(offset, size_of::<T>())?.writer().write(value);
        written.map_err(|_| self.inaccessible())
    }
}

/// Copies to `text` what user space writes to the file `name` in debugfs. Fails with `EFAULT`.
pub(crate) fn read_written(name: &CStr, reader: &mut UserSliceReader, text: &mut [u8]) -> Result {
    let length = text.len();
    let read = reader.read_slice(text);
    read.map_err(|_| refuse!(EFAULT, "{}: {} bytes are not accessible", name, length))
}

/// Returns the name of `T` without its path, such as `vfence_submit`.
fn short_name<T>() -> &'static str {
    let name = core::any::type_name::<T>();
    name.rsplit("::").next().unwrap_or(name)
}
