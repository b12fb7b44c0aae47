// SPDX-License-Identifier: GPL-2.0

//! A device with its directory in debugfs, as the module owns it.

use crate::{
    kernel_ext::dma_mapping::Bus,
    vfence::{
        debugfs::QueuesFile,
        device::Device,
        module::ModuleState, //
    },
};
use kernel::{
    debugfs,
    prelude::*,
    str::{
        CStr,
        CString, //
    },
    sync::Arc, //
};

/// A device and its debugfs files. The fields are dropped in this order, after the device's nodes
/// are unregistered.
#[pin_data]
pub(crate) struct Instance {
    #[pin]
    queues: debugfs::File<QueuesFile>,
    #[pin]
    settings: debugfs::Scope<Arc<Device>>,
    device: Arc<Device>,
    directory: debugfs::Dir,
}

impl Instance {
    /// Creates the device with the number `index` on `bus`, and its debugfs files. Device 0 has the
    /// name of the module, so that its name does not depend on the number of devices; device 1 has
    /// that name with the suffix `.1`, and so on.
    ///
    /// Fails with `ENOMEM`, and as registering the device in the device model does.
    pub(crate) fn new(module: &ModuleState, bus: Bus, index: u32) -> Result<Pin<KBox<Self>>> {
        if index == 0 {
            return Self::named(module, bus, crate::NAME);
        }
        let name = CString::try_from_fmt(fmt!("{}.{}", crate::NAME, index))?;
        Self::named(module, bus, &name)
    }

    fn named(module: &ModuleState, bus: Bus, name: &CStr) -> Result<Pin<KBox<Self>>> {
        KBox::try_pin_init(
            try_pin_init!(Self {
                directory: debugfs::Dir::new(name),
                device: Device::new(module.shared().clone(), bus, name)?,
                settings <- directory.scope(device.clone(), c"settings", |device, directory| {
                    for number in device.settings().numbers() {
                        directory.read_write_file(number.name, number);
                    }
                    directory.read_write_file(c"faults", &device.settings().faults);
                }),
                queues <- directory.read_only_file(c"queues", QueuesFile(device.clone())),
            }),
            GFP_KERNEL,
        )
    }

    /// Returns an initialiser of another file of the device.
    // Only DRM devices have one.
    #[allow(dead_code)]
    pub(crate) fn file<'a, T>(
        &'a self,
        name: &'a CStr,
        data: impl PinInit<T, Error> + 'a,
    ) -> impl PinInit<debugfs::File<T>, Error> + 'a
    where
        T: debugfs::Reader + debugfs::Writer + Send + Sync + 'static,
    {
        self.directory.read_write_file(name, data)
    }

    /// Returns the device.
    pub(crate) fn device(&self) -> &Arc<Device> {
        &self.device
    }
}
