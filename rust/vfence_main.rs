// SPDX-License-Identifier: GPL-2.0

//! vfence: a virtual device that produces fences.
//!
//! Three floors, of which each uses only the one below: the driver ([`vfence`], the engine, and [`vfence_misc`], its device node), safe
//! abstractions that the `kernel` crate lacks ([`kernel_ext`]), and [`bindings`]. See `Documentation/design.md`.

use kernel::{
    prelude::*,
    str::CStr, //
};
use kernel_ext::miscdevice::MiscDeviceRegistration;

mod bindings;
#[path = "kernel/mod.rs"]
mod kernel_ext;
mod trace;
mod uapi;
mod vfence;
mod vfence_misc;

/// What is called after the module: its directory in debugfs, its device.
const NAME: &CStr = c"vfence";

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
            description: "Bound on how long the head of a queue, or a manual job, stays pending, in ms; 0 lifts it",
        },
        max_queues: u32 {
            default: 64,
            description: "Most queues that an open file of the device can have",
        },
        max_jobs: u32 {
            default: 16384,
            description: "Most jobs that a queue can have pending, up to 1048576",
        },
        max_buffer_mib: u32 {
            default: 256,
            description: "Largest buffer, in MiB, up to 1048576",
        },
        sw_sync: u32 {
            default: 0,
            description: "1: a drop-in for the kernel's sw_sync is /dev/sw_sync",
        },
        sw_sync_watchdog_ms: u32 {
            default: 10000,
            description: "Bound on how long fences of /dev/sw_sync stay pending, in ms; 0 lifts it",
        },
    },
}

/// The module while it is loaded. Unloading drops the fields in this order.
#[pin_data]
struct VfenceModule {
    #[pin]
    registration: MiscDeviceRegistration<vfence::client::Client>,
    sw_sync: Option<vfence_misc::sw_sync::Registration>,
    #[pin]
    engine: vfence::module::Engine,
}

impl kernel::InPlaceModule for VfenceModule {
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            engine <- vfence::module::Engine::new(),
            sw_sync: vfence_misc::sw_sync::register(&engine.device)?,
            registration <- MiscDeviceRegistration::register(NAME, Ok(engine.device.clone())),
            _: {
                if let Some(sw_sync) = &*sw_sync {
                    sw_sync.go_live();
                }
            },
        })
    }
}
