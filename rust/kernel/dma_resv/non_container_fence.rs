// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Fences that can be added to a reservation object.

use crate::kernel_ext::dma_fence::{
    DriverTimeline,
    Fence,
    PendingFence, //
};
use kernel::sync::aref::ARef;

/// A fence that is not a container, as the fences of a reservation object must be.
///
/// # Invariants
///
/// The fence is neither a `dma_fence_array` nor a `dma_fence_chain`.
pub(crate) struct NonContainerFence(ARef<Fence>);

impl NonContainerFence {
    /// Returns the fence.
    pub(crate) fn fence(&self) -> &Fence {
        &self.0
    }
}

impl<T: DriverTimeline> From<&PendingFence<T>> for NonContainerFence {
    fn from(fence: &PendingFence<T>) -> Self {
        // INVARIANT: The fence has a driver's operations.
        Self(fence.fence().into())
    }
}
