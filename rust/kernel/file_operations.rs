// SPDX-License-Identifier: GPL-2.0 OR MIT

//! File operations of a device node, whichever subsystem registers the node.
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h), `struct file_operations`
//!
//! The `kernel` crate has file operations for misc devices only, without `poll()` and without data
//! that the device's files share.

use crate::bindings;
use core::marker::PhantomData;
use kernel::{
    error::VTABLE_DEFAULT_ERROR,
    fs::{
        file::flags::O_NONBLOCK,
        File,
        LocalFile, //
    },
    iov::IovIterDest,
    mm::virt::VmaNew,
    prelude::*,
    seq_file::SeqFile,
    sync::poll::PollTable,
    ModuleMetadata, //
};

/// The events of `poll()` when there is data to read.
pub(crate) const READABLE: u32 = bindings::POLLIN | bindings::POLLRDNORM;
/// The events of `poll()` when there is room for a write.
pub(crate) const WRITABLE: u32 = bindings::POLLOUT | bindings::POLLWRNORM;
/// The events of `poll()` when the device is gone.
pub(crate) const HUNG_UP: u32 = bindings::POLLERR | bindings::POLLHUP;

/// An open file of a device.
#[vtable]
pub(crate) trait FileOperations: Send + Sync + Sized + 'static {
    /// The module with the code of the operations, which open files keep loaded.
    type OwnerModule: ModuleMetadata;

    /// The data that all open files of the device share.
    type Data: Send + Sync + 'static;

    /// Called when the device is opened. `id` is the number that the subsystem gives the open file
    /// in fdinfo, if it does.
    fn open(data: &Self::Data, id: Option<u64>) -> Result<Pin<KBox<Self>>>;

    /// Called when the last reference to the open file is dropped.
    fn release(this: Pin<KBox<Self>>);

    /// `read()`. With `nonblocking` it must not wait.
    fn read(this: Pin<&Self>, nonblocking: bool, to: &mut IovIterDest<'_>) -> Result<usize>;

    /// `poll()`: registers with `table` and returns the events that have occurred, [`READABLE`],
    /// [`WRITABLE`] and [`HUNG_UP`]. Without this operation, the core reports the first two, and
    /// `epoll_ctl()` fails with `EPERM`.
    fn poll(_this: Pin<&Self>, _file: &File, _table: &PollTable<'_>) -> u32 {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// `mmap()`. `page` is the offset, in pages.
    fn mmap(this: Pin<&Self>, page: usize, vma: &VmaNew) -> Result;

    /// Writes lines to `/proc/PID/fdinfo/FD`.
    fn show_fdinfo(this: Pin<&Self>, seq: &SeqFile);
}

/// Finds the value that [`FileOperations::open`] returned for a file.
///
/// # Safety
///
/// `opened()` must return that value for each file whose operations are the [`FileCallbacks`] of
/// the type.
pub(crate) unsafe trait FromRawFile {
    /// The type of the value.
    type File: FileOperations;

    /// # Safety
    ///
    /// `file` must be open with the [`FileCallbacks`] of the type, and must not be released during
    /// `'a`.
    unsafe fn opened<'a>(file: *mut bindings::file) -> Pin<&'a Self::File>;
}

/// The functions that the core calls for open files.
pub(crate) struct FileCallbacks<L>(PhantomData<L>);

impl<L: FromRawFile> FileCallbacks<L> {
    /// # Safety
    ///
    /// `kiocb` must be valid. Its file must be open with these operations, and stay open during the
    /// call. `iter` must be a valid destination, which is not used concurrently.
    pub(crate) unsafe extern "C" fn read_iter(
        kiocb: *mut bindings::kiocb,
        iter: *mut bindings::iov_iter,
    ) -> isize {
        // SAFETY: By the safety requirements of this function.
        let (raw, flags) = unsafe { ((*kiocb).ki_filp, (*kiocb).ki_flags) };
        // SAFETY: The file stays open during the call. An `fdget_pos` region without a lock is that
        // of this call, in the current thread.
        let file = unsafe { LocalFile::from_raw_file(raw) };
        // `F_SETFL` may change the file's flags meanwhile; either value is fine.
        let nonblocking = file.flags() & O_NONBLOCK != 0 || flags & bindings::IOCB_NOWAIT != 0;
        // SAFETY: By the safety requirements of this function.
        let opened = unsafe { L::opened(raw) };
        // SAFETY: By the safety requirements of this function.
        let to = unsafe { IovIterDest::from_raw(iter) };
        match L::File::read(opened, nonblocking, to) {
            Ok(read) => read as isize,
            Err(error) => error.to_errno() as isize,
        }
    }

    /// # Safety
    ///
    /// `file` must be open with these operations, and stay open during the call. `table` must be
    /// null or valid.
    pub(crate) unsafe extern "C" fn poll(
        file: *mut bindings::file,
        table: *mut bindings::poll_table_struct,
    ) -> bindings::__poll_t {
        // SAFETY: By the safety requirements of this function.
        let opened = unsafe { L::opened(file) };
        // SAFETY: By the safety requirements of this function.
        let table = unsafe { PollTable::from_raw(table) };
        // SAFETY: The file stays open during the call, and `poll()` has no `fdget_pos` region.
        let file = unsafe { File::from_raw_file(file) };
        L::File::poll(opened, file, &table)
    }

    /// # Safety
    ///
    /// `file` must be open with these operations, and stay open during the call. `vma` must be a
    /// new mapping that is not published yet.
    pub(crate) unsafe extern "C" fn mmap(
        file: *mut bindings::file,
        vma: *mut bindings::vm_area_struct,
    ) -> c_int {
        // SAFETY: By the safety requirements of this function.
        let opened = unsafe { L::opened(file) };
        // SAFETY: By the safety requirements of this function.
        let (page, vma) = unsafe { ((*vma).vm_pgoff, VmaNew::from_raw(vma)) };
        match L::File::mmap(opened, page, vma) {
            Ok(()) => 0,
            Err(error) => error.to_errno(),
        }
    }

    /// # Safety
    ///
    /// `file` must be open with these operations, and stay open during the call. `seq` must be
    /// valid, and not used concurrently.
    pub(crate) unsafe extern "C" fn show_fdinfo(
        seq: *mut bindings::seq_file,
        file: *mut bindings::file,
    ) {
        // SAFETY: By the safety requirements of this function.
        let opened = unsafe { L::opened(file) };
        // SAFETY: By the safety requirements of this function.
        L::File::show_fdinfo(opened, unsafe { SeqFile::from_raw(seq) });
    }
}
