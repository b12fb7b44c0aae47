// SPDX-License-Identifier: GPL-2.0

//! `VFENCE_IOCTL_QUERY`: what this device is and can do.

use kernel::{
    prelude::*,
    uaccess::UserSlice, //
};

/// `VFENCE_API_VERSION`.
const API_VERSION: u32 = 1;
/// Size of `struct vfence_query`.
const SIZE: usize = 32;

/// The answer as the bytes of `struct vfence_query`: no queue can be created yet, so its
/// capabilities and limits are 0.
fn answer(watchdog_ms: u32) -> [u8; SIZE] {
    let mut bytes = [0; SIZE];
    bytes[..4].copy_from_slice(&API_VERSION.to_ne_bytes());
    bytes[16..24].copy_from_slice(&(u64::from(watchdog_ms) * 1_000_000).to_ne_bytes());
    bytes
}

/// Reads the argument, refuses what the header refuses, and writes the answer.
pub(super) fn query(user: UserSlice, watchdog_ms: u32) -> Result {
    let (mut reader, mut writer) = user.reader_writer();
    if reader.len() < SIZE {
        return Err(EINVAL);
    }
    let mut request = [0; SIZE];
    reader.read_slice(&mut request)?;
    while !reader.is_empty() {
        if reader.read::<u8>()? != 0 {
            return Err(E2BIG);
        }
    }
    if request[4..8] != [0; 4] {
        return Err(EINVAL);
    }
    writer.write_slice(&answer(watchdog_ms))
}

#[kernel::macros::kunit_tests(vfence_query)]
mod tests {
    use super::*;

    #[test]
    fn answer_has_the_version_first() {
        assert_eq!(answer(0)[..4], API_VERSION.to_ne_bytes());
    }

    #[test]
    fn answer_gives_the_watchdog_in_nanoseconds() {
        assert_eq!(answer(2000)[16..24], 2_000_000_000u64.to_ne_bytes());
    }
}
