// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The ioctls as the kernel has them: structures, numbers, and functions that only call; and what can be mapped.
//!
//! For programs that need what the types of this crate do not let them say. All functions fail with the errno
//! values that the headers name.
//!
//! The calls are safe for any file descriptor: no other driver of the kernel answers to these
//! numbers, so the kernel touches nothing but what is passed here.

#![allow(unsafe_code)]

pub mod counters;
pub mod sync_file;
pub mod vfence;

use rustix::fd::BorrowedFd;
use rustix::io::Errno;
use rustix::ioctl::{self, Ioctl, IoctlOutput, Opcode, Updater};
use std::ffi::c_void;
use std::ptr;

/// Calls ioctl `NUMBER`, whose argument is a `T` that the kernel reads and may write.
///
/// # Safety
///
/// `T` must be the structure of `NUMBER`, and its pointers, if it has any that the kernel writes
/// through, be valid for that.
unsafe fn update<const NUMBER: Opcode, T>(
    fd: BorrowedFd<'_>,
    argument: &mut T,
) -> Result<(), Errno> {
    // SAFETY: By the requirements of this function.
    unsafe { ioctl::ioctl(fd, Updater::<NUMBER, T>::new(argument)) }
}

/// An ioctl whose number and argument are anything.
struct Any {
    number: Opcode,
    argument: *mut c_void,
}

// SAFETY: The argument is passed on; whoever makes an `Any` answers for it.
unsafe impl Ioctl for Any {
    type Output = IoctlOutput;

    const IS_MUTATING: bool = true;

    fn opcode(&self) -> Opcode {
        self.number
    }

    fn as_ptr(&mut self) -> *mut c_void {
        self.argument
    }

    unsafe fn output_from_ptr(
        output: IoctlOutput,
        _argument: *mut c_void,
    ) -> rustix::io::Result<IoctlOutput> {
        Ok(output)
    }
}

/// Calls an ioctl whose argument is a number, and returns what it returns.
///
/// # Safety
///
/// The argument of `number` must be no pointer.
unsafe fn by_value(fd: BorrowedFd<'_>, number: Opcode, value: u32) -> Result<IoctlOutput, Errno> {
    let argument = ptr::without_provenance_mut(value as usize);
    // SAFETY: By the requirements of this function the kernel takes the argument for a number.
    unsafe { ioctl::ioctl(fd, Any { number, argument }) }
}

/// Calls the ioctl `number` with any argument, right or wrong, and returns what it returns.
///
/// # Safety
///
/// The kernel may write to `argument`, and through pointers in it, as that number of that file says; it
/// refuses addresses that are not mapped.
pub unsafe fn any(
    fd: BorrowedFd<'_>,
    number: u32,
    argument: *mut c_void,
) -> Result<IoctlOutput, Errno> {
    // SAFETY: By the requirements of this function.
    unsafe { ioctl::ioctl(fd, Any { number, argument }) }
}
