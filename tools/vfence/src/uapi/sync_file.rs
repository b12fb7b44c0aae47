// SPDX-License-Identifier: GPL-2.0 OR MIT

//! `<linux/sync_file.h>`: the ioctls of a sync_file.

use super::update;
use rustix::fd::{BorrowedFd, FromRawFd, OwnedFd};
use rustix::io::Errno;

#[path = "sync_file_generated.rs"]
mod generated;

pub use generated::*;

/// Calls [`IOC_MERGE`] and returns the new sync_file.
pub fn merge(fd: BorrowedFd<'_>, argument: &mut MergeData) -> Result<OwnedFd, Errno> {
    // SAFETY: `argument` is the structure of this ioctl and has no pointers.
    unsafe { update::<IOC_MERGE, _>(fd, argument) }?;
    // SAFETY: The ioctl succeeded, so this is a new file descriptor of this process.
    Ok(unsafe { OwnedFd::from_raw_fd(argument.fence) })
}

/// Calls [`IOC_FILE_INFO`] and fills `fences`.
pub fn file_info(
    fd: BorrowedFd<'_>,
    argument: &mut FileInfo,
    fences: &mut [FenceInfo],
) -> Result<(), Errno> {
    argument.num_fences = u32::try_from(fences.len()).map_err(|_| Errno::INVAL)?;
    argument.sync_fence_info = fences.as_mut_ptr() as u64;
    // SAFETY: `argument` is the structure of this ioctl; its pointer is valid for writes of
    // `num_fences` fences.
    unsafe { update::<IOC_FILE_INFO, _>(fd, argument) }
}

/// Calls [`IOC_SET_DEADLINE`].
pub fn set_deadline(fd: BorrowedFd<'_>, argument: &mut SetDeadline) -> Result<(), Errno> {
    // SAFETY: `argument` is the structure of this ioctl and has no pointers.
    unsafe { update::<IOC_SET_DEADLINE, _>(fd, argument) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::mem::offset_of;

    #[test]
    fn structures_have_the_layout_of_the_abi() {
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
    fn ioctl_numbers_are_those_of_the_abi() {
        assert_eq!(IOC_MERGE, 0xc030_3e03);
        assert_eq!(IOC_FILE_INFO, 0xc038_3e04);
        assert_eq!(IOC_SET_DEADLINE, 0x4010_3e05);
    }
}
