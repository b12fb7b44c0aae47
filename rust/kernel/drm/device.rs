// SPDX-License-Identifier: GPL-2.0 OR MIT

//! DRM devices, and the functions that the core calls for them.
//!
//! C header: [`include/drm/drm_device.h`](srctree/include/drm/drm_device.h)
//!
//! A DRM device of the `kernel` crate has a fixed set of features without `DRIVER_SYNCOBJ`, no file
//! operations of the driver, no ioctls whose structures can grow, and cannot be unplugged. Devices
//! here have all four.

use super::{
    driver::Driver,
    dumb,
    file::File,
    gem,
    modeset, //
};
use crate::{
    drm_bindings as bindings,
    kernel_ext::file_operations::{
        FileCallbacks,
        FileOperations,
        FromRawFile, //
    },
};
use kernel::{
    container_of,
    module::this_module,
    prelude::*,
    str::as_char_ptr_in_const_context,
    types::{
        ForeignOwnable,
        Opaque, //
    },
};

/// The driver's data of a device.
pub(super) type SharedData<T> = <<T as Driver>::File as FileOperations>::Data;

/// Returns whether the driver defines the ioctl `number`.
fn is_of_driver(number: u32) -> bool {
    let (kind, function) = (number >> 8 & 0xff, number & 0xff);
    kind == u32::from(bindings::DRM_IOCTL_BASE)
        && (bindings::DRM_COMMAND_BASE..bindings::DRM_COMMAND_END).contains(&function)
}

/// A device: C's `struct drm_device` and the driver's data.
#[repr(C)]
pub(super) struct DrmDevice<T: Driver> {
    pub(super) base: Opaque<bindings::drm_device>,
    pub(super) data: SharedData<T>,
}

impl<T: Driver> DrmDevice<T> {
    pub(super) const DRIVER: bindings::drm_driver = bindings::drm_driver {
        open: Some(Self::open),
        postclose: Some(Self::postclose),
        release: Some(Self::release),
        show_fdinfo: Some(bindings::drm_show_memory_stats),
        gem_prime_import: Some(gem::import),
        name: as_char_ptr_in_const_context(T::NAME).cast_mut(),
        desc: as_char_ptr_in_const_context(T::DESCRIPTION).cast_mut(),
        major: T::VERSION.0,
        minor: T::VERSION.1,
        patchlevel: T::VERSION.2,
        driver_features: bindings::drm_driver_feature_DRIVER_GEM | T::FEATURES.0,
        fops: &Self::FILE_OPERATIONS,
        ..pin_init::zeroed()
    };

    const FILE_OPERATIONS: bindings::file_operations = bindings::file_operations {
        owner: this_module::<T::OwnerModule>().as_ptr(),
        open: Some(Self::open_file),
        release: Some(bindings::drm_release),
        unlocked_ioctl: Some(Self::ioctl),
        #[cfg(CONFIG_COMPAT)]
        compat_ioctl: Some(Self::compat_ioctl),
        read_iter: Some(FileCallbacks::<Self>::read_iter),
        poll: Some(FileCallbacks::<Self>::poll),
        mmap: Some(Self::mmap),
        show_fdinfo: Some(Self::show_fdinfo),
        llseek: Some(bindings::noop_llseek),
        fop_flags: bindings::FOP_UNSIGNED_OFFSET,
        ..pin_init::zeroed()
    };

    /// # Safety
    ///
    /// `device` must be the `base` of a `DrmDevice<T>`.
    unsafe fn from_raw(device: *mut bindings::drm_device) -> *mut Self {
        // SAFETY: By the safety requirements of this function.
        unsafe { container_of!(Opaque::cast_from(device).cast_mut(), Self, base) }
    }

    /// # Safety
    ///
    /// `device` must be the `base` of a `DrmDevice<T>` to which there are no references. The
    /// function must be called once.
    unsafe extern "C" fn release(device: *mut bindings::drm_device) {
        // SAFETY: By the safety requirements of this function. The core frees the memory
        // afterwards, without dropping the data.
        unsafe { core::ptr::drop_in_place(&raw mut (*Self::from_raw(device)).data) };
    }

