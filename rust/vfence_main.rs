// SPDX-License-Identifier: GPL-2.0

//! vfence: a virtual device that produces fences.
//!
//! The driver is [`vfence_misc`], the device nodes, on top of [`vfence`]. It builds on
//! [`kernel_ext`], safe abstractions that the `kernel` crate lacks, which build on [`bindings`].
//! See `Documentation/design.md`.

use kernel::{
    prelude::*,
    str::CStr, //
};
use kernel_ext::{
    dma_mapping::Bus,
    miscdevice::MiscDeviceRegistration, //
};
use vfence::device::NodeData;

mod bindings;
#[path = "kernel/mod.rs"]
mod kernel_ext;
mod trace;
mod uapi;
mod vfence;
mod vfence_misc;

/// The name of the module, of its debugfs directory and of its device.
const NAME: &CStr = c"vfence";

/// The prefix of engines in fdinfo: the driver's own, because the device is no DRM device.
const FDINFO: &str = "vfence";

module! {
    type: VfenceModule,
    name: "vfence",
    authors: ["The vfence developers"],
    description: "Virtual fence-producing device",
    license: "GPL",
    imports_ns: ["DMA_BUF"],
    params: {
        watchdog_ms: u32 {
            default: 2000,
            description: "Longest time a queue head or manual job is pending, in ms; 0: unbounded",
        },
        max_queues: u32 {
            default: 64,
            description: "Most queues of an open file, at least 1",
        },
        max_jobs: u32 {
            default: 16384,
            description: "Most pending jobs of a queue, 1 to 1048576",
        },
        max_buffer_mib: u32 {
            default: 256,
            description: "Largest buffer in MiB, 1 to 1048576",
        },
        sw_sync: u32 {
            default: 0,
            description: "1: provide /dev/sw_sync, compatible with the kernel's sw_sync",
        },
        sw_sync_watchdog_ms: u32 {
            default: 10000,
            description: "Longest time a fence of /dev/sw_sync is pending, in ms; 0: unbounded",
        },
    },
}

/// The state of the loaded module. Unloading drops the fields in this order.
#[pin_data]
struct VfenceModule {
    #[pin]
    registration: MiscDeviceRegistration<vfence::client::Client>,
    sw_sync: Option<vfence_misc::sw_sync::SwSyncRegistration>,
    instance: Pin<KBox<vfence::instance::Instance>>,
    module: vfence::module::ModuleState,
}

impl kernel::InPlaceModule for VfenceModule {
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            module: vfence::module::ModuleState::new()?,
            instance: vfence::instance::Instance::new(module, Bus::Faux, 0)?,
            sw_sync: vfence_misc::sw_sync::register(instance.device())?,
            registration <- MiscDeviceRegistration::register(
                NAME,
                NodeData::new(instance.device().clone()),
            ),
            _: {
                if let Some(sw_sync) = &*sw_sync {
                    sw_sync.go_live();
                }
            },
        })
    }
}
