// SPDX-License-Identifier: GPL-2.0 OR MIT

//! A buffer in the kernel's address space.
//!
//! C header: [`include/linux/iosys-map.h`](srctree/include/linux/iosys-map.h)

use super::DmaBuf;
use crate::bindings;
use core::ptr::NonNull;
use kernel::{
    error::to_result,
    prelude::*,
    sync::aref::ARef, //
};

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
    /// Fails with `EOPNOTSUPP` if the exporter never does that, or it is a device's memory; and as the exporter does, of which the core
    /// warns once.
    pub(crate) fn new(buf: ARef<DmaBuf>) -> Result<Self> {
        // SAFETY: The field is constant, and the operations are there as long as the buffer.
        if unsafe { (*(*buf.as_raw()).ops).vmap.is_none() } {
            return Err(EOPNOTSUPP);
        }
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
        // SAFETY: Both ranges are valid for `length` bytes. C's function allows concurrent writes.
        unsafe { bindings::memcpy(to.as_ptr().cast(), from.as_ptr().cast(), length) };
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

#[kernel::macros::kunit_tests(vfence_dma_buf_vmap)]
mod tests {
    use super::{
        super::exporter::tests::{
            buffer,
            buffer_of_a_device,
            buffer_without_vmap,
            SIZE, //
        },
        *, //
    };
    use kernel::page::PAGE_SIZE;

    #[test]
    fn cpu_reads_what_it_has_written() -> Result {
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
    fn buffer_that_the_cpu_cannot_reach_is_refused() -> Result {
        for buf in [buffer_without_vmap()?, buffer_of_a_device()?] {
            let refused = Vmap::new(buf);
            assert!(refused.is_err_and(|error| error == EOPNOTSUPP));
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
