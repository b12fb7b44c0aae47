// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Buffers that drivers and user space share.
//!
//! C header: [`include/linux/dma-buf.h`](srctree/include/linux/dma-buf.h)
//!
//! Documentation:
//! [`Documentation/driver-api/dma-buf.rst`](srctree/Documentation/driver-api/dma-buf.rst)
//!
//! The exporter, an [`Exporter`], owns the memory. Importers use it:
//!
//! ```text
//!   Exporter ─export─▶ ARef<DmaBuf> ─install─▶ file descriptor ─from_fd─▶ ARef<DmaBuf>
//!                                                                             │
//!     for a device:  Attachment ──▶ Mapping: a scatter-gather table  ◀────────┤
//!     for the CPU:   Vmap: kernel addresses; CpuAccess during a use  ◀────────┘
//! ```
//!
//! The fences in a buffer's [reservation object](DmaBuf::resv) order the work on the buffer. A
//! buffer keeps its exporter and the exporter's module until its last reference is dropped.

use super::{
    dma_mapping::{
        raw,
        DmaDevice, //
    },
    dma_resv::DmaResv,
    vmalloc::Pages, //
};
use crate::bindings;
use core::ptr::NonNull;
use kernel::{
    dma::DataDirection,
    error::{
        from_err_ptr,
        to_result, //
    },
    fs::{
        file::{
            flags::{
                O_ACCMODE,
                O_RDONLY,
                O_RDWR,
                O_WRONLY, //
            },
            FileDescriptorReservation, //
        },
        File, //
    },
    module::this_module,
    prelude::*,
    scatterlist::SGTable,
    str::CStr,
    sync::{
        aref::{
            ARef,
            AlwaysRefCounted, //
        },
        Arc, //
    },
    types::Opaque, //
};

mod exporter;
#[cfg(CONFIG_KUNIT = "y")]
mod fixture;
mod ops;
mod vmap;

pub(crate) use exporter::Exporter;
pub(crate) use vmap::Vmap;

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
        // SAFETY: The pointer is a valid buffer, and the count that the function took is ours.
        Ok(unsafe { Self::from_owned(buf) })
    }

    /// Exports memory. When the last reference to the buffer is dropped, the exporter is dropped in
    /// process context.
    ///
    /// Fails with `ENOENT` if the module is being unloaded, `ENFILE`, `ENOMEM`.
    pub(crate) fn export<T: Exporter>(exporter: T, pages: Arc<Pages>) -> Result<ARef<Self>> {
        // SAFETY: These are the operations of a buffer with an `Exported<T>`.
        unsafe { Self::export_with(exporter, pages, &ops::ExporterOps::<T>::TABLE) }
    }

    /// Exports memory with the given operations.
    ///
    /// # Safety
    ///
    /// The operations must treat the buffer's private data as a pinned `KBox<Exported<T>>`, which
    /// `release` must free.
    unsafe fn export_with<T: Exporter>(
        exporter: T,
        pages: Arc<Pages>,
        ops: &'static bindings::dma_buf_ops,
    ) -> Result<ARef<Self>> {
        let size = pages.size();
        let exported = exporter::Exported::new(exporter, pages);
        let exporter = KBox::pin_init(exported, GFP_KERNEL_ACCOUNT)?;
        // SAFETY: `ExporterOps::release()` frees the box without moving its content.
        let exporter = KBox::into_raw(unsafe { Pin::into_inner_unchecked(exporter) });
        let info = bindings::dma_buf_export_info {
            exp_name: T::NAME.as_char_ptr(),
            owner: this_module::<T::OwnerModule>().as_ptr(),
            ops,
            size,
            // CAST: `O_RDWR` is 2.
            flags: O_RDWR as c_int,
            resv: core::ptr::null_mut(),
            priv_: exporter.cast(),
        };
        // SAFETY: `info` is valid. By the safety requirements of this function the operations match
        // the private data, which the buffer owns on success.
        match from_err_ptr(unsafe { bindings::dma_buf_export(&info) }) {
            // SAFETY: The buffer is new, and its only count is ours.
            Ok(buf) => Ok(unsafe { Self::from_owned(buf) }),
            Err(error) => {
                // SAFETY: The pointer is from `KBox::into_raw()`, and the core did not keep it.
                drop(unsafe { Pin::new_unchecked(KBox::from_raw(exporter)) });
                Err(error)
            }
        }
    }

    /// # Safety
    ///
    /// `buf` must be a valid buffer. The caller must own a count of it, which it gives up.
    unsafe fn from_owned(buf: *mut bindings::dma_buf) -> ARef<Self> {
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
        // SAFETY: The count is ours. `File` is a transparent wrapper. These files have no position,
        // and so no `fdget_pos` region.
        fd.fd_install(unsafe { ARef::from_raw(NonNull::new_unchecked(file).cast::<File>()) });
    }

    /// Begins a CPU access: waits for the fences of conflicting work, and makes the writes of
    /// devices visible. Dropping the guard ends the access, and makes the writes of the CPU visible
    /// to devices.
    ///
    /// Fails with `ERESTARTSYS` if a signal arrives first, and as the exporter does.
    pub(crate) fn begin_cpu_access(&self, direction: DataDirection) -> Result<CpuAccess<'_>> {
        // SAFETY: By the type invariants.
        to_result(unsafe { bindings::dma_buf_begin_cpu_access(self.as_raw(), direction.into()) })?;
        Ok(CpuAccess {
            buf: self,
            direction,
        })
    }
}

