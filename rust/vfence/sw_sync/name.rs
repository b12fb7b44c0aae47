// SPDX-License-Identifier: GPL-2.0

//! The name of a timeline, which its pending fences show.

use kernel::str::CStr;

/// The length of a name including the NUL, as in `drivers/dma-buf/sync_debug.h`.
const LEN: usize = 32;

/// The name of a timeline.
///
/// # Invariants
///
/// The last byte is NUL.
pub(crate) struct TimelineName([u8; LEN]);

impl TimelineName {
    /// Returns the bytes of `comm` up to the first NUL, truncated to `LEN - 1` bytes.
    pub(crate) fn truncated(comm: &[u8]) -> Self {
        let given = comm.split(|byte| *byte == 0).next().unwrap_or(&[]);
        let len = given.len().min(LEN - 1);
        let mut name = [0; LEN];
        name[..len].copy_from_slice(&given[..len]);
        // INVARIANT: `len` is less than `LEN`.
        Self(name)
    }

    /// Returns the name as a C string.
    pub(crate) fn as_c_str(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.0).unwrap_or(c"")
    }
}

#[kernel::macros::kunit_tests(vfence_sw_sync_name)]
mod tests {
    use super::*;

    #[test]
    fn long_name_is_truncated() {
        assert_eq!(TimelineName::truncated(b"short\0er").as_c_str(), c"short");
        assert_eq!(
            TimelineName::truncated(&[b'x'; 40]).as_c_str().to_bytes(),
            [b'x'; LEN - 1]
        );
        assert_eq!(TimelineName::truncated(b"").as_c_str(), c"");
    }
}
