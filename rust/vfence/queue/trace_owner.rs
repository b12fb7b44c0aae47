// SPDX-License-Identifier: GPL-2.0

//! The client and the device of a queue, for its events.

use kernel::str::CStr;

/// The size of a device's name. A longer name is truncated.
const DEV_LEN: usize = 32;

/// The owner of a queue, as events show it.
pub(crate) struct TraceOwner {
    pub(super) client: u64,
    dev: [u8; DEV_LEN],
}

impl TraceOwner {
    /// Returns the owner of a queue of the client `client` of the device `dev`.
    pub(crate) fn new(client: u64, dev: &CStr) -> Self {
        let mut name = [0; DEV_LEN];
        let len = dev.to_bytes().len().min(DEV_LEN - 1);
        name[..len].copy_from_slice(&dev.to_bytes()[..len]);
        Self { client, dev: name }
    }

    /// Returns the name of the device.
    pub(super) fn dev(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.dev).unwrap_or(c"")
    }
}
