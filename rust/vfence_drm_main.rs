// SPDX-License-Identifier: GPL-2.0

//! vfence_drm: a virtual DRM device that produces fences.
//!
//! The driver is [`vfence_drm`], the DRM driver, on top of [`vfence`], which this module shares
//! with the module vfence as source. It builds on [`drm`] and [`kernel_ext`], safe abstractions
//! that the `kernel` crate lacks, which build on [`drm_bindings`] and [`bindings`]. See
//! `Documentation/design.md`.

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
// Code that only sw_sync needs is dead here. The module vfence is built without this attribute.
#[allow(dead_code)]
mod vfence;
mod vfence_drm;

/// The name of the module, of its debugfs directory and of its device.
const NAME: &CStr = c"vfence_drm";

/// The prefix of engines in fdinfo: that of `Documentation/gpu/drm-usage-stats.rst` in the kernel.
const FDINFO: &str = "drm";

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
        devices: u32 {
            default: 1,
            description: "Number of devices, 1 to 64",
        },
    },
}

kernel_ext::module_param::string_param! {
    BUS,
    "bus",
    default: c"faux",
    description: "Bus of the devices: faux or platform"
}

/// The state of the loaded module. Unloading drops the fields in this order.
struct VfenceDrmModule {
    _devices: KVec<Pin<KBox<vfence_drm::virtual_device::VirtualDevice>>>,
    _module: vfence::module::ModuleState,
}

impl kernel::Module for VfenceDrmModule {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let module = vfence::module::ModuleState::new()?;
        Ok(Self {
            _devices: vfence_drm::virtual_device::create_all(&module, BUS.value())?,
            _module: module,
        })
    }
}
