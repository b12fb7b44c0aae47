// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Buffers: memory that drivers and programs share.

use crate::uapi::vfence as uapi;
use crate::Device;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{seek, SeekFrom};
use std::io;

/// A dma-buf, of this device or of another driver; see [`Device::buffer`].
///
/// It belongs to whoever refers to it, and outlives the device that it was made by. Its memory can be mapped with `mmap()`, and
/// given to whatever takes a dma-buf.
#[derive(Debug)]
pub struct Buffer {
    fd: OwnedFd,
    size: u64,
}

impl Buffer {
    /// Returns how many bytes it has: whole pages.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }
}

impl Device {
    /// Creates a buffer of `size` bytes, rounded up to pages, which are zero.
    ///
    /// Fails with `EINVAL` for none, `ENOSPC` for more than [`Capabilities::max_buffer_size`](crate::Capabilities::max_buffer_size),
    /// `EMFILE`, `ENOMEM`.
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

    /// Takes a dma-buf that came from elsewhere. Fails with `ESPIPE` if it tells no size.
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
