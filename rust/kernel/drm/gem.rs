// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Buffer objects that wrap dma-bufs.
//!
//! C header: [`include/drm/drm_gem.h`](srctree/include/drm/drm_gem.h)
//!
//! A DRM file has handles of GEM objects. The objects here have no memory of their own: each wraps
//! a [`DmaBuf`] of any exporter, shares its reservation object, and is exported as that same
//! buffer. So an object is never attached to its own driver. A GEM object of the `kernel` crate has
//! its own memory and exports a new buffer.
//!
//! ```text
//!   ARef<DmaBuf> ──NewHandle::new──▶ handle ◀──────── DRM_IOCTL_PRIME_FD_TO_HANDLE
//!                                      │ Object::lookup ──▶ ARef<Object> ──buf()──▶ &DmaBuf
//!                                      └── DRM_IOCTL_PRIME_HANDLE_TO_FD, mmap() at mmap_offset()
//! ```

use super::file::File;
use crate::{
    drm_bindings as bindings,
    kernel_ext::dma_buf::DmaBuf, //
};
use core::{
    marker::PhantomData,
    mem::ManuallyDrop,
    ops::Deref,
    ptr::NonNull, //
};
use kernel::{
    container_of,
    error::to_result,
    mm::virt::{
        flags::SHARED,
        VmaNew, //
    },
    page::PAGE_SIZE,
    prelude::*,
    sync::aref::ARef,
    types::Opaque, //
};

/// A buffer object.
///
/// # Invariants
///
/// Instances are in a box, initialised, and reference-counted by the core.
pub(crate) struct Object {
    base: Opaque<bindings::drm_gem_object>,
    buf: ARef<DmaBuf>,
}

// SAFETY: Any thread may drop the last reference to an object.
unsafe impl Send for Object {}
// SAFETY: All functions that take `&self` may be called concurrently.
unsafe impl Sync for Object {}

impl Object {
    const FUNCTIONS: bindings::drm_gem_object_funcs = bindings::drm_gem_object_funcs {
        free: Some(Self::free),
        export: Some(Self::export),
        mmap: Some(Self::mmap),
        status: Some(Self::status),
        ..pin_init::zeroed()
    };

