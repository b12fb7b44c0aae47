// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Buffer objects that stand for dma-bufs.
//!
//! C header: [`include/drm/drm_gem.h`](srctree/include/drm/drm_gem.h)
//!
//! A GEM object is what a DRM file has handles of. These objects have no memory of their own: each stands for a
//! [`DmaBuf`], of whatever exporter, and is exported as that very one. So all there is to know of the buffer, its fences
//! included, is in one place, and no object is ever attached to its own driver.
//!
//! ```text
//!   ARef<DmaBuf> ──NewHandle::new──▶ handle ◀──────── DRM_IOCTL_PRIME_FD_TO_HANDLE
//!                                      │ Object::lookup ──▶ ARef<Object> ──buf()──▶ &DmaBuf
//!                                      └── DRM_IOCTL_PRIME_HANDLE_TO_FD, mmap() of the device at mmap_offset()
//! ```

use super::{
    Driver,
    File, //
};
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
/// Instances are in a box, initialised, and counted by the core.
pub(crate) struct Object {
    base: Opaque<bindings::drm_gem_object>,
    buf: ARef<DmaBuf>,
}

// SAFETY: Objects belong to no thread.
unsafe impl Send for Object {}
// SAFETY: All functions that take `&self` may be called concurrently.
unsafe impl Sync for Object {}

impl Object {
    const FUNCTIONS: bindings::drm_gem_object_funcs = bindings::drm_gem_object_funcs {
        free: Some(Self::free),
        export: Some(Self::export),
        mmap: Some(Self::mmap),
        ..pin_init::zeroed()
    };

    /// Creates an object of a device. Fails with `ENOMEM`, `EINVAL` for a buffer of no size.
    ///
    /// # Safety
    ///
    /// `device` must be valid during `'a`, and for as long as there are handles of the object.
    unsafe fn create<'a>(
        device: *mut bindings::drm_device,
        buf: ARef<DmaBuf>,
    ) -> Result<ObjectRef<'a>> {
        // The core wants whole pages, and does not take no for an answer.
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
        // SAFETY: The box is ours.
        let base = unsafe { (*object).base.get() };
        // SAFETY: By the requirements of this function. The object is zero but for its functions and its reservation object, which is
        // there as long as the buffer, and so as long as the object. The size consists of pages.
        unsafe { bindings::drm_gem_private_object_init(device, base, size) };
        // INVARIANT: The first count is ours, and by the requirements of this function the device is valid.
        // SAFETY: A box is not null.
        let object = unsafe { NonNull::new_unchecked(object) };
        Ok(ObjectRef(object, PhantomData))
    }

    /// # Safety
    ///
    /// `base` must be that of an `Object`, which stays as long as the reference is used.
    unsafe fn from_raw<'a>(base: *mut bindings::drm_gem_object) -> &'a Self {
        // SAFETY: By the requirements of this function.
        unsafe { &*container_of!(Opaque::cast_from(base), Self, base) }
    }

    /// Returns the object that an open file has by that handle. Fails with `ENOENT`.
    pub(crate) fn lookup<T: Driver>(file: &File<T>, handle: u32) -> Result<ObjectRef<'_>> {
        // SAFETY: The file is open.
        let base = unsafe { bindings::drm_gem_object_lookup(file.as_raw(), handle) };
        if base.is_null() {
            return Err(ENOENT);
        }
        // SAFETY: A device of a `Driver` has no other objects: they are made here, or by `import()`.
        let object = unsafe { Self::from_raw(base) };
        // INVARIANT: The count is ours, and the file refers to the device.
        Ok(ObjectRef(object.into(), PhantomData))
    }

    /// Returns the buffer that it stands for.
    pub(crate) fn buf(&self) -> &ARef<DmaBuf> {
        &self.buf
    }

    /// Returns where `mmap()` of the device finds it, in bytes. It has its place from the first time on.
    ///
    /// Fails with `ENOSPC` if there is none left, for all objects of the device share 1 TiB of them; `ENOMEM`.
    pub(crate) fn mmap_offset(&self) -> Result<u64> {
        let base = self.base.get();
        // SAFETY: By the type invariants; the core does nothing if it has one.
        to_result(unsafe { bindings::drm_gem_create_mmap_offset(base) })?;
        // SAFETY: By the type invariants; an offset does not change once there is one.
        Ok(unsafe { bindings::drm_vma_node_offset_addr(&raw mut (*base).vma_node) })
    }

    /// # Safety
    ///
    /// As the core calls it: once, nobody refers to the object any more.
    unsafe extern "C" fn free(base: *mut bindings::drm_gem_object) {
        // SAFETY: By the requirements of this function.
        unsafe { bindings::drm_gem_object_release(base) };
        // SAFETY: By the type invariants it is in a box, and by the requirements of this function that is ours.
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
    /// As the core calls it.
    unsafe extern "C" fn export(
        base: *mut bindings::drm_gem_object,
        _flags: c_int,
    ) -> *mut bindings::dma_buf {
        // SAFETY: By the requirements of this function.
        let buf = unsafe { Self::from_raw(base) }.buf.clone();
        // The core takes the count over.
        ARef::into_raw(buf).as_ptr().cast()
    }

    /// # Safety
    ///
    /// As the core calls it: `vma` is being set up, and is for no more than the object has. When it succeeds, a count of
    /// the object goes over to the mapping.
    unsafe extern "C" fn mmap(
        base: *mut bindings::drm_gem_object,
        vma: *mut bindings::vm_area_struct,
    ) -> c_int {
        // SAFETY: By the requirements of this function.
        let (this, new) = unsafe { (Self::from_raw(base), VmaNew::from_raw(vma)) };
        // Who may only read the dma-buf must not get to write by this way.
        if !this.buf.is_writable() && new.flags() & SHARED != 0 && new.try_clear_maywrite().is_err()
        {
            return EACCES.to_errno();
        }
        new.set_dontexpand();
        // SAFETY: By the requirements of this function; the mapping is the dma-buf's from now on, so nothing of ours may be in it.
        unsafe {
            (*vma).vm_private_data = core::ptr::null_mut();
            (*vma).vm_ops = core::ptr::null();
        }
        // SAFETY: By the requirements of this function; the core checks the size.
        let ret = unsafe { bindings::dma_buf_mmap(this.buf.as_raw(), vma, 0) };
        if ret == 0 {
            // SAFETY: This is the mapping's count, which needs none: it refers to the dma-buf. The caller has another one.
            unsafe { bindings::drm_gem_object_put(base) };
        }
        ret
    }
}

