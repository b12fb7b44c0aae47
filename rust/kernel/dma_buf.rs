// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Buffers that drivers and user space share.
//!
//! C header: [`include/linux/dma-buf.h`](srctree/include/linux/dma-buf.h)
//!
//! Documentation: [`Documentation/driver-api/dma-buf.rst`](srctree/Documentation/driver-api/dma-buf.rst)
//!
//! Who has the memory is the exporter, an [`Exporter`]; whoever uses it is an importer:
//!
//! ```text
//!   Exporter ──DmaBuf::export──▶ ARef<DmaBuf> ──install──▶ file descriptor ──DmaBuf::from_fd──▶ ARef<DmaBuf>
//!                                                                                                 │
//!            for a device: Attachment ──▶ Mapping, a scatter-gather table         ◀───────────────┤
//!            for the CPU:  Vmap, a range of addresses; CpuAccess while it is used ◀───────────────┘
//! ```
//!
//! When work on a buffer may begin and has ended is told by the fences in its [reservation object](DmaBuf::resv). A buffer's
//! exporter is there as long as anybody refers to the buffer, and so is its module.

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
mod vmap;

pub(crate) use exporter::Exporter;
pub(crate) use vmap::Vmap;

/// A shared buffer: C's `struct dma_buf`.
///
/// # Invariants
///
/// Instances are initialised, and counted by their file.
#[repr(transparent)]
pub(crate) struct DmaBuf(Opaque<bindings::dma_buf>);

// SAFETY: Buffers belong to no thread.
unsafe impl Send for DmaBuf {}
// SAFETY: All functions that take `&self` may be called concurrently.
unsafe impl Sync for DmaBuf {}

// SAFETY: A buffer is counted by its file, and freed after that count has come to 0.
unsafe impl AlwaysRefCounted for DmaBuf {
    fn inc_ref(&self) {
        // SAFETY: The reference shows that the count is not 0.
        unsafe { bindings::get_file((*self.as_raw()).file) };
    }

    unsafe fn dec_ref(obj: NonNull<Self>) {
        // SAFETY: The caller gives up a count that it owns.
        unsafe { bindings::dma_buf_put(obj.cast().as_ptr()) };
    }
}

impl DmaBuf {
    /// Returns the buffer that a file descriptor of the present process refers to.
    ///
    /// Fails with `EBADF` if that is none, `EINVAL` if it is one of another kind.
    pub(crate) fn from_fd(fd: i32) -> Result<ARef<Self>> {
        // SAFETY: There are no requirements.
        let buf = from_err_ptr(unsafe { bindings::dma_buf_get(fd) })?;
        // SAFETY: What is no error is a buffer with a count that is ours.
        Ok(unsafe { Self::from_owned(buf) })
    }

    /// Exports memory. The reference is the first one; with the last one the exporter is dropped, in a task.
    ///
    /// Fails with `ENOENT` if the module is going, `ENFILE`, `ENOMEM`.
    pub(crate) fn export<T: Exporter>(exporter: T, pages: Arc<Pages>) -> Result<ARef<Self>> {
        // SAFETY: These are its operations.
        unsafe { Self::export_with(exporter, pages, &exporter::Operations::<T>::TABLE) }
    }

    /// Exports memory with other operations.
    ///
    /// # Safety
    ///
    /// They must take the exporter's data for what it is, and give it back when the buffer is released.
    unsafe fn export_with<T: Exporter>(
        exporter: T,
        pages: Arc<Pages>,
        ops: &'static bindings::dma_buf_ops,
    ) -> Result<ARef<Self>> {
        let size = pages.size();
        let exported = exporter::Exported::new(exporter, pages);
        let exporter = KBox::pin_init(exported, GFP_KERNEL_ACCOUNT)?;
        // SAFETY: It stays where it is until `Operations::release()`.
        let exporter = KBox::into_raw(unsafe { Pin::into_inner_unchecked(exporter) });
        let info = bindings::dma_buf_export_info {
            exp_name: T::NAME.as_char_ptr(),
            owner: this_module::<T::OwnerModule>().as_ptr(),
            ops,
            size,
            // CAST: It fits.
            flags: O_RDWR as c_int,
            resv: core::ptr::null_mut(),
            priv_: exporter.cast(),
        };
        // SAFETY: The operations go with the exporter, which is theirs from now on. Both are there as long as the buffer.
        match from_err_ptr(unsafe { bindings::dma_buf_export(&info) }) {
            // SAFETY: This is a new buffer, whose count is ours.
            Ok(buf) => Ok(unsafe { Self::from_owned(buf) }),
            Err(error) => {
                // SAFETY: It came from a box, and nobody else has it.
                drop(unsafe { Pin::new_unchecked(KBox::from_raw(exporter)) });
                Err(error)
            }
        }
    }

    /// # Safety
    ///
    /// `buf` must be a buffer, and the caller gives up a count of it.
    unsafe fn from_owned(buf: *mut bindings::dma_buf) -> ARef<Self> {
        // SAFETY: By the requirements of this function. `Self` is a transparent wrapper.
        unsafe { ARef::from_raw(NonNull::new_unchecked(buf.cast())) }
    }

    /// Returns the buffer that C code has a pointer to.
    ///
    /// # Safety
    ///
    /// It must be valid as long as the reference is used.
    pub(crate) unsafe fn from_raw<'a>(buf: *mut bindings::dma_buf) -> &'a Self {
        // SAFETY: By the requirements of this function. `Self` is a transparent wrapper.
        unsafe { &*buf.cast() }
    }

    /// Returns the C structure.
    pub(crate) fn as_raw(&self) -> *mut bindings::dma_buf {
        self.0.get()
    }

