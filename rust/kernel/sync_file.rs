// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Files that hold a reference to a fence.
//!
//! C header: [`include/linux/sync_file.h`](srctree/include/linux/sync_file.h)
//!
//! Passing a sync_file to user space takes two steps, so that every step that can fail comes before
//! user space can access the file:
//!
//! ```text
//!   SyncFile::create ──┐
//!                      ├──▶ copy_to_user, … ──▶ SyncFile::install
//!   FileDescriptor- ───┘    can fail: drop       cannot fail
//!   Reservation             undoes both
//! ```

use crate::{
    bindings,
    kernel_ext::dma_fence::Fence, //
};
use core::ptr::NonNull;
use kernel::{
    fs::{
        file::FileDescriptorReservation,
        File,
        LocalFile, //
    },
    prelude::*,
    sync::aref::ARef, //
};

/// A sync_file without a file descriptor.
///
/// Dropping it drops its reference to the fence.
pub(crate) struct SyncFile(ARef<File>);

impl SyncFile {
    /// Creates a sync_file that holds a reference to `fence`.
    ///
    /// Fails with `ENOMEM`, also if the system has no free files.
    pub(crate) fn create(fence: &Fence) -> Result<Self> {
        // SAFETY: The reference is a valid fence. The function takes its own reference.
        let sync_file = unsafe { bindings::sync_file_create(fence.as_raw()) };
        let sync_file = NonNull::new(sync_file).ok_or(ENOMEM)?;
        // SAFETY: The function succeeded, so this is a valid sync_file with a file.
        let file = unsafe { (*sync_file.as_ptr()).file };
        // SAFETY: The file is new: `ARef` takes over its only reference, and there is no
        // `fdget_pos` region on it. `File` is a transparent wrapper.
        Ok(Self(unsafe {
            ARef::from_raw(NonNull::new_unchecked(file).cast())
        }))
    }

    /// Installs the sync_file at the file descriptor. User space can access it from now on.
    pub(crate) fn install(self, fd: FileDescriptorReservation) {
        fd.fd_install(self.0);
    }
}

/// Returns the fence of the sync_file that the descriptor `fd` of the current process refers to.
///
/// The fence may be a container, see [`unwrap`](super::dma_fence_unwrap::unwrap). Fails with
/// `EBADF` if `fd` is not an open file descriptor, with `EINVAL` if it refers to another kind of
/// file.
pub(crate) fn get_fence(fd: i32) -> Result<ARef<Fence>> {
    // SAFETY: The function accepts any number.
    let fence = unsafe { bindings::sync_file_get_fence(fd) };
    match NonNull::new(fence) {
        // SAFETY: The function returned a reference, which `ARef` takes over. `Fence` is a
        // transparent wrapper.
        Some(fence) => Ok(unsafe { ARef::from_raw(fence.cast()) }),
        // CAST: A negative number stays an invalid descriptor.
        None => match LocalFile::fget(fd as u32) {
            Ok(_) => Err(EINVAL),
            Err(error) => Err(error.into()),
        },
    }
}

#[kernel::macros::kunit_tests(vfence_sync_file)]
mod tests {
    use super::*;
    use crate::kernel_ext::dma_fence::fixture::pending;
    use kernel::fs::file::flags::O_CLOEXEC;

    #[test]
    fn sync_file_holds_a_reference() -> Result {
        let fence = pending()?;
        let file = SyncFile::create(fence.fence())?;
        let reference: ARef<Fence> = fence.fence().into();
        fence.complete(Ok(()), 1);
        drop(file);
        assert!(reference.is_signaled());
        Ok(())
    }

    #[test]
    fn get_fence_finds_an_installed_sync_file() -> Result {
        let fence = pending()?;
        let file = SyncFile::create(fence.fence())?;
        let reservation = FileDescriptorReservation::get_unused_fd_flags(O_CLOEXEC)?;
        let fd = reservation.reserved_fd();
        // CAST: A descriptor fits into `i32`.
        assert_eq!(get_fence(fd as i32).err(), Some(EBADF));
        file.install(reservation);
        let found = get_fence(fd as i32)?;
        assert_eq!(found.as_raw(), fence.fence().as_raw());
        // SAFETY: Nothing else uses the descriptor.
        unsafe { bindings::close_fd(fd) };
        assert_eq!(get_fence(fd as i32).err(), Some(EBADF));
        Ok(())
    }

    #[test]
    fn reservation_and_file_can_be_dropped() -> Result {
        let fence = pending()?;
        let file = SyncFile::create(fence.fence())?;
        let reservation = FileDescriptorReservation::get_unused_fd_flags(O_CLOEXEC)?;
        let fd = reservation.reserved_fd();
        drop(file);
        drop(reservation);
        assert_eq!(get_fence(fd as i32).err(), Some(EBADF));
        Ok(())
    }

    #[test]
    fn negative_descriptor_is_ebadf() {
        assert_eq!(get_fence(-1).err(), Some(EBADF));
    }
}
