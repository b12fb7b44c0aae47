// SPDX-License-Identifier: GPL-2.0

//! The state of a loaded module, besides the registrations of its device nodes.

use crate::{
    kernel_ext::dma_fence,
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

/// Dropping it waits until no task uses the operations of the module's fences.
struct FenceExitBarrier;

impl Drop for FenceExitBarrier {
    fn drop(&mut self) {
        dma_fence::exit_barrier();
    }
}

/// The device and its debugfs files. The fields are dropped in this order, after the device nodes
/// are unregistered.
#[pin_data]
pub(crate) struct ModuleState {
    #[pin]
    queues: debugfs::File<QueuesFile>,
    pub(crate) device: Arc<Device>,
    directory: debugfs::Dir,
    exit_barrier: FenceExitBarrier,
}

impl ModuleState {
    /// Creates the device and its debugfs files. Fails with `EINVAL` if a module parameter is out
    /// of range, `ENOMEM`.
    pub(crate) fn new() -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            _: { Limits::check()? },
            exit_barrier: FenceExitBarrier,
            directory: debugfs::Dir::new(crate::NAME),
            device: Device::new()?,
            queues <- directory.read_only_file(c"queues", QueuesFile(device.clone())),
        })
    }
}
