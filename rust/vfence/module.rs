// SPDX-License-Identifier: GPL-2.0

//! The state of a loaded module, besides the registrations of its device nodes.

use crate::{
    kernel_ext::dma_fence::FenceDomain,
    vfence::{
        debugfs::QueuesFile,
        device::Device,
        limits::Limits, //
    },
};
use kernel::{
    debugfs,
    prelude::*,
    sync::Arc, //
};

/// The device and its debugfs files. The fields are dropped in this order, after the device nodes
/// are unregistered.
#[pin_data]
pub(crate) struct ModuleState {
    #[pin]
    queues: debugfs::File<QueuesFile>,
    pub(crate) device: Arc<Device>,
    directory: debugfs::Dir,
    fences: FenceDomain,
}

impl ModuleState {
    /// Creates the device and its debugfs files. Fails with `EINVAL` if a module parameter is out
    /// of range, `ENOMEM`.
    pub(crate) fn new() -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            _: { Limits::check()? },
            fences: FenceDomain::new()?,
            directory: debugfs::Dir::new(crate::NAME),
            device: Device::new(fences.handle())?,
            queues <- directory.read_only_file(c"queues", QueuesFile(device.clone())),
        })
    }
}
