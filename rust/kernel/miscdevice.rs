// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Misc devices whose open files share data.
//!
//! C header: [`include/linux/miscdevice.h`](srctree/include/linux/miscdevice.h)
//!
//! A misc device of the `kernel` crate has no data that its open files share, and no `poll()`. Here
//! the registration holds such [data](FileOperations::Data). It is initialised before the first
//! open, and dropped after the last release, since an open file keeps the module loaded.
//!
//! ```text
//!   MiscDeviceRegistration<T> { T::Data } ── open ──▶ T ── ioctl, read, poll, mmap ── release
//! ```

use super::file_operations::{
    FileCallbacks,
    FileOperations,
    FromRawFile, //
};
use crate::bindings;
use kernel::{
    container_of,
    error::to_result,
    module::this_module,
    prelude::*,
    types::{
        ForeignOwnable,
        Opaque, //
    },
};

/// The return value of an `ioctl()`: a number, or a negative errno.
///
/// Unlike `Result<u32>`, it fits into a register, so a dispatcher can tail-call its handlers.
#[repr(transparent)]
pub(crate) struct IoctlReturn(c_long);

impl From<Result<u32>> for IoctlReturn {
    #[inline]
    fn from(result: Result<u32>) -> Self {
        Self(match result {
            Ok(number) => number as c_long,
            Err(error) => error.to_errno() as c_long,
        })
    }
}

impl From<Result> for IoctlReturn {
    #[inline]
    fn from(result: Result) -> Self {
        result.map(|()| 0).into()
    }
}

/// An open file of a device.
pub(crate) trait MiscDevice: FileOperations {
    /// `ioctl()`, also of 32-bit programs, whose structures must have the same layout, with 64-bit
    /// pointers. The upper half of their `arg`, a pointer or a number, is zero.
    fn ioctl(this: Pin<&Self>, cmd: u32, arg: usize) -> IoctlReturn;
}

/// A registered device, with the data that its open files share.
///
/// # Invariants
///
/// `inner` is registered with [`Self::FILE_OPERATIONS`], and is the `inner` field of a pinned
/// `MiscDeviceRegistration<T>` whose data is initialised.
#[pin_data(PinnedDrop)]
pub(crate) struct MiscDeviceRegistration<T: MiscDevice> {
    #[pin]
    data: T::Data,
    #[pin]
    inner: Opaque<bindings::miscdevice>,
}

// SAFETY: Any thread may call `misc_deregister()`. The data is `Send`.
unsafe impl<T: MiscDevice> Send for MiscDeviceRegistration<T> {}
// SAFETY: No function takes `&self`. Open files share the data, which is `Sync`.
unsafe impl<T: MiscDevice> Sync for MiscDeviceRegistration<T> {}

impl<T: MiscDevice> MiscDeviceRegistration<T> {
    /// Registers the device `name`, whose open files share `data`.
    ///
    /// Fails with `EBUSY` if no minor number is free, with `ENOMEM`, and as `data` does.
    pub(crate) fn register(
        name: &'static CStr,
        data: impl PinInit<T::Data, Error>,
    ) -> impl PinInit<Self, Error> {
        // Fields are initialised in this order: the data before the device can be opened.
        try_pin_init!(Self {
            data <- data,
            inner <- Opaque::try_ffi_init(move |slot: *mut bindings::miscdevice| {
                let device = bindings::miscdevice {
                    // CAST: The macro's value is 255.
                    minor: bindings::MISC_DYNAMIC_MINOR as c_int,
                    name: name.as_char_ptr(),
                    fops: &Self::FILE_OPERATIONS,
                    ..pin_init::zeroed()
                };
                // SAFETY: `slot` is valid for writes.
                unsafe { slot.write(device) };
                // SAFETY: The device is initialised, and pinned until `drop()` has deregistered it.
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
        compat_ioctl: Some(Self::ioctl),
        read_iter: Some(FileCallbacks::<Self>::read_iter),
        poll: if T::HAS_POLL {
            Some(FileCallbacks::<Self>::poll)
        } else {
            None
        },
        mmap: Some(FileCallbacks::<Self>::mmap),
        show_fdinfo: Some(FileCallbacks::<Self>::show_fdinfo),
        ..pin_init::zeroed()
    };

    /// # Safety
    ///
    /// `inode` and `file` must be valid. `file` must not be open yet, and its private data must be
    /// a `miscdevice` that is registered with these operations, and stays registered during the
    /// call.
    unsafe extern "C" fn open(inode: *mut bindings::inode, file: *mut bindings::file) -> c_int {
        // SAFETY: By the safety requirements of this function.
        let ret = unsafe { bindings::generic_file_open(inode, file) };
        if ret != 0 {
            return ret;
        }
        // SAFETY: By the safety requirements of this function.
        let device: *mut bindings::miscdevice = unsafe { (*file).private_data }.cast();
        let inner = Opaque::cast_from(device).cast_mut();
        // SAFETY: By the type invariants a device with these operations is the `inner` field of a
        // registration, which is valid while the device is registered.
        let registration = unsafe { &*container_of!(inner, Self, inner) };
        match T::open(&registration.data, None) {
            Ok(opened) => {
                // SAFETY: The file is not open yet, so its fields may be changed. `read()` supports
                // `IOCB_NOWAIT`, as `FMODE_NOWAIT` promises.
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
    /// `open()` must have opened `file`, and no other function may use the file during or after the
    /// call.
    unsafe extern "C" fn release(_inode: *mut bindings::inode, file: *mut bindings::file) -> c_int {
        // SAFETY: `open()` set the private data. By the safety requirements of this function
        // nothing else uses the file.
        let opened =
            unsafe { <Pin<KBox<T>> as ForeignOwnable>::from_foreign((*file).private_data) };
        T::release(opened);
        0
    }

    /// # Safety
    ///
    /// `open()` must have opened `file`, which must stay open during the call.
    unsafe extern "C" fn ioctl(file: *mut bindings::file, cmd: c_uint, arg: c_ulong) -> c_long {
        // SAFETY: By the safety requirements of this function.
        let opened = unsafe { <Self as FromRawFile>::opened(file) };
        T::ioctl(opened, cmd, arg).0
    }
}

// SAFETY: `open()` sets the private data of a file, and only `release()` takes it back. All other
// functions make only shared references of it.
unsafe impl<T: MiscDevice> FromRawFile for MiscDeviceRegistration<T> {
    type File = T;

    unsafe fn opened<'a>(file: *mut bindings::file) -> Pin<&'a T> {
        // SAFETY: By the safety requirements of this function.
        unsafe { <Pin<KBox<T>> as ForeignOwnable>::borrow((*file).private_data) }
    }
}

#[pinned_drop]
impl<T: MiscDevice> PinnedDrop for MiscDeviceRegistration<T> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By the type invariants the device is registered. The data is dropped after this.
        unsafe { bindings::misc_deregister(self.inner.get()) };
    }
}
