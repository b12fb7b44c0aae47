// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What can be done with an open file of a device, of whatever kind the device is.
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h), `struct file_operations`

use crate::bindings;
use core::marker::PhantomData;
use kernel::{
    error::VTABLE_DEFAULT_ERROR,
    fs::File,
    iov::IovIterDest,
    mm::virt::VmaNew,
    prelude::*,
    seq_file::SeqFile,
    sync::poll::PollTable, //
};

/// What `poll()` returns when there is something to be read.
pub(crate) const READABLE: u32 = bindings::POLLIN | bindings::POLLRDNORM;
/// What `poll()` returns when something can be written, or its like.
pub(crate) const WRITABLE: u32 = bindings::POLLOUT | bindings::POLLWRNORM;

/// An open file of a device.
#[vtable]
pub(crate) trait FileOperations: Send + Sync + Sized + 'static {
    /// What all open files of the device share.
    type Data: Send + Sync + 'static;

    /// Called when the device is opened.
    fn open(data: &Self::Data) -> Result<Pin<KBox<Self>>>;

    /// Called when the last reference to the open file goes.
    fn release(this: Pin<KBox<Self>>);

    /// `read()`; `nonblocking` when it must not wait.
    fn read(this: Pin<&Self>, nonblocking: bool, to: &mut IovIterDest<'_>) -> Result<usize>;

    /// `poll()`: registers with `table` and returns which of [`READABLE`] and [`WRITABLE`] hold. For a file that has none, the core says
    /// that both do, and epoll refuses it.
    fn poll(_this: Pin<&Self>, _file: &File, _table: &PollTable<'_>) -> u32 {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// `mmap()`; `page` is the offset, in pages.
    fn mmap(this: Pin<&Self>, page: usize, vma: &VmaNew) -> Result;

    /// Writes lines to `/proc/PID/fdinfo/FD`.
    fn show_fdinfo(this: Pin<&Self>, seq: &SeqFile);
}

/// Finds what [`FileOperations::open`] has returned for a file.
///
/// # Safety
///
/// `opened()` must return that, pinned, for each file whose operations are the [`Callbacks`] of the type.
pub(crate) unsafe trait Locate {
    /// What it is.
    type File: FileOperations;

    /// # Safety
    ///
    /// `file` has been opened with the [`Callbacks`] of the type, and is not released during `'a`.
    unsafe fn opened<'a>(file: *mut bindings::file) -> Pin<&'a Self::File>;
}

/// What the core calls for open files.
pub(crate) struct Callbacks<L>(PhantomData<L>);

impl<L: Locate> Callbacks<L> {
    /// # Safety
    ///
    /// As the core calls it: `kiocb` is of a file that is open, `iter` is valid for writing.
    pub(crate) unsafe extern "C" fn read_iter(
        kiocb: *mut bindings::kiocb,
        iter: *mut bindings::iov_iter,
    ) -> isize {
        // SAFETY: By the requirements of this function.
        let (file, flags) = unsafe { ((*kiocb).ki_filp, (*kiocb).ki_flags) };
        // SAFETY: The caller holds the file; its flags may change at any time, which does not matter.
        let nonblocking = unsafe { (*file).f_flags } & bindings::O_NONBLOCK != 0
            || flags & bindings::IOCB_NOWAIT != 0;
        // SAFETY: By the requirements of this function; the caller holds the file.
        let opened = unsafe { L::opened(file) };
        // SAFETY: By the requirements of this function.
        let to = unsafe { IovIterDest::from_raw(iter) };
        match L::File::read(opened, nonblocking, to) {
            Ok(read) => read as isize,
            Err(error) => error.to_errno() as isize,
        }
    }

    /// # Safety
    ///
    /// As the core calls it: `file` is open, `table` is null or valid.
    pub(crate) unsafe extern "C" fn poll(
        file: *mut bindings::file,
        table: *mut bindings::poll_table_struct,
    ) -> bindings::__poll_t {
        // SAFETY: By the requirements of this function; the caller holds the file.
        let opened = unsafe { L::opened(file) };
        // SAFETY: By the requirements of this function.
        let table = unsafe { PollTable::from_raw(table) };
        // SAFETY: The caller holds the file, and there is no fdget_pos region on it in this thread: `poll()` takes
        // none.
        let file = unsafe { File::from_raw_file(file) };
        L::File::poll(opened, file, &table)
    }

    /// # Safety
    ///
    /// As the core calls it: `file` is open, `vma` is being set up.
    pub(crate) unsafe extern "C" fn mmap(
        file: *mut bindings::file,
        vma: *mut bindings::vm_area_struct,
    ) -> c_int {
        // SAFETY: By the requirements of this function; the caller holds the file.
        let opened = unsafe { L::opened(file) };
        // SAFETY: By the requirements of this function.
        let (page, vma) = unsafe { ((*vma).vm_pgoff, VmaNew::from_raw(vma)) };
        match L::File::mmap(opened, page, vma) {
            Ok(()) => 0,
            Err(error) => error.to_errno(),
        }
    }

    /// # Safety
    ///
    /// As the core calls it: `file` is open, `seq` is valid and used by nobody else.
    pub(crate) unsafe extern "C" fn show_fdinfo(
        seq: *mut bindings::seq_file,
        file: *mut bindings::file,
    ) {
        // SAFETY: By the requirements of this function; the caller holds the file.
        let opened = unsafe { L::opened(file) };
        // SAFETY: By the requirements of this function.
        L::File::show_fdinfo(opened, unsafe { SeqFile::from_raw(seq) });
    }
}
