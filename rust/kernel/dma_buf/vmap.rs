// SPDX-License-Identifier: GPL-2.0 OR MIT

//! A buffer in the kernel's address space.
//!
//! C header: [`include/linux/iosys-map.h`](srctree/include/linux/iosys-map.h)

use super::buf::DmaBuf;
use crate::bindings;
use core::ptr::NonNull;
use kernel::{
    error::to_result,
    prelude::*,
    sync::aref::ARef, //
};

/// A buffer in the kernel's address space. Dropping it unmaps the buffer, with the reservation
/// object locked.
///
/// User space and devices may change the content at any time, so there are no references to it.
///
/// # Invariants
///
/// `map` is the exporter's mapping of all of `buf`. It is not I/O memory, and `address` is its
/// address.
pub(crate) struct Vmap {
    map: bindings::iosys_map,
    address: NonNull<u8>,
    buf: ARef<DmaBuf>,
}

// SAFETY: Any thread may use and unmap a mapping.
unsafe impl Send for Vmap {}
// SAFETY: The content may change at any time, and is only accessed through pointers.
unsafe impl Sync for Vmap {}

impl Vmap {
    /// Maps a buffer. Locks the reservation object.
    ///
    /// Fails with `EOPNOTSUPP` if the exporter has no `vmap` operation or maps I/O memory, and as
    /// the exporter does. The core warns once about a failure of the exporter.
    pub(crate) fn new(buf: ARef<DmaBuf>) -> Result<Self> {
        // SAFETY: The field is constant, and the operations are valid as long as the buffer.
        if unsafe { (*(*buf.as_raw()).ops).vmap.is_none() } {
            return Err(EOPNOTSUPP);
        }
        let mut map: bindings::iosys_map = pin_init::zeroed();
        // SAFETY: The buffer is valid, and `map` is valid for writes.
        to_result(unsafe { bindings::dma_buf_vmap_unlocked(buf.as_raw(), &mut map) })?;
        // SAFETY: Both variants of the union are pointers.
        let address = NonNull::new(unsafe { map.__bindgen_anon_1.vaddr.cast() });
        match address {
            Some(address) if !map.is_iomem => Ok(Self { map, address, buf }),
            _ => {
                // SAFETY: The function above mapped the buffer.
                unsafe { bindings::dma_buf_vunmap_unlocked(buf.as_raw(), &mut map) };
                Err(EOPNOTSUPP)
            }
        }
    }

    /// Returns the buffer.
    pub(crate) fn buf(&self) -> &DmaBuf {
        &self.buf
    }

    /// Returns the address of `length` bytes at `offset`. Fails with `EINVAL` if they exceed the
    /// buffer.
    fn range(&self, offset: usize, length: usize) -> Result<NonNull<u8>> {
        match offset.checked_add(length) {
            // SAFETY: The range is within the buffer.
            Some(end) if end <= self.buf.size() => Ok(unsafe { self.address.add(offset) }),
            _ => Err(EINVAL),
        }
    }

    /// Fills `length` bytes at `offset` with `pattern`, beginning with its first byte in memory.
    ///
    /// Fails with `EINVAL` if the range exceeds the buffer.
    pub(crate) fn fill(&self, offset: usize, length: usize, pattern: u64) -> Result {
        const WORD: usize = size_of::<u64>();

        let to = self.range(offset, length)?.as_ptr();
        let head = to.align_offset(WORD).min(length);
        let words = (length - head) / WORD;
        let tail = length - head - words * WORD;
        // The pattern as it continues after its first `head` bytes in memory.
        let aligned = u64::from_le(pattern.to_le().rotate_right(8 * head as u32));
        let (begin, end) = (pattern.to_ne_bytes(), aligned.to_ne_bytes());
        // SAFETY: The range is valid for writes. `head` and `tail` are less than a word.
        unsafe {
            bindings::memcpy(to.cast(), begin.as_ptr().cast(), head);
            bindings::memset64(to.add(head).cast(), aligned, words);
            bindings::memcpy(to.add(length - tail).cast(), end.as_ptr().cast(), tail);
        }
        Ok(())
    }

