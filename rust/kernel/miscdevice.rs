// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Character devices with a name of their own, and one minor number.
//!
//! C header: [`include/linux/miscdevice.h`](srctree/include/linux/miscdevice.h)
//!
//! The `kernel` crate's devices have nothing that their open files share, and cannot be polled. These do: the
//! [data](MiscDevice::Data) of the registration is there before the first file is opened, and after the last one is
//! closed, since an open file keeps the module.
//!
//! ```text
//!   MiscDeviceRegistration<T> { T::Data } ── open ──▶ T ── ioctl, read, poll, mmap ──▶ T ── release
//! ```

use crate::bindings;
use kernel::{
    container_of,
    error::to_result,
    fs::File,
    iov::IovIterDest,
    mm::virt::VmaNew,
    module::this_module,
    prelude::*,
    seq_file::SeqFile,
    sync::poll::PollTable,
    types::{
        ForeignOwnable,
        Opaque, //
    },
};

/// What `poll()` returns when there is something to be read.
pub(crate) const READABLE: u32 = bindings::POLLIN | bindings::POLLRDNORM;
/// What `poll()` returns when something can be written, or its like.
pub(crate) const WRITABLE: u32 = bindings::POLLOUT | bindings::POLLWRNORM;

/// An open file of a device.
#[vtable]
pub(crate) trait MiscDevice: Send + Sync + Sized + 'static {
    /// What all open files of the device share.
    type Data: Send + Sync + 'static;

    /// Called when the device is opened.
    fn open(data: &Self::Data) -> Result<Pin<KBox<Self>>>;

    /// Called when the last reference to the open file goes.
    fn release(this: Pin<KBox<Self>>);

    /// `ioctl()`, also that of 32-bit programs: structures have the same layout, and pointers are 64 bits.
    fn ioctl(this: Pin<&Self>, cmd: u32, arg: usize) -> Result<isize>;

    /// `read()`; `nonblocking` when it must not wait.
    fn read(this: Pin<&Self>, nonblocking: bool, to: &mut IovIterDest<'_>) -> Result<usize>;

    /// `poll()`: registers with `table` and returns which of [`READABLE`] and [`WRITABLE`] hold.
    fn poll(this: Pin<&Self>, file: &File, table: &PollTable<'_>) -> u32;

    /// `mmap()`; `page` is the offset, in pages.
    fn mmap(this: Pin<&Self>, page: usize, vma: &VmaNew) -> Result;

    /// Writes lines to `/proc/PID/fdinfo/FD`.
    fn show_fdinfo(this: Pin<&Self>, seq: &SeqFile);
}

/// A device that is registered, with the data that its open files share.
///
/// # Invariants
///
/// `inner` is registered by `misc_register()`, with the operations of `T`, and is the `inner` of a pinned
/// `MiscDeviceRegistration<T>` whose data is initialised.
#[pin_data(PinnedDrop)]
pub(crate) struct MiscDeviceRegistration<T: MiscDevice> {
    #[pin]
    data: T::Data,
    #[pin]
    inner: Opaque<bindings::miscdevice>,
}

// SAFETY: `misc_deregister()` may be called by any thread; the data is `Send`.
unsafe impl<T: MiscDevice> Send for MiscDeviceRegistration<T> {}
// SAFETY: There is no function that takes `&self`, and open files share the data, which is `Sync`.
unsafe impl<T: MiscDevice> Sync for MiscDeviceRegistration<T> {}

impl<T: MiscDevice> MiscDeviceRegistration<T> {
    /// Registers the device `name`, for the files of which there is `data`.
    ///
    /// Fails with `EBUSY` without a free minor number, `ENOMEM`, or as `data` does.
    pub(crate) fn register(
        name: &'static CStr,
        data: impl PinInit<T::Data, Error>,
    ) -> impl PinInit<Self, Error> {
        // Fields are initialised in this order, so the data is there when the device can be opened.
        try_pin_init!(Self {
            data <- data,
            inner <- Opaque::try_ffi_init(move |slot: *mut bindings::miscdevice| {
                let device = bindings::miscdevice {
                    // CAST: It is a small number that C has as a macro.
                    minor: bindings::MISC_DYNAMIC_MINOR as c_int,
                    name: name.as_char_ptr(),
                    fops: &Self::FILE_OPERATIONS,
                    ..pin_init::zeroed()
                };
                // SAFETY: `slot` is valid for writes.
                unsafe { slot.write(device) };
                // SAFETY: The device is initialised, and stays where it is until `drop()` has deregistered it.
                // INVARIANT: When it succeeds it is registered.
                to_result(unsafe { bindings::misc_register(slot) })
            }),
        }? Error)
    }

    const FILE_OPERATIONS: bindings::file_operations = bindings::file_operations {
        owner: this_module::<T::OwnerModule>().as_ptr(),
        open: Some(Self::open),
        release: Some(Self::release),
        unlocked_ioctl: Some(Self::ioctl),
        #[cfg(CONFIG_COMPAT)]
        compat_ioctl: bindings::compat_ptr_ioctl,
        read_iter: Some(Self::read_iter),
        poll: Some(Self::poll),
        mmap: Some(Self::mmap),
        show_fdinfo: Some(Self::show_fdinfo),
        ..pin_init::zeroed()
    };

    /// # Safety
    ///
    /// As the core calls it: `file` is being opened, its private data is the registered `miscdevice`.
    unsafe extern "C" fn open(inode: *mut bindings::inode, file: *mut bindings::file) -> c_int {
        // SAFETY: Both are valid.
        let ret = unsafe { bindings::generic_file_open(inode, file) };
        if ret != 0 {
            return ret;
        }
        // SAFETY: By the requirements of this function.
        let device: *mut bindings::miscdevice = unsafe { (*file).private_data }.cast();
        let inner = Opaque::cast_from(device).cast_mut();
        // SAFETY: These operations are only those of registered devices, which by the type invariants
        // are the `inner` of a registration. That stays during the call: `misc_open()` holds the lock that
        // `misc_deregister()` takes.
        let registration = unsafe { &*container_of!(inner, Self, inner) };
        match T::open(&registration.data) {
            Ok(opened) => {
                // SAFETY: Who opens a file may set its private data, and say that `read()` can do without waiting.
                unsafe {
                    (*file).private_data = opened.into_foreign();
                    (*file).f_mode |= bindings::FMODE_NOWAIT;
                }
                0
            }
            Err(error) => error.to_errno(),
        }
    }

    /// # Safety
    ///
    /// `file` has been opened by `open()`, and `release()` of it neither has returned nor will during `'a`.
    unsafe fn opened<'a>(file: *mut bindings::file) -> Pin<&'a T> {
        // SAFETY: By the requirements of this function: the private data is what `open()` has set, which is only taken
        // back by `release()`, and only shared references are made of it until then.
        unsafe { <Pin<KBox<T>> as ForeignOwnable>::borrow((*file).private_data) }
    }

    /// # Safety
    ///
    /// As the core calls it: once, `file` has been opened by `open()`.
    unsafe extern "C" fn release(_inode: *mut bindings::inode, file: *mut bindings::file) -> c_int {
        // SAFETY: The private data is what `open()` has set; nobody uses the file any more.
        let opened =
            unsafe { <Pin<KBox<T>> as ForeignOwnable>::from_foreign((*file).private_data) };
        T::release(opened);
        0
    }

    /// # Safety
    ///
    /// As the core calls it: `file` has been opened by `open()`.
    unsafe extern "C" fn ioctl(file: *mut bindings::file, cmd: c_uint, arg: c_ulong) -> c_long {
        // SAFETY: By the requirements of this function; the caller holds the file.
        let opened = unsafe { Self::opened(file) };
        match T::ioctl(opened, cmd, arg) {
            Ok(ret) => ret as c_long,
            Err(error) => error.to_errno() as c_long,
        }
    }

    /// # Safety
    ///
    /// As the core calls it: `kiocb` is of a file that has been opened by `open()`, `iter` is valid for writing.
    unsafe extern "C" fn read_iter(
        kiocb: *mut bindings::kiocb,
        iter: *mut bindings::iov_iter,
    ) -> isize {
        // SAFETY: By the requirements of this function.
        let (file, flags) = unsafe { ((*kiocb).ki_filp, (*kiocb).ki_flags) };
        // SAFETY: The caller holds the file; its flags may change at any time, which does not matter.
        let nonblocking = unsafe { (*file).f_flags } & bindings::O_NONBLOCK != 0
            || flags & bindings::IOCB_NOWAIT != 0;
        // SAFETY: By the requirements of this function; the caller holds the file.
        let opened = unsafe { Self::opened(file) };
        // SAFETY: By the requirements of this function.
        let to = unsafe { IovIterDest::from_raw(iter) };
        match T::read(opened, nonblocking, to) {
            Ok(read) => read as isize,
            Err(error) => error.to_errno() as isize,
        }
    }

    /// # Safety
    ///
    /// As the core calls it: `file` has been opened by `open()`, `table` is null or valid.
    unsafe extern "C" fn poll(
        file: *mut bindings::file,
        table: *mut bindings::poll_table_struct,
    ) -> bindings::__poll_t {
        // SAFETY: By the requirements of this function; the caller holds the file.
        let opened = unsafe { Self::opened(file) };
        // SAFETY: By the requirements of this function.
        let table = unsafe { PollTable::from_raw(table) };
        // SAFETY: The caller holds the file, and there is no fdget_pos region on it in this thread: `poll()` takes
        // none.
        let file = unsafe { File::from_raw_file(file) };
        T::poll(opened, file, &table)
    }

    /// # Safety
    ///
    /// As the core calls it: `file` has been opened by `open()`, `vma` is being set up.
    unsafe extern "C" fn mmap(
        file: *mut bindings::file,
        vma: *mut bindings::vm_area_struct,
    ) -> c_int {
        // SAFETY: By the requirements of this function; the caller holds the file.
        let opened = unsafe { Self::opened(file) };
        // SAFETY: By the requirements of this function.
        let (page, vma) = unsafe { ((*vma).vm_pgoff, VmaNew::from_raw(vma)) };
        match T::mmap(opened, page, vma) {
            Ok(()) => 0,
            Err(error) => error.to_errno(),
        }
    }

    /// # Safety
    ///
    /// As the core calls it: `file` has been opened by `open()`, `seq` is valid and used by nobody else.
    unsafe extern "C" fn show_fdinfo(seq: *mut bindings::seq_file, file: *mut bindings::file) {
        // SAFETY: By the requirements of this function; the caller holds the file.
        let opened = unsafe { Self::opened(file) };
        // SAFETY: By the requirements of this function.
        T::show_fdinfo(opened, unsafe { SeqFile::from_raw(seq) });
    }
}

#[pinned_drop]
impl<T: MiscDevice> PinnedDrop for MiscDeviceRegistration<T> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By the type invariants it is registered. The data is dropped after this.
        unsafe { bindings::misc_deregister(self.inner.get()) };
    }
}
