// SPDX-License-Identifier: GPL-2.0

//! The name of a queue: what its pending fences show as their timeline.

use crate::uapi::VFENCE_NAME_LEN;
use kernel::{
    prelude::*,
    str::{
        CStr,
        CString, //
    },
};

/// The name of a queue, with a NUL.
#[derive(Clone, Copy)]
pub(crate) struct Name([u8; Self::LEN]);

impl Name {
    pub(crate) const LEN: usize = VFENCE_NAME_LEN as usize;

    /// Makes it of what user space gave for queue `id`. Fails with `EINVAL` without a NUL.
    pub(crate) fn from_user(bytes: &[u8; Self::LEN], id: u32) -> Result<Self> {
        let given = CStr::from_bytes_until_nul(bytes).map_err(|_| EINVAL)?;
        let mut name = [0; Self::LEN];
        if given.is_empty() {
            let made = CString::try_from_fmt(fmt!("queue{}", id))?;
            name[..made.to_bytes().len()].copy_from_slice(made.to_bytes());
        } else {
            name[..given.to_bytes().len()].copy_from_slice(given.to_bytes());
        }
        Ok(Self(name))
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
    fn name_that_is_empty_is_made_of_the_id() -> Result {
        let name = Name::from_user(&[0; Name::LEN], 42)?;
        assert_eq!(name.as_c_str(), c"queue42");
        Ok(())
    }

    #[test]
    fn name_must_end() {
        assert!(Name::from_user(&[b'x'; Name::LEN], 1).is_err());
    }

    #[test]
    fn what_is_behind_the_name_is_forgotten() -> Result {
        let mut bytes = [b'x'; Name::LEN];
        bytes[2] = 0;
        let name = Name::from_user(&bytes, 1)?;
        assert_eq!(name.as_c_str(), c"xx");
        assert!(name.as_bytes()[2..].iter().all(|byte| *byte == 0));
        Ok(())
    }
}