    /// Copies `length` bytes at `from_offset` of `from` to `offset`. If the ranges overlap, the
    /// result is undefined, as with C's `memcpy()`.
    ///
    /// Fails with `EINVAL` if a range exceeds its buffer.
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
        // SAFETY: Both ranges are valid for `length` bytes. C's function allows concurrent writes.
        unsafe { bindings::memcpy(to.as_ptr().cast(), from.as_ptr().cast(), length) };
        Ok(())
    }

    /// Continues the CRC-32C `crc` over a range, without the inversions at the beginning and the
    /// end.
    ///
    /// Fails with `EINVAL` if the range exceeds the buffer.
    pub(crate) fn crc32c(&self, crc: u32, offset: usize, length: usize) -> Result<u32> {
        let from = self.range(offset, length)?;
        // SAFETY: The range is valid for `length` bytes. C's function allows concurrent writes.
        Ok(unsafe { bindings::crc32c(crc, from.as_ptr().cast(), length) })
    }

    /// Copies bytes at `offset` to `to`. Fails with `EINVAL` if the range exceeds the buffer.
    pub(crate) fn read(&self, offset: usize, to: &mut [u8]) -> Result {
        let from = self.range(offset, to.len())?;
        // SAFETY: Both ranges are valid for `to.len()` bytes, and do not overlap. C's function
        // allows concurrent writes.
        unsafe { bindings::memcpy(to.as_mut_ptr().cast(), from.as_ptr().cast(), to.len()) };
        Ok(())
    }

    /// Copies `from` to `offset`. Fails with `EINVAL` if the range exceeds the buffer.
    pub(crate) fn write(&self, offset: usize, from: &[u8]) -> Result {
        let to = self.range(offset, from.len())?;
        // SAFETY: Both ranges are valid for `from.len()` bytes, and do not overlap. The content may
        // change concurrently.
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

#[kernel::macros::kunit_tests(vfence_dma_buf_vmap)]
mod tests {
    use super::{
        super::fixture::{
            buffer,
            buffer_of_a_device,
            buffer_without_vmap,
            SIZE, //
        },
        *, //
    };
    use kernel::page::PAGE_SIZE;

    #[test]
    fn read_returns_written_bytes() -> Result {
        let (buf, _) = buffer()?;
        let one = Vmap::new(buf.clone())?;
        let other = Vmap::new(buf.clone())?;
        one.write(PAGE_SIZE - 2, b"vfence")?;
        let mut read = [0; 8];
        other.read(PAGE_SIZE - 3, &mut read)?;
        assert_eq!(&read, b"\0vfence\0");
        Ok(())
    }

    #[test]
    fn fill_begins_with_the_first_byte_of_the_pattern() -> Result {
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
    fn copy_changes_exactly_the_range() -> Result {
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
    fn buffer_without_vmap_or_in_io_memory_is_eopnotsupp() -> Result {
        for buf in [buffer_without_vmap()?, buffer_of_a_device()?] {
            let refused = Vmap::new(buf);
            assert!(refused.is_err_and(|error| error == EOPNOTSUPP));
        }
        Ok(())
    }

    #[test]
    fn accesses_beyond_the_buffer_are_einval() -> Result {
        let map = Vmap::new(buffer()?.0)?;
        let mut byte = [0];
        map.read(SIZE - 1, &mut byte)?;
        assert_eq!(map.read(SIZE, &mut byte), Err(EINVAL));
        assert_eq!(map.write(SIZE - 1, b"ab"), Err(EINVAL));
        assert_eq!(map.write(usize::MAX, b"ab"), Err(EINVAL));
        map.write(SIZE, b"")
    }
}
