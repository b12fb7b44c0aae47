// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Fences as file descriptors.
//!
//! C header: [`include/linux/sync_file.h`](srctree/include/linux/sync_file.h)
//!
//! A sync_file is a file that holds a reference to a fence. Making one for user space takes two steps, so
//! that everything which can fail comes before the moment at which user space sees it:
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

/// A sync_file that no file descriptor refers to yet.
///
/// Dropping it drops its reference to the fence.
pub(crate) struct SyncFile(ARef<File>);

impl SyncFile {
    /// Creates a sync_file that holds a reference to `fence`.
    ///
    /// Fails with `ENOMEM`, which is also what the C function makes of a system without free files.
    pub(crate) fn create(fence: &Fence) -> Result<Self> {
        // SAFETY: The reference is a valid fence; the function takes a reference of its own.
        let sync_file = unsafe { bindings::sync_file_create(fence.as_raw()) };
        let sync_file = NonNull::new(sync_file).ok_or(ENOMEM)?;
        // SAFETY: The function succeeded, so this is a new sync_file with a file.
        let file = unsafe { (*sync_file.as_ptr()).file };
        // SAFETY: The file is new: we own its only reference, and nobody else has an `fdget_pos`
        // region on it. `File` is a transparent wrapper.
        Ok(Self(unsafe {
            ARef::from_raw(NonNull::new_unchecked(file).cast())
        }))
    }

    /// Makes the file descriptor refer to the sync_file: user space has it from now on.
    pub(crate) fn install(self, fd: FileDescriptorReservation) {
        fd.fd_install(self.0);
    }
}

/// Returns the fence of the sync_file that the descriptor `fd` of the current process refers to.
///
/// It may be a container: see [`unwrap`](super::dma_fence_unwrap::unwrap). Fails with `EBADF` if `fd` is no open file
/// descriptor, with `EINVAL` if it is a file of another kind.
pub(crate) fn get_fence(fd: i32) -> Result<ARef<Fence>> {
    // SAFETY: There are no requirements.
    let fence = unsafe { bindings::sync_file_get_fence(fd) };
    match NonNull::new(fence) {
        // SAFETY: The function returned a reference that is now ours; `Fence` is a transparent
        // wrapper.
        Some(fence) => Ok(unsafe { ARef::from_raw(fence.cast()) }),
        // CAST: What is negative is no descriptor either way.
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
    fn fence_of_an_installed_sync_file_is_found() -> Result {
        let fence = pending()?;
        let file = SyncFile::create(fence.fence())?;
        let reservation = FileDescriptorReservation::get_unused_fd_flags(O_CLOEXEC)?;
        let fd = reservation.reserved_fd();
        // CAST: Descriptors fit.
        assert_eq!(get_fence(fd as i32).err(), Some(EBADF));
        file.install(reservation);
        let found = get_fence(fd as i32)?;
        assert_eq!(found.as_raw(), fence.fence().as_raw());
        // SAFETY: Nobody else knows of the descriptor.
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
    fn no_descriptor_is_ebadf() {
        assert_eq!(get_fence(-1).err(), Some(EBADF));
    }
}