/// A CPU access, see [`DmaBuf::begin_cpu_access`].
#[must_use = "the access ends at once when this is not kept"]
pub(crate) struct CpuAccess<'a> {
    buf: &'a DmaBuf,
    direction: DataDirection,
}

impl Drop for CpuAccess<'_> {
    fn drop(&mut self) {
        // SAFETY: `begin_cpu_access()` began the access. A failure of the exporter cannot be
        // handled.
        unsafe { bindings::dma_buf_end_cpu_access(self.buf.as_raw(), self.direction.into()) };
    }
}

/// A buffer that is attached to a device. Dropping it detaches the buffer, with the reservation
/// object locked.
///
/// # Invariants
///
/// `raw` is an attachment of `buf` to the device, and the `Attachment` owns it.
pub(crate) struct Attachment {
    raw: NonNull<bindings::dma_buf_attachment>,
    buf: ARef<DmaBuf>,
    /// Keeps the device bound.
    _device: Arc<DmaDevice>,
}

// SAFETY: Any thread may detach a buffer.
unsafe impl Send for Attachment {}
// SAFETY: No function that takes `&self` changes the attachment.
unsafe impl Sync for Attachment {}

impl Attachment {
    /// Attaches a buffer to a device. Locks the reservation object.
    ///
    /// Fails with `ENOMEM`, and as the exporter does if it refuses the device.
    pub(crate) fn new(buf: ARef<DmaBuf>, device: Arc<DmaDevice>) -> Result<Self> {
        let raw = raw(device.device());
        // SAFETY: The attachment keeps the buffer valid and the device bound.
        let raw = from_err_ptr(unsafe { bindings::dma_buf_attach(buf.as_raw(), raw) })?;
        Ok(Self {
            // The pointer is not an error, and not null.
            raw: NonNull::new(raw).ok_or(ENOMEM)?,
            buf,
            _device: device,
        })
    }

    /// Maps the buffer for the device. Locks the reservation object, and waits for fences of the
    /// kernel's memory management.
    ///
    /// Fails with `ENOMEM`, with `ERESTARTSYS` if a signal arrives first, and as the exporter does.
    pub(crate) fn map(self, direction: DataDirection) -> Result<Mapping> {
        // SAFETY: By the type invariants.
        let table = from_err_ptr(unsafe {
            bindings::dma_buf_map_attachment_unlocked(self.raw.as_ptr(), direction.into())
        })?;
        // INVARIANT: The attachment is mapped.
        Ok(Mapping {
            table: NonNull::new(table).ok_or(ENOMEM)?,
            attachment: self,
            direction,
        })
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        // SAFETY: By the type invariants. The attachment is not mapped.
        unsafe { bindings::dma_buf_detach(self.buf.as_raw(), self.raw.as_ptr()) };
    }
}

/// A buffer that is mapped for a device. Dropping it unmaps the buffer, with the reservation object
/// locked.
///
/// # Invariants
///
/// `table` is the table of `attachment`, mapped in `direction`.
pub(crate) struct Mapping {
    table: NonNull<bindings::sg_table>,
    attachment: Attachment,
    direction: DataDirection,
}

// SAFETY: Any thread may unmap a buffer.
unsafe impl Send for Mapping {}
// SAFETY: The only function that takes `&self` reads.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Returns the table of the buffer's DMA addresses.
    pub(crate) fn table(&self) -> &SGTable {
        // SAFETY: By the type invariants. The table does not change while it is mapped.
        unsafe { SGTable::from_raw(self.table.as_ptr()) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: By the type invariants.
        unsafe {
            bindings::dma_buf_unmap_attachment_unlocked(
                self.attachment.raw.as_ptr(),
                self.table.as_ptr(),
                self.direction.into(),
            )
        };
    }
}

#[kernel::macros::kunit_tests(vfence_dma_buf)]
mod tests {
    use super::{
        fixture::{
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
        let (buf, calls) = exported(None, Refused::Nobody)?;
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
