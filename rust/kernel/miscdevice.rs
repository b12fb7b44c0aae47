// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Character devices with a name of their own, and one minor number.
//!
//! C header: [`include/linux/miscdevice.h`](srctree/include/linux/miscdevice.h)
//!
//! The `kernel` crate's devices have nothing that their open files share, and cannot be polled. These do: the
//! [data](FileOperations::Data) of the registration is there before the first file is opened, and after the last one is
//! closed, since an open file keeps the module.
//!
//! ```text
//!   MiscDeviceRegistration<T> { T::Data } ── open ──▶ T ── ioctl, read, poll, mmap ──▶ T ── release
//! ```

use super::file_operations::{
    Callbacks,
    FileOperations,
    Locate, //
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

/// What an `ioctl()` returns to the core: a number, or a negative errno.
///
/// It fits into a register, so that who does different things for different commands can leave it to each of these to return it.
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
    /// `ioctl()`, also that of 32-bit programs: structures have the same layout, pointers in them are 64 bits, and `arg`, a
    /// pointer or a number, has a zero upper half.
    fn ioctl(this: Pin<&Self>, cmd: u32, arg: usize) -> IoctlReturn;
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
        compat_ioctl: Some(Self::ioctl),
        read_iter: Some(Callbacks::<Self>::read_iter),
        poll: if T::HAS_POLL {
            Some(Callbacks::<Self>::poll)
        } else {
            None
        },
        mmap: Some(Callbacks::<Self>::mmap),
        show_fdinfo: Some(Callbacks::<Self>::show_fdinfo),
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
        let opened = unsafe { <Self as Locate>::opened(file) };
        T::ioctl(opened, cmd, arg).0
    }
}

// SAFETY: The private data of a file is what `open()` has set, which is only taken back by `release()`, and only shared references
// are made of it until then.
unsafe impl<T: MiscDevice> Locate for MiscDeviceRegistration<T> {
    type File = T;

    unsafe fn opened<'a>(file: *mut bindings::file) -> Pin<&'a T> {
        // SAFETY: By the requirements of this function.
        unsafe { <Pin<KBox<T>> as ForeignOwnable>::borrow((*file).private_data) }
    }
}

#[pinned_drop]
impl<T: MiscDevice> PinnedDrop for MiscDeviceRegistration<T> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By the type invariants it is registered. The data is dropped after this.
        unsafe { bindings::misc_deregister(self.inner.get()) };
    }
}
