// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Devices that access memory.
//!
//! C header: [`include/linux/dma-mapping.h`](srctree/include/linux/dma-mapping.h)

use crate::bindings;
use kernel::{
    device::{
        Bound,
        Device, //
    },
    error::to_result,
    faux,
    prelude::*,
    str::CStr,
    sync::Arc, //
};

/// Returns the C structure of a device.
pub(crate) fn raw(device: &Device) -> *mut bindings::device {
    // `Device` is a transparent wrapper.
    core::ptr::from_ref(device).cast_mut().cast()
}

/// A device that is there in software only, and for which buffers can be mapped as for one that reaches all memory.
///
/// It is bound to its driver as long as this is there, and dropping this removes it. So whoever has something mapped for it has a
/// reference to this: what is mapped for a device has to be unmapped before its driver lets it go.
pub(crate) struct DmaDevice(faux::Registration);

impl DmaDevice {
    /// Registers a device. Fails with `ENODEV`, which is also what the C function makes of other reasons; `EIO`.
    pub(crate) fn new(name: &CStr) -> Result<Arc<Self>> {
        let device = Self(faux::Registration::new(name, None)?);
        // SAFETY: The device is valid, and nobody uses it yet.
        to_result(unsafe {
            bindings::dma_coerce_mask_and_coherent(raw(device.device()), u64::MAX)
        })?;
        Ok(Arc::new(device, GFP_KERNEL)?)
    }

    /// Returns whether what is mapped for the device is copied to elsewhere and back, because the kernel has all devices do so: what the CPU
    /// writes while it is mapped would be lost.
    pub(crate) fn is_bounced(&self) -> bool {
        // SAFETY: The device is valid.
        let most = unsafe { bindings::dma_max_mapping_size(raw(self.device())) };
        most != usize::MAX
    }

    /// Returns the device.
    pub(crate) fn device(&self) -> &Device<Bound> {
        self.0.as_ref().as_ref()
    }
}
