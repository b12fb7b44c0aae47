// SPDX-License-Identifier: GPL-2.0

//! The name of a queue, which pending fences show as the name of their timeline.

use crate::{
    uapi::VFENCE_NAME_LEN,
    vfence::refusal::refuse, //
};
use kernel::{
    prelude::*,
    str::{
        CStr,
        CString, //
    },
};

/// The name of a queue, padded with NULs; at least one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct QueueName([u8; Self::LEN]);

impl QueueName {
    pub(crate) const LEN: usize = VFENCE_NAME_LEN as usize;

    /// Returns the name that user space passed for queue `id`, or a default name if it is empty.
    /// Fails with `EINVAL` if there is no NUL, `ENOMEM`.
    pub(crate) fn from_user(bytes: &[u8; Self::LEN], id: u32) -> Result<Self> {
        let given = CStr::from_bytes_until_nul(bytes)
            .map_err(|_| refuse!(EINVAL, "queue_create: name has no NUL"))?;
        let mut name = [0; Self::LEN];
        if given.is_empty() {
            let made = CString::try_from_fmt(fmt!("queue{}", id))?;
            name[..made.to_bytes().len()].copy_from_slice(made.to_bytes());
        } else {
            name[..given.to_bytes().len()].copy_from_slice(given.to_bytes());
        }
        Ok(Self(name))
    }

    /// Returns a name that the driver chooses.
    pub(crate) const fn from_c_str(given: &CStr) -> Self {
        let (given, mut name) = (given.to_bytes(), [0; Self::LEN]);
        assert!(given.len() < Self::LEN);
        let mut i = 0;
        while i < given.len() {
            name[i] = given[i];
            i += 1;
        }
        Self(name)
    }

    /// Returns the name for the key `drm-engine-NAME` of fdinfo, which has no whitespace and no
    /// colon. The name is user space's, so `_` replaces all but letters, digits, `.`, `-` and `_`.
    pub(crate) fn as_key(&self) -> Self {
        /// A key of its own begins with `drm-engine-capacity-`.
        const CAPACITY: &[u8] = b"capacity-";

        let keeps = |byte: u8| byte.is_ascii_alphanumeric() || b"\0.-_".contains(&byte);
        let mut name = self.0.map(|byte| if keeps(byte) { byte } else { b'_' });
        if name.starts_with(CAPACITY) {
            name[CAPACITY.len() - 1] = b'_';
        }
        Self(name)
    }

    /// Returns the name with all its NULs.
    pub(crate) fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }

    /// Returns the name.
    pub(crate) fn as_c_str(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.0).unwrap_or(c"")
    }
}

#[kernel::macros::kunit_tests(vfence_name)]
mod tests {
    use super::*;

    #[test]
    fn empty_name_becomes_the_id() -> Result {
        let name = QueueName::from_user(&[0; QueueName::LEN], 42)?;
        assert_eq!(name.as_c_str(), c"queue42");
        Ok(())
    }

    #[test]
    fn name_without_nul_is_refused() {
        assert!(QueueName::from_user(&[b'x'; QueueName::LEN], 1).is_err());
    }

    #[test]
    fn key_has_no_separators() {
        let keys = [
            (c"video-enhance_2.x", c"video-enhance_2.x"),
            (c"a b:\t7 ns\ndrm-x", c"a_b__7_ns_drm-x"),
            (c"\xc3\xa4\x7f", c"___"),
            (c"capacity-render", c"capacity_render"),
            (c"capacity", c"capacity"),
        ];
        for (name, key) in keys {
            assert_eq!(QueueName::from_c_str(name).as_key().as_c_str(), key);
        }
    }

    #[test]
    fn bytes_after_the_nul_are_cleared() -> Result {
        let mut bytes = [b'x'; QueueName::LEN];
        bytes[2] = 0;
        let name = QueueName::from_user(&bytes, 1)?;
        assert_eq!(name.as_c_str(), c"xx");
        assert!(name.as_bytes()[2..].iter().all(|byte| *byte == 0));
        Ok(())
    }
}
