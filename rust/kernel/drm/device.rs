// SPDX-License-Identifier: GPL-2.0 OR MIT

//! DRM devices and their open files.
//!
//! C headers: [`include/drm/drm_device.h`](srctree/include/drm/drm_device.h),
//! [`include/drm/drm_drv.h`](srctree/include/drm/drm_drv.h), [`include/drm/drm_file.h`](srctree/include/drm/drm_file.h)
//!
//! The `kernel` crate's devices have a fixed set of features, no data of their open files that `read()`, `poll()` and `mmap()`
//! could use, and no ioctls whose arguments grow. These have.

use super::gem;
use crate::{
    drm_bindings as bindings,
    kernel_ext::{
        dma_mapping::raw,
        file_operations::{
            Callbacks,
            FileOperations,
            Locate, //
        },
    },
};
use core::{
    alloc::Layout,
    marker::PhantomData,
    mem::offset_of,
    ptr::NonNull, //
};
use kernel::{
    alloc::allocator::Kmalloc,
    container_of,
    error::{
        from_err_ptr,
        to_result, //
    },
    module::this_module,
    prelude::*,
    str::{
        as_char_ptr_in_const_context,
        CStr, //
    },
    types::{
        ForeignOwnable,
        Opaque, //
    },
};

/// What a device can do besides having buffer objects: C's `enum drm_driver_feature`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Feature(u32);

impl Feature {
    /// There is a render node, which needs no authentication.
    pub(crate) const RENDER: Self = Self(bindings::drm_driver_feature_DRIVER_RENDER);
    /// There are syncobjs.
    pub(crate) const SYNCOBJ: Self = Self(bindings::drm_driver_feature_DRIVER_SYNCOBJ);
    /// These can be timelines.
    pub(crate) const SYNCOBJ_TIMELINE: Self =
        Self(bindings::drm_driver_feature_DRIVER_SYNCOBJ_TIMELINE);

    /// Returns both.
    pub(crate) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// A driver of DRM devices, whose buffer objects are [`gem::Object`]s.
#[vtable]
pub(crate) trait Driver: Sized + 'static {
    /// What is kept for an open file.
    type File: FileOperations;

    /// What `DRM_IOCTL_VERSION` tells: the name of the driver, a line about it, and its version.
    const NAME: &'static CStr;
    const DESCRIPTION: &'static CStr;
    const VERSION: (i32, i32, i32);

    /// What its devices can do.
    const FEATURES: Feature;

    /// Called for the driver's own ioctls: `number` is the whole number, and its function is from `DRM_COMMAND_BASE` on. The argument is the
    /// caller's, and nothing is copied. All may call them who may open a node, also 32-bit programs: structures must have the
    /// same layout, and pointers 64 bits.
    fn ioctl(file: &File<Self>, number: u32, argument: usize) -> Result<isize>;
}

/// What the driver keeps for a device.
type Data<T> = <<T as Driver>::File as FileOperations>::Data;

/// A device: C's `struct drm_device`, and the driver's data with it.
#[repr(C)]
struct Device<T: Driver> {
    base: Opaque<bindings::drm_device>,
    data: Data<T>,
}

impl<T: Driver> Device<T> {
    const DRIVER: bindings::drm_driver = bindings::drm_driver {
        open: Some(Self::open),
        postclose: Some(Self::postclose),
        release: Some(Self::release),
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
        read_iter: Some(Callbacks::<Self>::read_iter),
        poll: Some(Callbacks::<Self>::poll),
        mmap: Some(Self::mmap),
        show_fdinfo: Some(Self::show_fdinfo),
        llseek: Some(bindings::noop_llseek),
        fop_flags: bindings::FOP_UNSIGNED_OFFSET,
        ..pin_init::zeroed()
    };

    /// # Safety
    ///
    /// `device` must be the `base` of a `Device<T>`.
    unsafe fn from_raw(device: *mut bindings::drm_device) -> *mut Self {
        // SAFETY: By the requirements of this function.
        unsafe { container_of!(Opaque::cast_from(device).cast_mut(), Self, base) }
    }

    /// # Safety
    ///
    /// As the core calls it: nobody uses the device any more.
    unsafe extern "C" fn release(device: *mut bindings::drm_device) {
        // SAFETY: By the requirements of this function. The core frees the memory after this.
        unsafe { core::ptr::drop_in_place(&raw mut (*Self::from_raw(device)).data) };
    }

    /// # Safety
    ///
    /// As the core calls it: `file` is being opened.
    unsafe extern "C" fn open(
        device: *mut bindings::drm_device,
        file: *mut bindings::drm_file,
    ) -> c_int {
        // SAFETY: By the requirements of this function; the data is not changed before `release()`.
        let data = unsafe { &(*Self::from_raw(device)).data };
        match T::File::open(data) {
            Ok(opened) => {
                // SAFETY: The field is the driver's, and nobody has the file yet.
                unsafe { (*file).driver_priv = opened.into_foreign() };
                0
            }
            Err(error) => error.to_errno(),
        }
    }

