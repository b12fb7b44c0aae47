// SPDX-License-Identifier: GPL-2.0

//! The virtual devices of the module: as many as the parameter `devices` says.

use super::control::Control;
use crate::{
    kernel_ext::dma_mapping::Bus,
    module_parameters,
    vfence::{
        instance::Instance,
        module::ModuleState, //
    },
};
use kernel::{
    debugfs,
    prelude::*,
    str::CStr, //
};

/// The largest valid `devices`.
const MAX_DEVICES: u32 = 64;

/// A device of the module, with its nodes.
#[pin_data]
pub(crate) struct VirtualDevice {
    /// The device's nodes, and the file that unplugs them. Dropped before the instance.
    #[pin]
    control: debugfs::File<Control>,
    instance: Pin<KBox<Instance>>,
}

impl VirtualDevice {
    /// Creates a device without nodes.
    fn new(module: &ModuleState, bus: Bus, index: u32) -> Result<Pin<KBox<Self>>> {
        KBox::try_pin_init(
            try_pin_init!(Self {
                instance: Instance::new(module, bus, index)?,
                control <- instance.file(c"control", Control::new(instance.device().clone())),
            }),
            GFP_KERNEL,
        )
    }

    /// Creates the nodes, unless the device has them.
    fn register(&self) -> Result {
        match self.control.plug() {
            // Root has plugged in the device already.
            Err(EBUSY) => Ok(()),
            result => result,
        }
    }
}

/// Creates the devices of the module, and their nodes. Fails with `EINVAL`, and logs the reason, if
/// the parameter `devices` is out of range or there is no such `bus`, with `ENOMEM`, and as the
/// registrations do.
pub(crate) fn create_all(
    module: &ModuleState,
    bus: &CStr,
) -> Result<KVec<Pin<KBox<VirtualDevice>>>> {
    let count = *module_parameters::devices.value_ref();
    if !(1..=MAX_DEVICES).contains(&count) {
        pr_err!("devices={}: must be from 1 to {}\n", count, MAX_DEVICES);
        return Err(EINVAL);
    }
    let bus = bus_named(bus)?;
    let mut devices = KVec::with_capacity(count as usize, GFP_KERNEL)?;
    for index in 0..count {
        devices.push(VirtualDevice::new(module, bus, index)?, GFP_KERNEL)?;
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

/// Returns the bus called `name`. Fails with `EINVAL`, and logs the reason, if
/// there is no such bus.
fn bus_named(name: &CStr) -> Result<Bus> {
    match name.to_bytes() {
        b"faux" => Ok(Bus::Faux),
        b"platform" => Ok(Bus::Platform),
        _ => {
            pr_err!("bus={}: must be faux or platform\n", name);
            Err(EINVAL)
        }
    }
}