    /// Creates an object of a device. Fails with `ENOMEM`, and with `EINVAL` for a buffer of size
    /// 0.
    ///
    /// # Safety
    ///
    /// `device` must be valid during `'a`, and while there are handles of the object.
    unsafe fn create<'a>(
        device: *mut bindings::drm_device,
        buf: ARef<DmaBuf>,
    ) -> Result<ObjectRef<'a>> {
        // The core requires a multiple of the page size, and reports no error otherwise.
        let size = buf.size().checked_next_multiple_of(PAGE_SIZE);
        let size = size.filter(|size| *size > 0).ok_or(EINVAL)?;
        let resv = buf.resv().as_raw();
        let base = bindings::drm_gem_object {
            funcs: &Self::FUNCTIONS,
            resv,
            ..pin_init::zeroed()
        };
        let object = Self {
            base: Opaque::new(base),
            buf,
        };
        let object = KBox::into_raw(KBox::new(object, GFP_KERNEL_ACCOUNT)?);
        // SAFETY: This function owns the box.
        let base = unsafe { (*object).base.get() };
        // SAFETY: By the safety requirements of this function the device is valid. The object is
        // zeroed except for its functions and its reservation object, which the buffer keeps valid.
        // The size is a multiple of the page size.
        unsafe { bindings::drm_gem_private_object_init(device, base, size) };
        // INVARIANT: The `ObjectRef` takes over the first count, and by the safety requirements of
        // this function the device is valid. SAFETY: The pointer of a box is not null.
        let object = unsafe { NonNull::new_unchecked(object) };
        Ok(ObjectRef(object, PhantomData))
    }

    /// # Safety
    ///
    /// `base` must be the `base` field of an `Object`, which must stay valid for `'a`.
    unsafe fn from_raw<'a>(base: *mut bindings::drm_gem_object) -> &'a Self {
        // SAFETY: By the safety requirements of this function.
        unsafe { &*container_of!(Opaque::cast_from(base), Self, base) }
    }

    /// Returns the object with the handle `handle` of an open file. Fails with `ENOENT`.
    pub(crate) fn lookup<T>(file: &File<T>, handle: u32) -> Result<ObjectRef<'_>> {
        // SAFETY: The file is open.
        let base = unsafe { bindings::drm_gem_object_lookup(file.as_raw(), handle) };
        if base.is_null() {
            return Err(ENOENT);
        }
        // SAFETY: All objects of a `File`'s device come from `create()`.
        let object = unsafe { Self::from_raw(base) };
        // INVARIANT: `drm_gem_object_lookup()` took a count, which the `ObjectRef` takes over. The
        // file refers to the device.
        Ok(ObjectRef(object.into(), PhantomData))
    }

    /// Returns the wrapped buffer.
    pub(crate) fn buf(&self) -> &ARef<DmaBuf> {
        &self.buf
    }

    /// Returns the object's offset for `mmap()` of the device, in bytes. The first call allocates
    /// it.
    ///
    /// Fails with `ENOSPC` if no offset is left of the 1 TiB that all objects of the device share,
    /// and with `ENOMEM`.
    pub(crate) fn mmap_offset(&self) -> Result<u64> {
        let base = self.base.get();
        // SAFETY: By the type invariants. The function does nothing if there is an offset.
        to_result(unsafe { bindings::drm_gem_create_mmap_offset(base) })?;
        // SAFETY: By the type invariants. The offset is constant once it is allocated.
        Ok(unsafe { bindings::drm_vma_node_offset_addr(&raw mut (*base).vma_node) })
    }

    /// # Safety
    ///
    /// `base` must be the `base` field of an `Object` to which there are no references. The
    /// function must be called once.
    unsafe extern "C" fn free(base: *mut bindings::drm_gem_object) {
        // SAFETY: By the safety requirements of this function.
        unsafe { bindings::drm_gem_object_release(base) };
        // SAFETY: By the type invariants the object is in a box. By the safety requirements of this
        // function there are no references to it.
        drop(unsafe {
            KBox::from_raw(container_of!(
                Opaque::cast_from(base).cast_mut(),
                Self,
                base
            ))
        });
    }

    /// # Safety
    ///
    /// `base` must be the `base` field of a valid `Object`.
    unsafe extern "C" fn export(
        base: *mut bindings::drm_gem_object,
        _flags: c_int,
    ) -> *mut bindings::dma_buf {
        // SAFETY: By the safety requirements of this function.
        let buf = unsafe { Self::from_raw(base) }.buf.clone();
        // The caller takes over the count.
        ARef::into_raw(buf).as_ptr().cast()
    }

    /// # Safety
    ///
    /// `base` must be the `base` field of a valid `Object`, of which the caller must own two
    /// counts: this function drops one of them if it succeeds. `vma` must be a new mapping that is
    /// not published yet, no larger than the object.
    unsafe extern "C" fn mmap(
        base: *mut bindings::drm_gem_object,
        vma: *mut bindings::vm_area_struct,
    ) -> c_int {
        // SAFETY: By the safety requirements of this function.
        let (this, new) = unsafe { (Self::from_raw(base), VmaNew::from_raw(vma)) };
        // A read-only dma-buf must not become writable through the object.
        if !this.buf.is_writable() && new.flags() & SHARED != 0 && new.try_clear_maywrite().is_err()
        {
            return EACCES.to_errno();
        }
        new.set_dontexpand();
        // SAFETY: By the safety requirements of this function. `drm_gem_mmap()` set both fields for
        // the object, and the exporter of the dma-buf expects them unset.
        unsafe {
            (*vma).vm_private_data = core::ptr::null_mut();
            (*vma).vm_ops = core::ptr::null();
        }
        // SAFETY: By the safety requirements of this function.
        let ret = unsafe { bindings::dma_buf_mmap(this.buf.as_raw(), vma, 0) };
        if ret == 0 {
            // SAFETY: The mapping holds a reference to the dma-buf, and does not need the count of
            // the object that `drm_gem_mmap()` took for it. The caller has another one.
            unsafe { bindings::drm_gem_object_put(base) };
        }
        ret
    }

    /// Returns the status of an object's memory for fdinfo. The exporter of the dma-buf provides
    /// the memory, and does not say whether it has allocated all of it.
    ///
    /// # Safety
    ///
    /// None: the function does not use `base`.
    unsafe extern "C" fn status(
        _base: *mut bindings::drm_gem_object,
    ) -> bindings::drm_gem_object_status {
        bindings::drm_gem_object_status_DRM_GEM_OBJECT_RESIDENT
    }
}