    /// Returns how many bytes it has: whole pages.
    pub(crate) fn size(&self) -> usize {
        // SAFETY: The field is constant.
        unsafe { (*self.as_raw()).size }
    }

    /// Returns what the exporter calls itself.
    pub(crate) fn exporter_name(&self) -> &CStr {
        // SAFETY: The field is constant: a string, which is there as long as the exporter.
        unsafe { CStr::from_char_ptr((*self.as_raw()).exp_name) }
    }

    /// Returns for what the buffer's file is open. The core asks that of those who map it for user space, and of nobody else.
    fn access_mode(&self) -> u32 {
        // SAFETY: The file is there as long as the buffer. Nobody is in an `fdget_pos` region: these files have no position.
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

    /// Returns the fences of its users.
    pub(crate) fn resv(&self) -> &DmaResv {
        // SAFETY: The field is constant, and the object is there as long as the buffer.
        unsafe { DmaResv::from_raw((*self.as_raw()).resv) }
    }

    /// Makes a file descriptor refer to the buffer: user space has it from now on.
    pub(crate) fn install(this: ARef<Self>, fd: FileDescriptorReservation) {
        // SAFETY: The field is constant, and the file is there as long as the buffer.
        let file = unsafe { (*this.as_raw()).file };
        // The count of the buffer is that of its file.
        core::mem::forget(this);
        // SAFETY: The count was ours. `File` is a transparent wrapper, and nobody is in an `fdget_pos` region: these files have no
        // position.
        fd.fd_install(unsafe { ARef::from_raw(NonNull::new_unchecked(file).cast::<File>()) });
    }

    /// Begins an access by the CPU: waits for the work of others, and makes visible what devices have written. Dropping
    /// the guard ends it, and makes visible to devices what the CPU has written.
    ///
    /// Fails with `ERESTARTSYS` when a signal comes before, and as the exporter does.
    pub(crate) fn begin_cpu_access(&self, direction: DataDirection) -> Result<CpuAccess<'_>> {
        // SAFETY: By the type invariants.
        to_result(unsafe { bindings::dma_buf_begin_cpu_access(self.as_raw(), direction.into()) })?;
        Ok(CpuAccess {
            buf: self,
            direction,
        })
    }
}

/// An access by the CPU, see [`DmaBuf::begin_cpu_access`].
#[must_use = "the access ends at once when this is not kept"]
pub(crate) struct CpuAccess<'a> {
    buf: &'a DmaBuf,
    direction: DataDirection,
}

impl Drop for CpuAccess<'_> {
    fn drop(&mut self) {
        // SAFETY: It was begun. What the exporter cannot do now it cannot do later.
        unsafe { bindings::dma_buf_end_cpu_access(self.buf.as_raw(), self.direction.into()) };
    }
}

/// A buffer that is attached to a device. Dropping it detaches it, which takes the lock of the reservation object.
///
/// # Invariants
///
/// `raw` is an attachment of the buffer and the device, and owned by this.
pub(crate) struct Attachment {
    raw: NonNull<bindings::dma_buf_attachment>,
    buf: ARef<DmaBuf>,
    /// Bound as long as this is there.
    _device: Arc<DmaDevice>,
}

// SAFETY: Attachments belong to no thread.
unsafe impl Send for Attachment {}
// SAFETY: There are no functions that take `&self` and change it.
unsafe impl Sync for Attachment {}

impl Attachment {
    /// Attaches a buffer to a device. Takes the lock of the reservation object.
    ///
    /// Fails with `ENOMEM`, and as the exporter does if the device cannot have it.
    pub(crate) fn new(buf: ARef<DmaBuf>, device: Arc<DmaDevice>) -> Result<Self> {
        let raw = raw(device.device());
        // SAFETY: Both are valid, and the device is bound, and they stay so as long as the attachment.
        let raw = from_err_ptr(unsafe { bindings::dma_buf_attach(buf.as_raw(), raw) })?;
        Ok(Self {
            // It is no error, and it is not null.
            raw: NonNull::new(raw).ok_or(ENOMEM)?,
            buf,
            _device: device,
        })
    }

    /// Maps the buffer for the device. Takes the lock of the reservation object, and waits for the kernel's memory management.
    ///
    /// Fails with `ENOMEM`, `ERESTARTSYS` when a signal comes before, and as the exporter does.
    pub(crate) fn map(self, direction: DataDirection) -> Result<Mapping> {
        // SAFETY: By the type invariants.
        let table = from_err_ptr(unsafe {
            bindings::dma_buf_map_attachment_unlocked(self.raw.as_ptr(), direction.into())
        })?;
        // INVARIANT: It was mapped just now.
        Ok(Mapping {
            table: NonNull::new(table).ok_or(ENOMEM)?,
            attachment: self,
            direction,
        })
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        // SAFETY: By the type invariants; it is not mapped any more.
        unsafe { bindings::dma_buf_detach(self.buf.as_raw(), self.raw.as_ptr()) };
    }
}

/// A buffer that is mapped for a device. Dropping it unmaps it, which takes the lock of the reservation object.
///
/// # Invariants
///
/// `table` is the attachment's, mapped in this direction.
pub(crate) struct Mapping {
    table: NonNull<bindings::sg_table>,
    attachment: Attachment,
    direction: DataDirection,
}

// SAFETY: Mappings belong to no thread.
unsafe impl Send for Mapping {}
// SAFETY: The function that takes `&self` only reads.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Returns where the device finds the buffer.
    pub(crate) fn table(&self) -> &SGTable {
        // SAFETY: By the type invariants; it does not change as long as it is mapped.
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