    /// # Safety
    ///
    /// As the core calls it: once, `file` has been opened by `open()`.
    unsafe extern "C" fn postclose(
        _device: *mut bindings::drm_device,
        file: *mut bindings::drm_file,
    ) {
        // SAFETY: This is what `open()` has set; nobody uses the file any more.
        T::File::release(unsafe {
            <Pin<KBox<T::File>> as ForeignOwnable>::from_foreign((*file).driver_priv)
        });
    }

    /// # Safety
    ///
    /// As the core calls it: `file` is being opened.
    unsafe extern "C" fn open_file(
        inode: *mut bindings::inode,
        file: *mut bindings::file,
    ) -> c_int {
        // SAFETY: By the requirements of this function.
        let ret = unsafe { bindings::drm_open(inode, file) };
        if ret == 0 {
            // SAFETY: Who opens a file may say that `read()` can do without waiting.
            unsafe { (*file).f_mode |= bindings::FMODE_NOWAIT };
        }
        ret
    }

    /// Returns whether the driver, and not the core, knows an ioctl.
    fn is_own(number: c_uint) -> bool {
        let (kind, function) = (number >> 8 & 0xff, number & 0xff);
        kind == u32::from(bindings::DRM_IOCTL_BASE)
            && (bindings::DRM_COMMAND_BASE..bindings::DRM_COMMAND_END).contains(&function)
    }

    /// # Safety
    ///
    /// As the core calls it: `file` is open.
    unsafe extern "C" fn ioctl(file: *mut bindings::file, number: c_uint, arg: c_ulong) -> c_long {
        if !Self::is_own(number) {
            // SAFETY: By the requirements of this function.
            return unsafe { bindings::drm_ioctl(file, number, arg) };
        }
        // SAFETY: By the requirements of this function.
        unsafe { Self::own_ioctl(file, number, arg) }
    }

    /// # Safety
    ///
    /// As the core calls it: `file` is open.
    #[cfg(CONFIG_COMPAT)]
    unsafe extern "C" fn compat_ioctl(
        file: *mut bindings::file,
        number: c_uint,
        arg: c_ulong,
    ) -> c_long {
        if !Self::is_own(number) {
            // SAFETY: By the requirements of this function.
            return unsafe { bindings::drm_compat_ioctl(file, number, arg) };
        }
        // CAST: 32-bit programs have 32-bit pointers.
        let arg = arg as u32 as c_ulong;
        // SAFETY: By the requirements of this function.
        unsafe { Self::own_ioctl(file, number, arg) }
    }

    /// Has the core check and note what it does for all ioctls, and calls the driver.
    ///
    /// # Safety
    ///
    /// `file` is open.
    unsafe fn own_ioctl(file: *mut bindings::file, number: c_uint, arg: c_ulong) -> c_long {
        let mut call = Call {
            number,
            argument: arg,
        };
        // SAFETY: By the requirements of this function; the core passes `call` to `called()` and to nobody else.
        unsafe {
            bindings::drm_ioctl_kernel(
                file,
                Some(Self::called),
                (&raw mut call).cast(),
                bindings::drm_ioctl_flags_DRM_RENDER_ALLOW,
            )
        }
    }

    /// # Safety
    ///
    /// `file` is open, `call` is what [`Self::own_ioctl`] has passed.
    unsafe extern "C" fn called(
        _device: *mut bindings::drm_device,
        call: *mut c_void,
        file: *mut bindings::drm_file,
    ) -> c_int {
        // SAFETY: By the requirements of this function.
        let (file, call) = unsafe { (File::<T>::from_raw(file), &*call.cast::<Call>()) };
        match T::ioctl(file, call.number, call.argument) {
            // CAST: Drivers return no more than fits.
            Ok(ret) => ret as c_int,
            Err(error) => error.to_errno(),
        }
    }

    /// # Safety
    ///
    /// As the core calls it: `file` is open, `vma` is being set up.
    unsafe extern "C" fn mmap(
        file: *mut bindings::file,
        vma: *mut bindings::vm_area_struct,
    ) -> c_int {
        // SAFETY: By the requirements of this function.
        let page = unsafe { (*vma).vm_pgoff };
        // SAFETY: By the requirements of this function.
        unsafe {
            if page >= bindings::DRM_FILE_PAGE_OFFSET_START {
                bindings::drm_gem_mmap(file, vma)
            } else {
                Callbacks::<Self>::mmap(file, vma)
            }
        }
    }

