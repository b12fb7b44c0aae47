// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Structures and ioctl numbers of `/dev/vfence`, from `include/uapi/linux/vfence.h`.

#![deny(unsafe_code)]

/// `struct vfence_query`: what the device is and can do.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct Query {
    /// `VFENCE_API_VERSION` of the kernel side.
    pub api_version: u32,
    /// Must be 0.
    pub flags: u32,
    /// Bits `VFENCE_CAP_*`.
    pub capabilities: u64,
    /// The bound on the time that a fence stays unsignalled, in ns; 0 when lifted.
    pub watchdog_ns: u64,
    /// Most queues that a client can have at a time.
    pub max_queues: u32,
    /// Most jobs that a queue can have pending at a time.
    pub max_jobs: u32,
}

/// `VFENCE_IOCTL_QUERY`.
pub const IOCTL_QUERY: u32 = (3 << 30) | ((size_of::<Query>() as u32) << 16) | (0xf7 << 8);

#[cfg(test)]
mod tests {
    use super::*;
    use std::mem::offset_of;

    #[test]
    fn query_has_the_layout_of_the_header() {
        assert_eq!(size_of::<Query>(), 32);
        assert_eq!(offset_of!(Query, capabilities), 8);
        assert_eq!(offset_of!(Query, watchdog_ns), 16);
        assert_eq!(offset_of!(Query, max_jobs), 28);
    }

    #[test]
    fn query_has_the_number_of_the_header() {
        assert_eq!(IOCTL_QUERY, 0xc020_f700);
    }
}
