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
    dma_mapping::raw,
    dma_resv::DmaResv,
    scatterlist::MappedSgTable,
    vmalloc::Pages, //
};
use crate::bindings;
use core::{
    marker::PhantomData,
    ptr::NonNull, //
};
use kernel::{
    device::Device,
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
                O_RDWR, //
            },
            FileDescriptorReservation, //
        },
        File, //
    },
    mm::virt::VmaNew,
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
    types::Opaque,
    ModuleMetadata, //
};

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

    /// Exports `size` bytes of memory. The reference is the first one; with the last one the exporter is dropped, in a task.
    ///
    /// Fails with `EINVAL` if `size` is 0 or does not consist of pages, `ENOENT` if the module is going, `ENFILE`, `ENOMEM`.
    pub(crate) fn export<T: Exporter>(exporter: Pin<KBox<T>>, size: usize) -> Result<ARef<Self>> {
        if size == 0 || size % kernel::page::PAGE_SIZE != 0 {
            return Err(EINVAL);
        }
        // SAFETY: It stays where it is until `Operations::release()`.
        let exporter = KBox::into_raw(unsafe { Pin::into_inner_unchecked(exporter) });
        let info = bindings::dma_buf_export_info {
            exp_name: T::NAME.as_char_ptr(),
            owner: this_module::<T::OwnerModule>().as_ptr(),
            ops: &Operations::<T>::TABLE,
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

    fn as_raw(&self) -> *mut bindings::dma_buf {
        self.0.get()
    }

    /// Returns how many bytes it has: whole pages.
    pub(crate) fn size(&self) -> usize {
        // SAFETY: The field is constant.
        unsafe { (*self.as_raw()).size }
    }

    /// Returns whether the buffer's file is open for writing. The core asks that of those who map it for user space, and of nobody else.
    pub(crate) fn is_writable(&self) -> bool {
        // SAFETY: The file is there as long as the buffer. Nobody is in an `fdget_pos` region: these files have no position.
        let file = unsafe { File::from_raw_file((*self.as_raw()).file) };
        file.flags() & O_ACCMODE != O_RDONLY
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
    _device: ARef<Device>,
}

// SAFETY: Attachments belong to no thread.
unsafe impl Send for Attachment {}
// SAFETY: There are no functions that take `&self` and change it.
unsafe impl Sync for Attachment {}

impl Attachment {
    /// Attaches a buffer to a device. Takes the lock of the reservation object.
    ///
    /// Fails with `ENOMEM`, and as the exporter does if the device cannot have it.
    pub(crate) fn new(buf: ARef<DmaBuf>, device: &Device) -> Result<Self> {
        // SAFETY: Both are valid, and stay so as long as the attachment.
        let raw = from_err_ptr(unsafe { bindings::dma_buf_attach(buf.as_raw(), raw(device)) })?;
        Ok(Self {
            // It is no error, and it is not null.
            raw: NonNull::new(raw).ok_or(ENOMEM)?,
            buf,
            _device: device.into(),
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

/// A buffer in the kernel's address space. Dropping it takes it out, which takes the lock of the reservation object.
///
/// Others may change what is in it at any time, so there are no references to it.
///
/// # Invariants
///
/// `map` is what the exporter has mapped all of `buf` at, in memory.
pub(crate) struct Vmap {
    map: bindings::iosys_map,
    address: NonNull<u8>,
    buf: ARef<DmaBuf>,
}

// SAFETY: Mappings belong to no thread.
unsafe impl Send for Vmap {}
// SAFETY: What is in it may be changed by anybody at any time, and is only accessed through pointers.
unsafe impl Sync for Vmap {}

impl Vmap {
    /// Maps a buffer. Takes the lock of the reservation object.
    ///
    /// Fails with `EOPNOTSUPP` if it is a device's memory, `EINVAL` if the exporter cannot do that, `ENOMEM`.
    pub(crate) fn new(buf: ARef<DmaBuf>) -> Result<Self> {
        let mut map: bindings::iosys_map = pin_init::zeroed();
        // SAFETY: The buffer is valid, and `map` valid for writes.
        to_result(unsafe { bindings::dma_buf_vmap_unlocked(buf.as_raw(), &mut map) })?;
        // SAFETY: Both are pointers.
        let address = NonNull::new(unsafe { map.__bindgen_anon_1.vaddr.cast() });
        match address {
            Some(address) if !map.is_iomem => Ok(Self { map, address, buf }),
            _ => {
                // SAFETY: It was mapped just now.
                unsafe { bindings::dma_buf_vunmap_unlocked(buf.as_raw(), &mut map) };
                Err(EOPNOTSUPP)
            }
        }
    }

    /// Returns the buffer.
    pub(crate) fn buf(&self) -> &DmaBuf {
        &self.buf
    }

    /// Returns the address of `length` bytes from `offset` on. Fails with `EINVAL` if they are not all in the buffer.
    fn range(&self, offset: usize, length: usize) -> Result<NonNull<u8>> {
        match offset.checked_add(length) {
            // SAFETY: It is inside the buffer.
            Some(end) if end <= self.buf.size() => Ok(unsafe { self.address.add(offset) }),
            _ => Err(EINVAL),
        }
    }

    /// Fills `length` bytes from `offset` on with `pattern`, which begins with its first byte in memory.
    ///
    /// Fails with `EINVAL` if not all of them are in the buffer.
    pub(crate) fn fill(&self, offset: usize, length: usize, pattern: u64) -> Result {
        const WORD: usize = size_of::<u64>();

        let to = self.range(offset, length)?.as_ptr();
        let head = to.align_offset(WORD).min(length);
        let words = (length - head) / WORD;
        let tail = length - head - words * WORD;
        // What comes after `head` bytes of it, in memory.
        let aligned = u64::from_le(pattern.to_le().rotate_right(8 * head as u32));
        let (begin, end) = (pattern.to_ne_bytes(), aligned.to_ne_bytes());
        // SAFETY: The range is valid for writes; head and tail are shorter than a word.
        unsafe {
            bindings::memcpy(to.cast(), begin.as_ptr().cast(), head);
            bindings::memset64(to.add(head).cast(), aligned, words);
            bindings::memcpy(to.add(length - tail).cast(), end.as_ptr().cast(), tail);
        }
        Ok(())
    }

    /// Copies `length` bytes from `from`, at `from_offset`, to `offset`; as C's `memcpy()`, if they overlap, anything may be there
    /// afterwards.
    ///
    /// Fails with `EINVAL` if not all of them are in the buffers.
    pub(crate) fn copy(
        &self,
        offset: usize,
        from: &Self,
        from_offset: usize,
        length: usize,
    ) -> Result {
        let (to, from) = (
            self.range(offset, length)?,
            from.range(from_offset, length)?,
        );
        // SAFETY: Both are valid for so many bytes.
        unsafe { copy(to.as_ptr(), from.as_ptr(), length) };
        Ok(())
    }

    /// Goes on with a CRC-32C, which was `crc` before, without the inversions at its beginning and end.
    ///
    /// Fails with `EINVAL` if not all of the range is in the buffer.
    pub(crate) fn crc32c(&self, crc: u32, offset: usize, length: usize) -> Result<u32> {
        let from = self.range(offset, length)?;
        // SAFETY: It is valid for so many bytes. C's function takes what it finds.
        Ok(unsafe { bindings::crc32c(crc, from.as_ptr().cast(), length) })
    }

    /// Copies out of the buffer. Fails with `EINVAL` if not all of it is in the buffer.
    pub(crate) fn read(&self, offset: usize, to: &mut [u8]) -> Result {
        let from = self.range(offset, to.len())?;
        // SAFETY: Both are valid for so many bytes, and do not overlap. C's function takes what it finds.
        unsafe { bindings::memcpy(to.as_mut_ptr().cast(), from.as_ptr().cast(), to.len()) };
        Ok(())
    }

    /// Copies into the buffer. Fails with `EINVAL` if not all of it is in the buffer.
    pub(crate) fn write(&self, offset: usize, from: &[u8]) -> Result {
        let to = self.range(offset, from.len())?;
        // SAFETY: Both are valid for so many bytes, and do not overlap. Who else writes there does so at his own risk.
        unsafe { bindings::memcpy(to.as_ptr().cast(), from.as_ptr().cast(), from.len()) };
        Ok(())
    }
}

impl Drop for Vmap {
    fn drop(&mut self) {
        // SAFETY: By the type invariants.
        unsafe { bindings::dma_buf_vunmap_unlocked(self.buf.as_raw(), &mut self.map) };
    }
}

/// Copies `length` bytes between memories that others may change meanwhile, like `memcpy()`.
///
/// That uses instructions that copy single bytes where processors are said to be fast at it. Emulated ones are not, and for
/// long copies of words real ones are not slower.
///
/// # Safety
///
/// Both must be valid for so many bytes.
unsafe fn copy(to: *mut u8, from: *const u8, length: usize) {
    const WORD: usize = size_of::<u64>();
    const BLOCK: usize = 8;

    let head = to.align_offset(WORD).min(length);
    let blocks = (length - head) / (BLOCK * WORD);
    let tail = length - head - blocks * BLOCK * WORD;
    // SAFETY: By the requirements of this function. If the words of one are aligned, so are those of the other.
    unsafe {
        if from.addr() % WORD != to.addr() % WORD {
            bindings::memcpy(to.cast(), from.cast(), length);
            return;
        }
        bindings::memcpy(to.cast(), from.cast(), head);
        let (mut to, mut from) = (to.add(head).cast::<u64>(), from.add(head).cast::<u64>());
        for _ in 0..blocks {
            for word in 0..BLOCK {
                to.add(word).write_volatile(from.add(word).read_volatile());
            }
            (to, from) = (to.add(BLOCK), from.add(BLOCK));
        }
        bindings::memcpy(to.cast(), from.cast(), tail);
    }
}

/// Who has the memory of a buffer. Each function but the last ones is called for importers, in a task.
pub(crate) trait Exporter: Send + Sync + 'static {
    /// The module that has the code of this, and is there as long as its buffers.
    type OwnerModule: ModuleMetadata;

    /// What the buffer shows as its exporter.
    const NAME: &'static CStr;

    /// A device wants the buffer. May refuse.
    fn attach(&self, _device: &Device) -> Result {
        Ok(())
    }

    /// A device does not want the buffer any more.
    fn detach(&self, _device: &Device) {}

    /// The memory must stay where it is. Called with the lock of the reservation object.
    fn pin(&self) -> Result;

    /// The memory may move again. Called with the lock of the reservation object.
    fn unpin(&self);

    /// Maps the memory for a device. Called with the lock of the reservation object.
    fn map(&self, device: &Device, direction: DataDirection) -> Result<Arc<MappedSgTable>>;

    /// Takes back what [`Exporter::map`] has returned. Called with the lock of the reservation object.
    fn unmap(&self, mapping: Arc<MappedSgTable>);

    /// The CPU is about to access the memory.
    fn begin_cpu_access(&self, direction: DataDirection) -> Result;

    /// The CPU has accessed the memory.
    fn end_cpu_access(&self, direction: DataDirection) -> Result;

    /// Maps the memory from page `first` on for user space. The core has seen to it that the buffer has as much.
    fn mmap(&self, vma: &VmaNew, first: usize) -> Result;

    /// Returns the memory in the kernel's address space, as large as the buffer. It is there until the exporter is dropped. Called with
    /// the lock of the reservation object.
    fn vmap(&self) -> Result<&Pages>;
}

/// What the core calls for the buffers of an exporter.
struct Operations<T>(PhantomData<T>);

impl<T: Exporter> Operations<T> {
    const TABLE: bindings::dma_buf_ops = bindings::dma_buf_ops {
        attach: Some(Self::attach),
        detach: Some(Self::detach),
        pin: Some(Self::pin),
        unpin: Some(Self::unpin),
        map_dma_buf: Some(Self::map),
        unmap_dma_buf: Some(Self::unmap),
        release: Some(Self::release),
        begin_cpu_access: Some(Self::begin_cpu_access),
        end_cpu_access: Some(Self::end_cpu_access),
        mmap: Some(Self::mmap),
        vmap: Some(Self::vmap),
        vunmap: Some(Self::vunmap),
    };

    /// # Safety
    ///
    /// `buf` must have been exported with these operations, and not be released as long as the reference is used.
    unsafe fn exporter<'a>(buf: *mut bindings::dma_buf) -> &'a T {
        // SAFETY: By the requirements of this function. It was given to the buffer by `DmaBuf::export()`.
        unsafe { &*(*buf).priv_.cast() }
    }

    /// # Safety
    ///
    /// `attachment` must be of a buffer that was exported with these operations, and stay as long as the references are used.
    unsafe fn attached<'a>(attachment: *mut bindings::dma_buf_attachment) -> (&'a T, &'a Device) {
        // SAFETY: By the requirements of this function.
        let (buf, device) = unsafe { ((*attachment).dmabuf, (*attachment).dev) };
        // SAFETY: An attachment refers to its buffer, and to a device that is there as long as it is.
        unsafe { (Self::exporter(buf), Device::from_raw(device)) }
    }

    /// Returns the kernel crate's word for a direction.
    fn direction(direction: bindings::dma_data_direction) -> DataDirection {
        match direction {
            bindings::dma_data_direction::DMA_TO_DEVICE => DataDirection::ToDevice,
            bindings::dma_data_direction::DMA_FROM_DEVICE => DataDirection::FromDevice,
            bindings::dma_data_direction::DMA_NONE => DataDirection::None,
            _ => DataDirection::Bidirectional,
        }
    }

    /// Returns what C functions return.
    fn status(result: Result) -> c_int {
        match result {
            Ok(()) => 0,
            Err(error) => error.to_errno(),
        }
    }

    /// # Safety
    ///
    /// As the core calls it.
    unsafe extern "C" fn attach(
        _buf: *mut bindings::dma_buf,
        attachment: *mut bindings::dma_buf_attachment,
    ) -> c_int {
        // SAFETY: By the requirements of this function.
        let (exporter, device) = unsafe { Self::attached(attachment) };
        Self::status(exporter.attach(device))
    }

    /// # Safety
    ///
    /// As the core calls it.
    unsafe extern "C" fn detach(
        _buf: *mut bindings::dma_buf,
        attachment: *mut bindings::dma_buf_attachment,
    ) {
        // SAFETY: By the requirements of this function.
        let (exporter, device) = unsafe { Self::attached(attachment) };
        exporter.detach(device);
    }

    /// # Safety
    ///
    /// As the core calls it.
    unsafe extern "C" fn pin(attachment: *mut bindings::dma_buf_attachment) -> c_int {
        // SAFETY: By the requirements of this function.
        Self::status(unsafe { Self::attached(attachment) }.0.pin())
    }

    /// # Safety
    ///
    /// As the core calls it.
    unsafe extern "C" fn unpin(attachment: *mut bindings::dma_buf_attachment) {
        // SAFETY: By the requirements of this function.
        unsafe { Self::attached(attachment) }.0.unpin();
    }

    /// # Safety
    ///
    /// As the core calls it.
    unsafe extern "C" fn map(
        attachment: *mut bindings::dma_buf_attachment,
        direction: bindings::dma_data_direction,
    ) -> *mut bindings::sg_table {
        // SAFETY: By the requirements of this function.
        let (exporter, device) = unsafe { Self::attached(attachment) };
        match exporter.map(device, Self::direction(direction)) {
            Ok(mapping) => MappedSgTable::into_raw(mapping),
            Err(error) => error.to_ptr(),
        }
    }

    /// # Safety
    ///
    /// As the core calls it: with a table that [`Self::map`] has returned, once.
    unsafe extern "C" fn unmap(
        attachment: *mut bindings::dma_buf_attachment,
        table: *mut bindings::sg_table,
        _direction: bindings::dma_data_direction,
    ) {
        // SAFETY: By the requirements of this function.
        let (exporter, mapping) =
            unsafe { (Self::attached(attachment).0, MappedSgTable::from_raw(table)) };
        exporter.unmap(mapping);
    }

    /// # Safety
    ///
    /// As the core calls it: once, nobody refers to the buffer any more.
    unsafe extern "C" fn release(buf: *mut bindings::dma_buf) {
        // SAFETY: By the requirements of this function. It came from a box that was pinned.
        drop(unsafe { Pin::new_unchecked(KBox::<T>::from_raw((*buf).priv_.cast())) });
    }

    /// # Safety
    ///
    /// As the core calls it.
    unsafe extern "C" fn begin_cpu_access(
        buf: *mut bindings::dma_buf,
        direction: bindings::dma_data_direction,
    ) -> c_int {
        // SAFETY: By the requirements of this function.
        let exporter = unsafe { Self::exporter(buf) };
        Self::status(exporter.begin_cpu_access(Self::direction(direction)))
    }

    /// # Safety
    ///
    /// As the core calls it.
    unsafe extern "C" fn end_cpu_access(
        buf: *mut bindings::dma_buf,
        direction: bindings::dma_data_direction,
    ) -> c_int {
        // SAFETY: By the requirements of this function.
        let exporter = unsafe { Self::exporter(buf) };
        Self::status(exporter.end_cpu_access(Self::direction(direction)))
    }

    /// # Safety
    ///
    /// As the core calls it: `vma` is being set up, and is for no more than the buffer has.
    unsafe extern "C" fn mmap(
        buf: *mut bindings::dma_buf,
        vma: *mut bindings::vm_area_struct,
    ) -> c_int {
        // SAFETY: By the requirements of this function.
        let (exporter, first) = unsafe { (Self::exporter(buf), (*vma).vm_pgoff) };
        // SAFETY: By the requirements of this function.
        Self::status(exporter.mmap(unsafe { VmaNew::from_raw(vma) }, first))
    }

    /// # Safety
    ///
    /// As the core calls it: `map` is valid for writes.
    unsafe extern "C" fn vmap(buf: *mut bindings::dma_buf, map: *mut bindings::iosys_map) -> c_int {
        // SAFETY: By the requirements of this function.
        let (exporter, size) = unsafe { (Self::exporter(buf), (*buf).size) };
        // What is borrowed of the exporter is there until that is released, so after the last unmapping.
        let pages = match exporter.vmap() {
            Ok(pages) if pages.size() >= size => pages,
            Ok(_) => return EINVAL.to_errno(),
            Err(error) => return error.to_errno(),
        };
        let address = bindings::iosys_map__bindgen_ty_1 {
            vaddr: pages.address().as_ptr().cast(),
        };
        // SAFETY: By the requirements of this function.
        unsafe {
            map.write(bindings::iosys_map {
                __bindgen_anon_1: address,
                is_iomem: false,
            })
        };
        0
    }

    /// # Safety
    ///
    /// There are no requirements: the memory stays.
    unsafe extern "C" fn vunmap(_buf: *mut bindings::dma_buf, _map: *mut bindings::iosys_map) {}
}

#[kernel::macros::kunit_tests(vfence_dma_buf)]
mod tests {
    use super::*;
    use crate::kernel_ext::dma_mapping::DmaDevice;
    use kernel::{
        page::PAGE_SIZE,
        sync::atomic::{
            Atomic,
            Relaxed, //
        }, //
    };

    /// How often it was asked for what, less how often that has ended.
    struct Calls {
        attached: Atomic<i32>,
        pinned: Atomic<i32>,
        mapped: Atomic<i32>,
        accessed: Atomic<i32>,
    }

    impl Calls {
        fn new() -> Result<Arc<Self>> {
            let calls = Self {
                attached: Atomic::new(0),
                pinned: Atomic::new(0),
                mapped: Atomic::new(0),
                accessed: Atomic::new(0),
            };
            Ok(Arc::new(calls, GFP_KERNEL)?)
        }

        fn get(&self) -> [i32; 4] {
            [&self.attached, &self.pinned, &self.mapped, &self.accessed]
                .map(|count| count.load(Relaxed))
        }
    }

    struct Plain {
        pages: Arc<Pages>,
        calls: Arc<Calls>,
    }

    impl Exporter for Plain {
        type OwnerModule = crate::LocalModule;

        const NAME: &'static CStr = c"kunit";

        fn attach(&self, _device: &Device) -> Result {
            self.calls.attached.add(1, Relaxed);
            Ok(())
        }

        fn detach(&self, _device: &Device) {
            self.calls.attached.add(-1, Relaxed);
        }

        fn pin(&self) -> Result {
            self.calls.pinned.add(1, Relaxed);
            Ok(())
        }

        fn unpin(&self) {
            self.calls.pinned.add(-1, Relaxed);
        }

        fn map(&self, device: &Device, direction: DataDirection) -> Result<Arc<MappedSgTable>> {
            self.calls.mapped.add(1, Relaxed);
            MappedSgTable::new(self.pages.clone(), device, direction)
        }

        fn unmap(&self, _mapping: Arc<MappedSgTable>) {
            self.calls.mapped.add(-1, Relaxed);
        }

        fn begin_cpu_access(&self, _direction: DataDirection) -> Result {
            self.calls.accessed.add(1, Relaxed);
            Ok(())
        }

        fn end_cpu_access(&self, _direction: DataDirection) -> Result {
            self.calls.accessed.add(-1, Relaxed);
            Ok(())
        }

        fn mmap(&self, vma: &VmaNew, first: usize) -> Result {
            self.pages.map(vma, first)
        }

        fn vmap(&self) -> Result<&Pages> {
            Ok(&self.pages)
        }
    }

    const SIZE: usize = 3 * PAGE_SIZE;

    fn buffer() -> Result<(ARef<DmaBuf>, Arc<Calls>)> {
        let calls = Calls::new()?;
        let plain = Plain {
            pages: Arc::new(Pages::new(SIZE, GFP_KERNEL)?, GFP_KERNEL)?,
            calls: calls.clone(),
        };
        let plain = KBox::pin(plain, GFP_KERNEL)?;
        Ok((DmaBuf::export(plain, SIZE)?, calls))
    }

    #[test]
    fn buffer_has_pages() -> Result {
        let (buf, _) = buffer()?;
        assert_eq!(buf.size(), SIZE);
        for size in [0, 1, PAGE_SIZE + 1] {
            let plain = Plain {
                pages: Arc::new(Pages::new(SIZE, GFP_KERNEL)?, GFP_KERNEL)?,
                calls: Calls::new()?,
            };
            let plain = KBox::pin(plain, GFP_KERNEL)?;
            let refused = DmaBuf::export(plain, size);
            assert!(refused.is_err_and(|error| error == EINVAL));
        }
        Ok(())
    }

    #[test]
    fn device_has_the_buffer_mapped() -> Result {
        let device = DmaDevice::new(c"kunit-dma-buf")?;
        let (buf, calls) = buffer()?;
        let attachment = Attachment::new(buf.clone(), device.device())?;
        assert_eq!(calls.get(), [1, 0, 0, 0]);
        let mapping = attachment.map(DataDirection::Bidirectional)?;
        // An importer that cannot follow the memory has it pinned.
        assert_eq!(calls.get(), [1, 1, 1, 0]);
        let seen: u64 = mapping.table().iter().map(|entry| entry.dma_len()).sum();
        assert_eq!(seen, SIZE as u64);
        drop(mapping);
        assert_eq!(calls.get(), [0; 4]);
        Ok(())
    }

    #[test]
    fn cpu_reads_what_it_has_written() -> Result {
        let (buf, calls) = buffer()?;
        let one = Vmap::new(buf.clone())?;
        let other = Vmap::new(buf.clone())?;
        let access = buf.begin_cpu_access(DataDirection::Bidirectional)?;
        assert_eq!(calls.get(), [0, 0, 0, 1]);
        one.write(PAGE_SIZE - 2, b"vfence")?;
        let mut read = [0; 8];
        other.read(PAGE_SIZE - 3, &mut read)?;
        assert_eq!(&read, b"\0vfence\0");
        drop(access);
        assert_eq!(calls.get(), [0; 4]);
        Ok(())
    }

    #[test]
    fn patterns_begin_where_they_are_put() -> Result {
        let map = Vmap::new(buffer()?.0)?;
        let pattern = u64::from_ne_bytes(*b"abcdefgh");
        for offset in 0..20 {
            for length in 0..40 {
                map.fill(0, 64, u64::from_ne_bytes([b'.'; 8]))?;
                map.fill(offset, length, pattern)?;
                let mut read = [0; 64];
                map.read(0, &mut read)?;
                for (index, byte) in read.iter().enumerate() {
                    let inside = (offset..offset + length).contains(&index);
                    let expected = if inside {
                        b'a' + ((index - offset) % 8) as u8
                    } else {
                        b'.'
                    };
                    assert_eq!(*byte, expected);
                }
            }
        }
        Ok(())
    }

    #[test]
    fn copies_are_exact() -> Result {
        let (one, other) = (Vmap::new(buffer()?.0)?, Vmap::new(buffer()?.0)?);
        let mut bytes = [0; 256];
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = index as u8;
        }
        one.write(0, &bytes)?;
        for from in 0..10 {
            for to in 0..10 {
                for length in [0, 1, 7, 8, 63, 64, 65, 130, 200] {
                    other.fill(0, 256, 0)?;
                    other.copy(to, &one, from, length)?;
                    let mut read = [0; 256];
                    other.read(0, &mut read)?;
                    for (index, byte) in read.iter().enumerate() {
                        let inside = (to..to + length).contains(&index);
                        let expected = if inside { index - to + from } else { 0 };
                        assert_eq!(usize::from(*byte), expected);
                    }
                }
            }
        }
        Ok(())
    }

    #[test]
    fn accesses_outside_are_refused() -> Result {
        let map = Vmap::new(buffer()?.0)?;
        let mut byte = [0];
        map.read(SIZE - 1, &mut byte)?;
        assert_eq!(map.read(SIZE, &mut byte), Err(EINVAL));
        assert_eq!(map.write(SIZE - 1, b"ab"), Err(EINVAL));
        assert_eq!(map.write(usize::MAX, b"ab"), Err(EINVAL));
        map.write(SIZE, b"")
    }
}