    /// # Safety
    ///
    /// `device` must be the `base` of a `DrmDevice<T>`. `file` must be valid, and must not be open
    /// yet.
    unsafe extern "C" fn open(
        device: *mut bindings::drm_device,
        file: *mut bindings::drm_file,
    ) -> c_int {
        // SAFETY: By the safety requirements of this function. The data is constant until
        // `release()`.
        let data = unsafe { &(*Self::from_raw(device)).data };
        // SAFETY: By the safety requirements of this function. The field is constant.
        let id = unsafe { (*file).client_id };
        match T::File::open(data, Some(id)) {
            Ok(opened) => {
                // SAFETY: The field is for the driver's use, and the file is not open yet.
                unsafe { (*file).driver_priv = opened.into_foreign() };
                0
            }
            Err(error) => error.to_errno(),
        }
    }

    /// # Safety
    ///
    /// [`Self::open`] must have opened `file`, and no other function may use the file during or
    /// after the call.
    unsafe extern "C" fn postclose(
        _device: *mut bindings::drm_device,
        file: *mut bindings::drm_file,
    ) {
        // SAFETY: `open()` set the field. By the safety requirements of this function nothing else
        // uses the file.
        T::File::release(unsafe {
            <Pin<KBox<T::File>> as ForeignOwnable>::from_foreign((*file).driver_priv)
        });
    }

    /// # Safety
    ///
    /// `inode` and `file` must be valid. `file` must not be open yet.
    unsafe extern "C" fn open_file(
        inode: *mut bindings::inode,
        file: *mut bindings::file,
    ) -> c_int {
        // SAFETY: By the safety requirements of this function.
        let ret = unsafe { bindings::drm_open(inode, file) };
        if ret == 0 {
            // SAFETY: `drm_open()` succeeded, and user space has no descriptor of the file yet.
            // `read()` supports `IOCB_NOWAIT`, as `FMODE_NOWAIT` promises.
            unsafe { (*file).f_mode |= bindings::FMODE_NOWAIT };
        }
        ret
    }

    /// Returns whether this file, not the core, handles an ioctl.
    fn is_own(number: c_uint) -> bool {
        is_of_driver(number) || T::HAS_DUMB_CREATE && dumb::is_ioctl(number)
    }

    /// # Safety
    ///
    /// `file` must be an open file of a `DrmDevice<T>`, and stay open during the call.
    unsafe extern "C" fn ioctl(file: *mut bindings::file, number: c_uint, arg: c_ulong) -> c_long {
        // SAFETY: By the safety requirements of this function, which are those of `drm_ioctl()`.
        unsafe { Self::ioctl_or(file, number, arg, bindings::drm_ioctl) }
    }

    /// # Safety
    ///
    /// `file` must be an open file of a `DrmDevice<T>`, and stay open during the call.
    #[cfg(CONFIG_COMPAT)]
    unsafe extern "C" fn compat_ioctl(
        file: *mut bindings::file,
        number: c_uint,
        arg: c_ulong,
    ) -> c_long {
        // CAST: The upper half of a 32-bit program's argument is undefined.
        let arg = arg as u32 as c_ulong;
        // SAFETY: By the safety requirements of this function, which are those of
        // `drm_compat_ioctl()`.
        unsafe { Self::ioctl_or(file, number, arg, bindings::drm_compat_ioctl) }
    }

    /// Handles an ioctl, or has the core do so, unless the driver refuses it.
    ///
    /// # Safety
    ///
    /// `file` must be an open file of a `DrmDevice<T>`, and stay open during the call. `core` must
    /// accept such a file.
    #[inline]
    unsafe fn ioctl_or(
        file: *mut bindings::file,
        number: c_uint,
        arg: c_ulong,
        core: unsafe extern "C" fn(*mut bindings::file, c_uint, c_ulong) -> c_long,
    ) -> c_long {
        // SAFETY: By the safety requirements of this function.
        if let Err(error) = unsafe { Self::may_use(file) } {
            return error.to_errno() as c_long;
        }
        if !Self::is_own(number) {
            // SAFETY: By the safety requirements of this function.
            let ret = unsafe { core(file, number, arg) };
            if ret != EOPNOTSUPP.to_errno() as c_long {
                return ret;
            }
            if modeset::is_query(number) {
                // SAFETY: By the safety requirements of this function.
                let flags = unsafe { (*file).f_flags };
                return match modeset::answer(flags, number, arg) {
                    Ok(()) => 0,
                    Err(error) => error.to_errno() as c_long,
                };
            }
            // The core knows the capabilities of dumb buffers for KMS drivers only.
            if !(T::HAS_DUMB_CREATE && dumb::is_get_cap(number)) {
                return ret;
            }
        }
        // SAFETY: By the safety requirements of this function.
        unsafe { Self::own_ioctl(file, number, arg) }
    }

