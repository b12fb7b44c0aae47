// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Software devices that DMA buffers can be mapped for.
//!
//! C header: [`include/linux/dma-mapping.h`](srctree/include/linux/dma-mapping.h)
//!
//! The `kernel` crate sets DMA masks only in the probe of a bus device. A faux device has none, so
//! this file calls the C function.

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

/// A faux device that buffers can be mapped for, and that can address all memory.
///
/// The device is bound until the `DmaDevice` is dropped, which removes it. A mapping must be undone
/// while its device is bound, so the owner of a mapping holds a reference to the `DmaDevice`.
pub(crate) struct DmaDevice(faux::Registration);

impl DmaDevice {
    /// Registers a device. Fails with `ENODEV` if the core does not register it, `EIO` if it cannot
    /// address all memory, `ENOMEM`.
    pub(crate) fn new(name: &CStr) -> Result<Arc<Self>> {
        let device = Self(faux::Registration::new(name, None)?);
        // SAFETY: The device is valid and not in use yet.
        to_result(unsafe {
            bindings::dma_coerce_mask_and_coherent(raw(device.device()), u64::MAX)
        })?;
        Ok(Arc::new(device, GFP_KERNEL)?)
    }

    /// Returns whether mappings of the device use bounce buffers, as with `swiotlb=force`. Writes
    /// of the CPU to mapped memory would be lost.
    pub(crate) fn is_bounced(&self) -> bool {
        // SAFETY: The device is valid.
        let most = unsafe { bindings::dma_max_mapping_size(raw(self.device())) };
        most != usize::MAX
    }

    /// Returns whether `device` is this device.
    pub(crate) fn is(&self, device: &Device) -> bool {
        let own: &Device = self.device();
        core::ptr::eq(own, device)
    }

    /// Returns the device.
    pub(crate) fn device(&self) -> &Device<Bound> {
        self.0.as_ref().as_ref()
    }
}