    /// # Safety
    ///
    /// As the core calls it: `file` is open, `seq` is valid and used by nobody else.
    unsafe extern "C" fn show_fdinfo(seq: *mut bindings::seq_file, file: *mut bindings::file) {
        // SAFETY: By the requirements of this function.
        unsafe {
            bindings::drm_show_fdinfo(seq, file);
            Callbacks::<Self>::show_fdinfo(seq, file);
        }
    }
}

// SAFETY: The private data of a file of the device is its `drm_file`, from `drm_open()` on, whose `driver_priv` is what `open()` has set.
// That is only taken back by `postclose()`, and only shared references are made of it until then.
unsafe impl<T: Driver> Locate for Device<T> {
    type File = T::File;

    unsafe fn opened<'a>(file: *mut bindings::file) -> Pin<&'a T::File> {
        // SAFETY: By the requirements of this function.
        unsafe { File::<T>::from_raw((*file).private_data.cast()) }.inner()
    }
}

/// What is passed through the core to [`Device::called`].
struct Call {
    number: u32,
    argument: usize,
}

/// An open file of a device: C's `struct drm_file`.
///
/// # Invariants
///
/// Instances are open files of a `Device<T>`.
#[repr(transparent)]
pub(crate) struct File<T: Driver>(Opaque<bindings::drm_file>, PhantomData<fn() -> T>);

impl<T: Driver> File<T> {
    /// # Safety
    ///
    /// `file` is an open file of a `Device<T>`, and is not closed during `'a`.
    unsafe fn from_raw<'a>(file: *mut bindings::drm_file) -> &'a Self {
        // SAFETY: By the requirements of this function. `Self` is a transparent wrapper.
        unsafe { &*file.cast() }
    }

    /// Returns the C structure.
    pub(super) fn as_raw(&self) -> *mut bindings::drm_file {
        self.0.get()
    }

    /// Returns the C structure of the device.
    pub(super) fn device(&self) -> *mut bindings::drm_device {
        // SAFETY: By the type invariants; both fields are constant.
        unsafe { (*(*self.as_raw()).minor).dev }
    }

    /// Returns what the driver keeps for it.
    pub(crate) fn inner(&self) -> Pin<&T::File> {
        // SAFETY: By the type invariants `Device::open()` has set it, and it stays as long as the file is open.
        unsafe { <Pin<KBox<T::File>> as ForeignOwnable>::borrow((*self.as_raw()).driver_priv) }
    }
}

/// A device that is registered: its nodes can be opened. Dropping it removes them.
///
/// # Invariants
///
/// The device is registered, and one count of it is ours.
pub(crate) struct Registration<T: Driver>(NonNull<Device<T>>);

// SAFETY: Devices belong to no thread.
unsafe impl<T: Driver> Send for Registration<T> {}
// SAFETY: There are no functions that take `&self`.
unsafe impl<T: Driver> Sync for Registration<T> {}

impl<T: Driver> Registration<T> {
    /// Registers a device below `parent`, whose open files share `data`.
    ///
    /// Fails with `ENOSPC` if there are too many, `ENOMEM`.
    pub(crate) fn new(parent: &kernel::device::Device, data: Data<T>) -> Result<Self> {
        let layout = Kmalloc::aligned_layout(Layout::new::<Device<T>>());
        // SAFETY: The driver is static. The parent is valid, and the core takes a count of it.
        let device = from_err_ptr(unsafe {
            bindings::__drm_dev_alloc(
                raw(parent),
                const { &Device::<T>::DRIVER },
                layout.size(),
                offset_of!(Device<T>, base),
            )
        })?;
        let device = NonNull::new(device.cast::<Device<T>>()).ok_or(ENOMEM)?;
        // SAFETY: The memory is for a `Device<T>`, and nobody else has it. Nothing in between could have released the device, whose
        // `release()` drops this.
        unsafe { (&raw mut (*device.as_ptr()).data).write(data) };
        // SAFETY: The core has initialised this.
        let base = Opaque::cast_into(unsafe { &raw const (*device.as_ptr()).base });
        // SAFETY: It is a device that is ready to be used.
        if let Err(error) = to_result(unsafe { bindings::drm_dev_register(base, 0) }) {
            // SAFETY: The count is ours.
            unsafe { bindings::drm_dev_put(base) };
            return Err(error);
        }
        // INVARIANT: It was registered just now.
        Ok(Self(device))
    }
}

impl<T: Driver> Drop for Registration<T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariants.
        let base = Opaque::cast_into(unsafe { &raw const (*self.0.as_ptr()).base });
        // SAFETY: By the type invariants.
        unsafe {
            bindings::drm_dev_unregister(base);
            bindings::drm_dev_put(base);
        }
    }
}
