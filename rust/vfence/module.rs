// SPDX-License-Identifier: GPL-2.0

//! What a module has beside its device nodes, while it is loaded.

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

/// Waits for the last users of our fences' operations.
struct Drain;

impl Drop for Drain {
    fn drop(&mut self) {
        dma_fence::exit_barrier();
    }
}

/// What all clients share, and where it can be looked at. Unloading drops the fields in this order, after the nodes are gone.
#[pin_data]
pub(crate) struct Engine {
    #[pin]
    queues: debugfs::File<QueuesFile>,
    pub(crate) device: Arc<Device>,
    directory: debugfs::Dir,
    drain: Drain,
}

impl Engine {
    /// Starts it. Fails with `EINVAL` if a parameter of the module makes no sense, `ENOMEM`.
    pub(crate) fn new() -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            _: { Limits::check()? },
            drain: Drain,
            directory: debugfs::Dir::new(crate::NAME),
            device: Device::new()?,
            queues <- directory.read_only_file(c"queues", QueuesFile(device.clone())),
        })
    }
}
