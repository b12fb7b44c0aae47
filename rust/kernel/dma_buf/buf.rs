// SPDX-License-Identifier: GPL-2.0 OR MIT

//! References to a buffer of any exporter.

use crate::{
    bindings,
    kernel_ext::dma_resv::DmaResv, //
};
use core::ptr::NonNull;
use kernel::{
    error::from_err_ptr,
    fs::{
        file::{
            flags::{
                O_ACCMODE,
                O_RDONLY,
                O_WRONLY, //
            },
            FileDescriptorReservation, //
        },
        File, //
    },
    prelude::*,
    str::CStr,
    sync::aref::{
        ARef,
        AlwaysRefCounted, //
    },
    types::Opaque, //
};

/// A shared buffer: C's `struct dma_buf`.
///
/// # Invariants
///
/// Instances are initialised, and reference-counted by their file.
#[repr(transparent)]
pub(crate) struct DmaBuf(Opaque<bindings::dma_buf>);

// SAFETY: Any thread may drop the last reference to a buffer.
unsafe impl Send for DmaBuf {}
// SAFETY: All functions that take `&self` may be called concurrently.
unsafe impl Sync for DmaBuf {}

// SAFETY: The reference count is that of the buffer's file. The buffer is freed after the count has
// dropped to 0.
unsafe impl AlwaysRefCounted for DmaBuf {
    fn inc_ref(&self) {
        // SAFETY: The reference shows that the count is not 0.
        unsafe { bindings::get_file((*self.as_raw()).file) };
    }

    unsafe fn dec_ref(obj: NonNull<Self>) {
        // SAFETY: The caller owns the count that it gives up.
        unsafe { bindings::dma_buf_put(obj.cast().as_ptr()) };
    }
}

impl DmaBuf {
    /// Returns the buffer that the descriptor `fd` of the current process refers to.
    ///
    /// Fails with `EBADF` if `fd` is not an open file descriptor, `EINVAL` if it refers to another
    /// kind of file.
    pub(crate) fn from_fd(fd: i32) -> Result<ARef<Self>> {
        // SAFETY: The function accepts any number.
        let buf = from_err_ptr(unsafe { bindings::dma_buf_get(fd) })?;
        // SAFETY: The function returned a valid buffer with a reference, which `ARef` takes over.
        Ok(unsafe { Self::from_owned(buf) })
    }

    /// Wraps C's pointer to a buffer, with a count of it.
    ///
    /// # Safety
    ///
    /// `buf` must be a valid buffer. The caller must own a count of it, which it gives up.
    pub(super) unsafe fn from_owned(buf: *mut bindings::dma_buf) -> ARef<Self> {
        // SAFETY: By the safety requirements of this function. `Self` is a transparent wrapper.
        unsafe { ARef::from_raw(NonNull::new_unchecked(buf.cast())) }
    }

    /// Wraps C's pointer to a buffer.
    ///
    /// # Safety
    ///
    /// `buf` must be a valid buffer, which must not be released during `'a`.
    pub(crate) unsafe fn from_raw<'a>(buf: *mut bindings::dma_buf) -> &'a Self {
        // SAFETY: By the safety requirements of this function. `Self` is a transparent wrapper.
        unsafe { &*buf.cast() }
    }

    /// Returns the C structure.
    pub(crate) fn as_raw(&self) -> *mut bindings::dma_buf {
        self.0.get()
    }

    /// Returns the size in bytes, a multiple of the page size.
    pub(crate) fn size(&self) -> usize {
        // SAFETY: The field is constant.
        unsafe { (*self.as_raw()).size }
    }

    /// Returns the name of the exporter.
    pub(crate) fn exporter_name(&self) -> &CStr {
        // SAFETY: The field is constant. It is a static string of the exporter's module, which the
        // buffer keeps loaded.
        unsafe { CStr::from_char_ptr((*self.as_raw()).exp_name) }
    }

    /// Returns the access mode of the buffer's file. The core checks the mode only when user space
    /// maps the file.
    fn access_mode(&self) -> u32 {
        // SAFETY: The file is valid as long as the buffer. These files have no position, and so no
        // `fdget_pos` region.
        let file = unsafe { File::from_raw_file((*self.as_raw()).file) };
        file.flags() & O_ACCMODE
    }

    /// Returns whether the buffer's file is open for reading.
    pub(crate) fn is_readable(&self) -> bool {
        self.access_mode() != O_WRONLY
    }

    /// Returns whether the buffer's file is open for writing.
    pub(crate) fn is_writable(&self) -> bool {
        self.access_mode() != O_RDONLY
    }

    /// Returns the reservation object.
    pub(crate) fn resv(&self) -> &DmaResv {
        // SAFETY: The field is constant, and the object is valid as long as the buffer.
        unsafe { DmaResv::from_raw((*self.as_raw()).resv) }
    }

    /// Installs the buffer at the file descriptor. User space can access it from now on.
    pub(crate) fn install(this: ARef<Self>, fd: FileDescriptorReservation) {
        // SAFETY: The field is constant, and the file is valid as long as the buffer.
        let file = unsafe { (*this.as_raw()).file };
        // The count is that of the file, which takes it over.
        core::mem::forget(this);
        // SAFETY: The new `ARef` takes over the reference of `this`. `File` is a transparent
        // wrapper. These files have no position, and so no `fdget_pos` region.
        fd.fd_install(unsafe { ARef::from_raw(NonNull::new_unchecked(file).cast::<File>()) });
    }
}

#[kernel::macros::kunit_tests(vfence_dma_buf)]
mod tests {
    use super::{
        super::fixture::{
            buffer,
            exported,
            Refused,
            SIZE, //
        },
        *, //
    };
    use kernel::fs::file::flags::O_CLOEXEC;

    #[test]
    fn buffer_has_size_name_and_mode_of_the_export() -> Result {
        let (buf, _) = buffer()?;
        assert_eq!(buf.size(), SIZE);
        assert_eq!(buf.exporter_name(), c"kunit");
        assert!(buf.is_readable() && buf.is_writable());
        Ok(())
    }

    #[test]
    fn from_fd_finds_an_installed_buffer() -> Result {
        assert!(DmaBuf::from_fd(-1).is_err_and(|error| error == EBADF));
        let (buf, calls) = exported(None, Refused::None)?;
        let reservation = FileDescriptorReservation::get_unused_fd_flags(O_CLOEXEC)?;
        let fd = reservation.reserved_fd();
        DmaBuf::install(buf.clone(), reservation);
        let found = DmaBuf::from_fd(fd as i32);
        // SAFETY: Nothing else uses the descriptor.
        unsafe { bindings::close_fd(fd) };
        assert!(core::ptr::eq(&*found?, &*buf));
        assert!(DmaBuf::from_fd(fd as i32).is_err_and(|error| error == EBADF));
        assert_eq!(calls.get(), [0; 4]);
        Ok(())
    }
}
