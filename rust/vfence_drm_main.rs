// SPDX-License-Identifier: GPL-2.0

//! vfence_drm: the virtual device that produces fences, as a DRM device with a render node.
//!
//! The engine, [`vfence`], is the same source as in the module vfence, and so are the floors below it. On top of it is the DRM driver,
//! [`vfence_drm`], below that are abstractions of DRM, [`drm`]. See `Documentation/design.md`.

use kernel::{
    prelude::*,
    str::CStr, //
};

mod bindings;
#[path = "kernel/drm/mod.rs"]
mod drm;
#[path = "bindings/drm.rs"]
mod drm_bindings;
#[path = "uapi/drm.rs"]
mod drm_uapi;
#[path = "kernel/mod.rs"]
mod kernel_ext;
mod trace;
mod uapi;
// What only sw_sync needs is not used here. What nobody needs is found when the other module is built.
#[allow(dead_code)]
mod vfence;
mod vfence_drm;

/// What is called after the module: its directory in debugfs, its devices.
const NAME: &CStr = c"vfence_drm";

module! {
    type: VfenceDrmModule,
    name: "vfence_drm",
    authors: ["The vfence developers"],
    description: "Virtual fence-producing DRM device",
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
    },
}

/// The module while it is loaded. Unloading drops the fields in this order.
#[pin_data]
struct VfenceDrmModule {
    registration: drm::Registration<vfence_drm::DrmDriver>,
    #[pin]
    engine: vfence::module::Engine,
}

impl kernel::InPlaceModule for VfenceDrmModule {
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            engine <- vfence::module::Engine::new(),
            registration: drm::Registration::new(engine.device.dma.device(), engine.device.clone())?,
        })
    }
}