    /// # Safety
    ///
    /// `file` must be an open file of a `DrmDevice<T>`, and stay open during the call.
    unsafe fn may_use(file: *mut bindings::file) -> Result {
        // SAFETY: By the safety requirements of this function. `drm_open()` has set the field.
        T::may_use(unsafe { File::from_raw((*file).private_data.cast()) })
    }

    /// Runs an ioctl below the core's ioctl code, which checks the caller's permissions.
    ///
    /// # Safety
    ///
    /// `file` must be an open file of a `DrmDevice<T>`, and stay open during the call.
    unsafe fn own_ioctl(file: *mut bindings::file, number: c_uint, arg: c_ulong) -> c_long {
        let mut ioctl = DriverIoctl {
            number,
            argument: arg,
        };
        // SAFETY: By the safety requirements of this function. The core passes `ioctl` to
        // `run_driver_ioctl()` only.
        unsafe {
            bindings::drm_ioctl_kernel(
                file,
                Some(Self::run_driver_ioctl),
                (&raw mut ioctl).cast(),
                bindings::drm_ioctl_flags_DRM_RENDER_ALLOW,
            )
        }
    }

    /// # Safety
    ///
    /// `file` must be an open file of a `DrmDevice<T>`, and stay open during the call. `ioctl` must
    /// point to a `DriverIoctl` that is valid, and does not change, during the call.
    unsafe extern "C" fn run_driver_ioctl(
        _device: *mut bindings::drm_device,
        ioctl: *mut c_void,
        file: *mut bindings::drm_file,
    ) -> c_int {
        // SAFETY: By the safety requirements of this function.
        let (file, ioctl) = unsafe { (File::<T>::from_raw(file), &*ioctl.cast::<DriverIoctl>()) };
        let result = if !T::HAS_DUMB_CREATE || is_of_driver(ioctl.number) {
            T::ioctl(file, ioctl.number, ioctl.argument)
        } else {
            dumb::ioctl(file, ioctl.number, ioctl.argument).map(|()| 0)
        };
        match result {
            // CAST: The return values of drivers fit.
            Ok(ret) => ret as c_int,
            Err(error) => error.to_errno(),
        }
    }

    /// # Safety
    ///
    /// `file` must be an open file of a `DrmDevice<T>`, and stay open during the call. `vma` must
    /// be a new mapping that is not published yet.
    unsafe extern "C" fn mmap(
        file: *mut bindings::file,
        vma: *mut bindings::vm_area_struct,
    ) -> c_int {
        // SAFETY: By the safety requirements of this function.
        if let Err(error) = unsafe { Self::may_use(file) } {
            return error.to_errno();
        }
        // SAFETY: By the safety requirements of this function.
        let page = unsafe { (*vma).vm_pgoff };
        // SAFETY: By the safety requirements of this function.
        unsafe {
            if page >= bindings::DRM_FILE_PAGE_OFFSET_START {
                bindings::drm_gem_mmap(file, vma)
            } else {
                FileCallbacks::<Self>::mmap(file, vma)
            }
        }
    }

    /// # Safety
    ///
    /// `file` must be an open file of a `DrmDevice<T>`, and stay open during the call. `seq` must
    /// be valid, and not used concurrently.
    unsafe extern "C" fn show_fdinfo(seq: *mut bindings::seq_file, file: *mut bindings::file) {
        // SAFETY: By the safety requirements of this function.
        unsafe {
            bindings::drm_show_fdinfo(seq, file);
            FileCallbacks::<Self>::show_fdinfo(seq, file);
        }
    }
}

// SAFETY: `drm_open()` sets the private data of a file to its `drm_file`, whose `driver_priv`
// `open()` sets. Only `postclose()` takes that back. All other functions make only shared
// references of it.
unsafe impl<T: Driver> FromRawFile for DrmDevice<T> {
    type File = T::File;

    unsafe fn opened<'a>(file: *mut bindings::file) -> Pin<&'a T::File> {
        // SAFETY: By the safety requirements of this function.
        unsafe { File::<T>::from_raw((*file).private_data.cast()) }.inner()
    }
}

/// The ioctl that is passed through the core to [`DrmDevice::run_driver_ioctl`].
struct DriverIoctl {
    number: u32,
    argument: usize,
}

impl<T: Driver> File<T> {
    /// Returns the driver's data.
    pub(crate) fn inner(&self) -> Pin<&T::File> {
        // SAFETY: By the type invariants `DrmDevice::open()` set the field, which is valid while
        // the file is open.
        unsafe { <Pin<KBox<T::File>> as ForeignOwnable>::borrow((*self.as_raw()).driver_priv) }
    }
}
