// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Platform devices that a module registers itself, without a driver.
//!
//! C header: [`include/linux/platform_device.h`](srctree/include/linux/platform_device.h)
//!
//! The `kernel` crate has platform drivers, but does not register devices.

use crate::bindings;
use core::ptr::NonNull;
use kernel::{
    device::Device,
    error::from_err_ptr,
    prelude::*,
    str::CStr, //
};

/// A registered platform device. Dropping it unregisters the device.
///
/// # Invariants
///
/// The pointer is a registered device, and the `PlatformDevice` owns its registration.
pub(crate) struct PlatformDevice(NonNull<bindings::platform_device>);

// SAFETY: Any thread may unregister a device.
unsafe impl Send for PlatformDevice {}
// SAFETY: Through `&PlatformDevice` only the `struct device` is accessed, which is thread-safe.
unsafe impl Sync for PlatformDevice {}

impl PlatformDevice {
    /// Registers the device `name`. Fails with `EEXIST` if there is a device of that name, and with
    /// `ENOMEM`.
    pub(crate) fn new(name: &CStr) -> Result<Self> {
        let info = bindings::platform_device_info {
            name: name.as_char_ptr(),
            // `MODALIAS` has the name without the number of an instance, and libdrm takes devices
            // with the same `MODALIAS` for one: each has a name of its own, without a number.
            id: bindings::PLATFORM_DEVID_NONE,
            ..Default::default()
        };
        // SAFETY: `info` is valid during the call, which copies the name.
        let device = from_err_ptr(unsafe { bindings::platform_device_register_full(&info) })?;
        // INVARIANT: The device was registered.
        Ok(Self(NonNull::new(device).ok_or(ENODEV)?))
    }
}

impl AsRef<Device> for PlatformDevice {
    fn as_ref(&self) -> &Device {
        // SAFETY: By the type invariants the device is valid while `self` is.
        unsafe { Device::from_raw(&raw mut (*self.0.as_ptr()).dev) }
    }
}

impl Drop for PlatformDevice {
    fn drop(&mut self) {
        // SAFETY: By the type invariants the device is registered, and `self` owns it.
        unsafe { bindings::platform_device_unregister(self.0.as_ptr()) };
    }
}