/// Makes an object of a dma-buf, for `DRM_IOCTL_PRIME_FD_TO_HANDLE`.
///
/// # Safety
///
/// As the core calls it.
pub(super) unsafe extern "C" fn import(
    device: *mut bindings::drm_device,
    buf: *mut bindings::dma_buf,
) -> *mut bindings::drm_gem_object {
    // SAFETY: By the requirements of this function, both are valid during the call. `DmaBuf` is a transparent wrapper.
    let buf = unsafe { DmaBuf::from_raw(buf) };
    // SAFETY: By the requirements of this function: only handles refer to objects for longer, and they belong to open files, which
    // refer to the device.
    match unsafe { Object::create(device, buf.into()) } {
        // The core takes the count over.
        Ok(object) => ManuallyDrop::new(object).base.get(),
        Err(error) => error.to_ptr(),
    }
}

/// A count of an object, for no longer than its device is there.
///
/// # Invariants
///
/// The count is owned by this, and the device is valid during `'a`.
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
        // SAFETY: By the type invariants. The last one frees the object, for which the device is needed.
        unsafe { bindings::drm_gem_object_put(self.base.get()) };
    }
}

/// A handle that user space has not been told yet. Dropping it deletes it.
pub(crate) struct NewHandle<'a, T: Driver> {
    file: &'a File<T>,
    number: u32,
    object: ObjectRef<'a>,
    kept: bool,
}

impl<'a, T: Driver> NewHandle<'a, T> {
    /// Gives an open file a handle of an object that stands for `buf`.
    ///
    /// Fails with `ENOMEM`, `ENOSPC` if there are too many.
    pub(crate) fn new(file: &'a File<T>, buf: ARef<DmaBuf>) -> Result<Self> {
        // SAFETY: The file refers to the device, and so do all other files that can have handles.
        let object: ObjectRef<'a> = unsafe { Object::create(file.device(), buf) }?;
        let mut number = 0;
        // SAFETY: All are valid.
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

    /// Returns its number.
    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    /// Returns the object.
    pub(crate) fn object(&self) -> &Object {
        &self.object
    }

    /// Keeps it: it is user space's from now on.
    pub(crate) fn keep(mut self) {
        self.kept = true;
    }
}

impl<T: Driver> Drop for NewHandle<'_, T> {
    fn drop(&mut self) {
        if !self.kept {
            // SAFETY: The file is open. Where user space has guessed the number and closed the handle meanwhile, this fails, or closes
            // what it has got by that number since: its own.
            unsafe { bindings::drm_gem_handle_delete(self.file.as_raw(), self.number) };
        }
    }
}
