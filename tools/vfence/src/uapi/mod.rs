// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The raw UAPI: structures and ioctl numbers, a function for each ioctl, and the page of counters.
//!
//! `make uapi` generates the structures and numbers from the headers. Programs use this module for
//! calls that the other types of the crate do not allow. The functions fail with the errno values
//! that the headers document.
//!
//! The functions are safe for any file descriptor: no other driver of the kernel implements these
//! ioctl numbers, so the kernel accesses only the memory of the argument.

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
/// `T` must be the structure of `NUMBER`. Each pointer in `argument` that the kernel writes through
/// must be valid for writes.
unsafe fn update<const NUMBER: Opcode, T>(
    fd: BorrowedFd<'_>,
    argument: &mut T,
) -> Result<(), Errno> {
    // SAFETY: The safety requirements of this function are those of the ioctl.
    unsafe { ioctl::ioctl(fd, Updater::<NUMBER, T>::new(argument)) }
}

/// An ioctl with any number and any argument.
struct Any {
    number: Opcode,
    argument: *mut c_void,
}

// SAFETY: The argument is passed on unchanged; callers of `ioctl()` ensure that it is valid.
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

/// Calls an ioctl whose argument is an integer, and returns its result.
///
/// # Safety
///
/// The kernel must not use the argument of ioctl `number` as a pointer.
unsafe fn by_value(fd: BorrowedFd<'_>, number: Opcode, value: u32) -> Result<IoctlOutput, Errno> {
    let argument = ptr::without_provenance_mut(value as usize);
    // SAFETY: By the safety requirements, the kernel does not use the argument as a pointer.
    unsafe { ioctl::ioctl(fd, Any { number, argument }) }
}

/// Calls ioctl `number` with any argument, valid or not, and returns its result.
///
/// # Safety
///
/// All memory that ioctl `number` of `fd` writes, at `argument` and through pointers in it, must be
/// valid for writes or not mapped.
pub unsafe fn any(
    fd: BorrowedFd<'_>,
    number: u32,
    argument: *mut c_void,
) -> Result<IoctlOutput, Errno> {
    // SAFETY: By the safety requirements, the kernel writes only memory that is valid for writes.
    unsafe { ioctl::ioctl(fd, Any { number, argument }) }
}
