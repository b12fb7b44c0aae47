// SPDX-License-Identifier: GPL-2.0 OR MIT

//! `<linux/sync_file.h>`: what the kernel offers on the file descriptor of a fence.

use super::update;
use rustix::fd::{BorrowedFd, FromRawFd, OwnedFd};
use rustix::io::Errno;
use rustix::ioctl::{opcode, Opcode};

/// `SYNC_IOC_MAGIC`: the type byte of the ioctl numbers.
pub const IOC_MAGIC: u8 = b'>';
/// Size of the names, the closing NUL included.
pub const NAME_LEN: usize = 32;

/// `struct sync_merge_data`: make a sync_file that contains two others.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct MergeData {
    /// In: name of the new sync_file.
    pub name: [u8; NAME_LEN],
    /// In: file descriptor of the second sync_file.
    pub fd2: i32,
    /// Out: file descriptor of the new sync_file.
    pub fence: i32,
    /// In: must be 0.
    pub flags: u32,
    /// In: must be 0.
    pub pad: u32,
}

/// `struct sync_fence_info`: one fence of a sync_file.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct FenceInfo {
    /// Name of the timeline.
    pub obj_name: [u8; NAME_LEN],
    /// Name of the driver.
    pub driver_name: [u8; NAME_LEN],
    /// 0: pending; 1: signalled; negative: signalled with that errno.
    pub status: i32,
    /// No flags are defined.
    pub flags: u32,
    /// When it signalled, in ns on `CLOCK_MONOTONIC`; 0 while it is pending.
    pub timestamp_ns: u64,
}

/// `struct sync_file_info`: a sync_file as a whole.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct FileInfo {
    /// Out: name of the sync_file.
    pub name: [u8; NAME_LEN],
    /// Out: 0: pending; 1: all fences have signalled; negative: one did with that errno.
    pub status: i32,
    /// In: must be 0.
    pub flags: u32,
    /// In: room for fences, or 0 to ask for their number; out: how many there are.
    pub num_fences: u32,
    /// In: must be 0.
    pub pad: u32,
    /// In: address of an array of [`FenceInfo`].
    pub sync_fence_info: u64,
}

/// `struct sync_set_deadline`: tell the fence's driver by when it is needed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct SetDeadline {
    /// In: the time, in ns on `CLOCK_MONOTONIC`.
    pub deadline_ns: u64,
    /// In: must be 0.
    pub pad: u64,
}

/// `SYNC_IOC_MERGE`, with a [`MergeData`].
pub const IOC_MERGE: Opcode = opcode::read_write::<MergeData>(IOC_MAGIC, 3);
/// `SYNC_IOC_FILE_INFO`, with a [`FileInfo`].
pub const IOC_FILE_INFO: Opcode = opcode::read_write::<FileInfo>(IOC_MAGIC, 4);
/// `SYNC_IOC_SET_DEADLINE`, with a [`SetDeadline`].
pub const IOC_SET_DEADLINE: Opcode = opcode::write::<SetDeadline>(IOC_MAGIC, 5);

/// Calls [`IOC_MERGE`] and returns the new sync_file.
pub fn merge(fd: BorrowedFd<'_>, argument: &mut MergeData) -> Result<OwnedFd, Errno> {
    // SAFETY: The structure is that of the number, and has no pointers.
    unsafe { update::<IOC_MERGE, _>(fd, argument) }?;
    // SAFETY: The call has succeeded, so this is a new file descriptor that belongs to the caller.
    Ok(unsafe { OwnedFd::from_raw_fd(argument.fence) })
}

/// Calls [`IOC_FILE_INFO`], with `fences` as the room for fences.
pub fn file_info(
    fd: BorrowedFd<'_>,
    argument: &mut FileInfo,
    fences: &mut [FenceInfo],
) -> Result<(), Errno> {
    argument.num_fences = u32::try_from(fences.len()).map_err(|_| Errno::INVAL)?;
    argument.sync_fence_info = fences.as_mut_ptr() as u64;
    // SAFETY: The structure is that of the number; its pointer is valid for writes of as many fences as it says.
    unsafe { update::<IOC_FILE_INFO, _>(fd, argument) }
}

/// Calls [`IOC_SET_DEADLINE`].
pub fn set_deadline(fd: BorrowedFd<'_>, argument: &mut SetDeadline) -> Result<(), Errno> {
    // SAFETY: The structure is that of the number, and has no pointers.
    unsafe { update::<IOC_SET_DEADLINE, _>(fd, argument) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::mem::offset_of;

    #[test]
    fn structures_have_the_layout_of_the_header() {
        assert_eq!(size_of::<MergeData>(), 48);
        assert_eq!(offset_of!(MergeData, fd2), 32);
        assert_eq!(offset_of!(MergeData, fence), 36);
        assert_eq!(size_of::<FenceInfo>(), 80);
        assert_eq!(offset_of!(FenceInfo, status), 64);
        assert_eq!(offset_of!(FenceInfo, timestamp_ns), 72);
        assert_eq!(size_of::<FileInfo>(), 56);
        assert_eq!(offset_of!(FileInfo, num_fences), 40);
        assert_eq!(offset_of!(FileInfo, sync_fence_info), 48);
        assert_eq!(size_of::<SetDeadline>(), 16);
    }

    #[test]
    fn numbers_are_those_of_the_header() {
        assert_eq!(IOC_MERGE, 0xc030_3e03);
        assert_eq!(IOC_FILE_INFO, 0xc038_3e04);
        assert_eq!(IOC_SET_DEADLINE, 0x4010_3e05);
    }
}
