// SPDX-License-Identifier: GPL-2.0

//! The state of a loaded module, besides its devices.

use crate::{
    kernel_ext::dma_fence::FenceDomain,
    vfence::{
        limits::Limits,
        shared::Shared, //
    },
};
use kernel::{
    prelude::*,
    sync::Arc, //
};

/// The resources that devices share, and the fences of the module. The fields are dropped in this
/// order, after the devices.
pub(crate) struct ModuleState {
    limits: Limits,
    shared: Arc<Shared>,
    _fences: FenceDomain,
}

impl ModuleState {
    /// Creates the state of a module without devices. Fails with `EINVAL`, and logs the reason, if
    /// a module parameter is out of range, `ENOMEM`.
    pub(crate) fn new() -> Result<Self> {
        let limits = Limits::from_parameters()?;
        let fences = FenceDomain::new()?;
        Ok(Self {
            limits,
            shared: Shared::new(fences.handle())?,
            _fences: fences,
        })
    }

    /// Returns the limits of a new device.
    pub(crate) fn limits(&self) -> Limits {
        self.limits
    }

    /// Returns the resources that the module's devices share.
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}
