// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Buffers: dma-bufs that jobs use.

use crate::uapi::vfence as uapi;
use crate::Device;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{seek, SeekFrom};
use std::io;

/// A dma-buf, of this device or of another driver; see [`Device::buffer`].
///
/// A buffer outlives the [`Device`] that created it. It can be mapped with `mmap()` and passed to
/// any driver that takes a dma-buf.
#[derive(Debug)]
pub struct Buffer {
    fd: OwnedFd,
    size: u64,
}

impl Buffer {
    /// Returns the size in bytes, a multiple of the page size.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }
}

impl Device {
    /// Creates a buffer of `size` bytes, rounded up to whole pages, filled with zeros.
    ///
    /// Fails with `EINVAL` if `size` is 0, and with `ENOSPC` if it is more than
    /// [`Capabilities::max_buffer_size`](crate::Capabilities::max_buffer_size); also with `EMFILE`
    /// and `ENOMEM`.
    ///
    /// Source: `VFENCE_IOCTL_BUFFER_CREATE`.
    pub fn buffer(&self, size: u64) -> io::Result<Buffer> {
        let mut create = uapi::BufferCreate {
            size,
            ..Default::default()
        };
        let fd = uapi::buffer_create(self.as_fd(), &mut create)?;
        Ok(Buffer {
            fd,
            size: create.size,
        })
    }
}

impl TryFrom<OwnedFd> for Buffer {
    type Error = io::Error;

    /// Takes a dma-buf of any driver. Fails with `ESPIPE` if the file does not support `lseek()`.
    fn try_from(fd: OwnedFd) -> io::Result<Self> {
        let size = seek(&fd, SeekFrom::End(0))?;
        Ok(Self { fd, size })
    }
}

impl AsFd for Buffer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl From<Buffer> for OwnedFd {
    fn from(buffer: Buffer) -> Self {
        buffer.fd
    }
}
