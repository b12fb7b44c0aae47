// SPDX-License-Identifier: GPL-2.0

//! The virtual devices of the module: as many as the parameter `devices` says.

use super::DrmDriver;
use crate::{
    drm::Registration,
    module_parameters,
    vfence::{
        instance::Instance,
        module::ModuleState, //
    },
};
use kernel::{
    new_mutex,
    prelude::*,
    sync::Mutex, //
};

/// The largest valid `devices`.
const MAX_DEVICES: u32 = 64;

/// A device of the module, with its nodes.
#[pin_data]
pub(crate) struct VirtualDevice {
    /// The device's primary and render node, if it has them. Dropped before the instance.
    #[pin]
    registration: Mutex<Option<Registration<DrmDriver>>>,
    instance: Pin<KBox<Instance>>,
}

impl VirtualDevice {
    /// Creates a device without nodes.
    fn new(module: &ModuleState, index: u32) -> Result<Pin<KBox<Self>>> {
        KBox::try_pin_init(
            try_pin_init!(Self {
                instance: Instance::new(module, index)?,
                registration <- new_mutex!(None),
            }),
            GFP_KERNEL,
        )
    }

    /// Creates the nodes, unless the device has them.
    fn register(&self) -> Result {
        let mut registration = self.registration.lock();
        if registration.is_none() {
            let device = self.instance.device();
            *registration = Some(Registration::new(device.dma.device(), device.clone())?);
        }
        Ok(())
    }
}

/// Creates the devices of the module, and their nodes. Fails with `EINVAL`, and logs the reason, if
/// the parameter `devices` is out of range, `ENOMEM`, and as the registrations do.
pub(crate) fn create_all(module: &ModuleState) -> Result<KVec<Pin<KBox<VirtualDevice>>>> {
    let count = *module_parameters::devices.value_ref();
    if !(1..=MAX_DEVICES).contains(&count) {
        pr_err!("devices={}: must be from 1 to {}\n", count, MAX_DEVICES);
        return Err(EINVAL);
    }
    let mut devices = KVec::with_capacity(count as usize, GFP_KERNEL)?;
    for index in 0..count {
        devices.push(VirtualDevice::new(module, index)?, GFP_KERNEL)?;
    }
    for (index, device) in devices.iter().enumerate() {
        if let Err(error) = device.register() {
            if index == 0 {
                return Err(error);
            }
            // Clients may have opened the nodes of the devices before, which need the module: from
            // the first node on, loading must not fail.
            pr_err!(
                "device {} has no nodes: error {}\n",
                index,
                error.to_errno()
            );
        }
    }
    Ok(devices)
}
