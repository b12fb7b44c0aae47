// SPDX-License-Identifier: GPL-2.0

//! The state of a loaded module, besides its devices.

use crate::{
    kernel_ext::dma_fence::FenceDomain,
    vfence::shared::Shared, //
};
use kernel::{
    prelude::*,
    sync::Arc, //
};

/// The resources that devices share, and the fences of the module. The fields are dropped in this
/// order, after the devices.
pub(crate) struct ModuleState {
    shared: Arc<Shared>,
    _fences: FenceDomain,
}

impl ModuleState {
    /// Creates the state of a module without devices. Fails with `ENOMEM`.
    pub(crate) fn new() -> Result<Self> {
        let fences = FenceDomain::new()?;
        Ok(Self {
            shared: Shared::new(fences.handle())?,
            _fences: fences,
        })
    }

    /// Returns the resources that the module's devices share.
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}
