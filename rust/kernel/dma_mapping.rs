// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Software devices that DMA buffers can be mapped for.
//!
//! C header: [`include/linux/dma-mapping.h`](srctree/include/linux/dma-mapping.h)
//!
//! The `kernel` crate sets DMA masks only in the probe of a bus device. These devices have none, so
//! this file calls the C function.

use crate::{
    bindings,
    kernel_ext::platform::PlatformDevice, //
};
use kernel::{
    device::Device,
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

/// The bus of a software device.
#[derive(Clone, Copy)]
pub(crate) enum Bus {
    /// The bus for devices without hardware.
    Faux,
    /// The bus for devices that cannot be enumerated. The device has no driver.
    Platform,
}

/// A device without hardware that buffers can be mapped for, and that can address all memory.
///
/// The device is registered until the `DmaDevice` is dropped, which removes it. A mapping must be
/// undone before, so the owner of a mapping holds a reference to the `DmaDevice`.
pub(crate) struct DmaDevice(Registered);

enum Registered {
    Faux(faux::Registration),
    Platform(PlatformDevice),
}

impl DmaDevice {
    /// Registers the device `name` on `bus`. Fails with `ENODEV` or `EEXIST` if the core does not
    /// register it, `EIO` if it cannot address all memory, `ENOMEM`.
    pub(crate) fn new(bus: Bus, name: &CStr) -> Result<Arc<Self>> {
        let device = Self(match bus {
            Bus::Faux => Registered::Faux(faux::Registration::new(name, None)?),
            Bus::Platform => Registered::Platform(PlatformDevice::new(name)?),
        });
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
        core::ptr::eq(self.device(), device)
    }

    /// Returns the device.
    pub(crate) fn device(&self) -> &Device {
        match &self.0 {
            // A registration refers to a faux device, and that to its device. On Linux 7.2 it
            // refers to the latter, and the second call does nothing.
            #[allow(clippy::useless_asref)]
            Registered::Faux(faux) => faux.as_ref().as_ref(),
            Registered::Platform(platform) => platform.as_ref(),
        }
    }
}