/// Creates an object for a dma-buf, for `DRM_IOCTL_PRIME_FD_TO_HANDLE`.
///
/// # Safety
///
/// `device` and `buf` must be valid during the call. `device` must be the `base` of a
/// `DrmDevice<T>`.
pub(super) unsafe extern "C" fn import(
    device: *mut bindings::drm_device,
    buf: *mut bindings::dma_buf,
) -> *mut bindings::drm_gem_object {
    // SAFETY: By the safety requirements of this function.
    let buf = unsafe { DmaBuf::from_raw(buf) };
    // SAFETY: By the safety requirements of this function. After the call only handles refer to the
    // object. They belong to open files, which refer to the device.
    match unsafe { Object::create(device, buf.into()) } {
        // The caller takes over the count.
        Ok(object) => ManuallyDrop::new(object).base.get(),
        Err(error) => error.to_ptr(),
    }
}

/// A reference to an object whose device is valid for `'a`.
///
/// # Invariants
///
/// The `ObjectRef` owns a count of the object, whose device is valid for `'a`.
pub(crate) struct ObjectRef<'a>(NonNull<Object>, PhantomData<&'a ()>);

impl Deref for ObjectRef<'_> {
    type Target = Object;

    fn deref(&self) -> &Object {
        // SAFETY: By the type invariants.
        unsafe { self.0.as_ref() }
    }
}

impl Drop for ObjectRef<'_> {
    fn drop(&mut self) {
        // SAFETY: By the type invariants. Freeing the object needs the device.
        unsafe { bindings::drm_gem_object_put(self.base.get()) };
    }
}

/// A handle that was not returned to user space yet. Dropping it deletes the handle.
pub(crate) struct NewHandle<'a, T> {
    file: &'a File<T>,
    number: u32,
    object: ObjectRef<'a>,
    kept: bool,
}

impl<'a, T> NewHandle<'a, T> {
    /// Creates an object for `buf`, and a handle of it in an open file.
    ///
    /// Fails with `ENOMEM`, and with `ENOSPC` if the file has too many handles.
    pub(crate) fn new(file: &'a File<T>, buf: ARef<DmaBuf>) -> Result<Self> {
        // SAFETY: The file refers to the device, as do all other files that can have handles of the
        // object.
        let object: ObjectRef<'a> = unsafe { Object::create(file.device(), buf) }?;
        let mut number = 0;
        // SAFETY: All pointers are valid.
        to_result(unsafe {
            bindings::drm_gem_handle_create(file.as_raw(), object.base.get(), &mut number)
        })?;
        Ok(Self {
            file,
            number,
            object,
            kept: false,
        })
    }

    /// Returns the number of the handle.
    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    /// Returns the object.
    pub(crate) fn object(&self) -> &Object {
        &self.object
    }

    /// Keeps the handle, which belongs to user space from now on.
    pub(crate) fn keep(mut self) {
        self.kept = true;
    }
}

impl<T> Drop for NewHandle<'_, T> {
    fn drop(&mut self) {
        if !self.kept {
            // SAFETY: The file is open. If user space guessed the number and closed the handle, the
            // call fails, or deletes a newer handle of that number, which affects only that
            // process.
            unsafe { bindings::drm_gem_handle_delete(self.file.as_raw(), self.number) };
        }
    }
}
