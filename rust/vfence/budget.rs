// SPDX-License-Identifier: GPL-2.0

//! What the pending jobs of a client may need of others, all together.

use crate::uapi::{
    VFENCE_MAX_MAPPED,
    VFENCE_MAX_WAITS, //
};
use kernel::{
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc, //
    },
};

/// How much of something is left.
pub(super) struct Budget(Atomic<i32>);

impl Budget {
    fn new(most: u32) -> Self {
        // CAST: It fits.
        Self(Atomic::new(most as i32))
    }

    /// Takes `count` out, which is less than what was in it once. Fails with `ENOSPC`.
    pub(super) fn take(&self, count: usize) -> Result {
        // CAST: It fits.
        if self.0.fetch_sub(count as i32, Relaxed) < count as i32 {
            self.put_back(count);
            return Err(ENOSPC);
        }
        Ok(())
    }

    /// Puts back what was taken out.
    pub(super) fn put_back(&self, count: usize) {
        self.0.add(count as i32, Relaxed);
    }
}

/// The budgets of a client.
pub(super) struct Budgets {
    /// For fences that jobs wait for. They may be anybody's, and who signals one has to call all that wait for it.
    pub(super) waits: Budget,
    /// For buffers that are mapped for operations. What exporters allocate for that, they may not charge to anybody.
    pub(super) mapped: Budget,
}

impl Budgets {
    /// Fails with `ENOMEM`.
    pub(super) fn new() -> Result<Arc<Self>> {
        let budgets = Self {
            waits: Budget::new(VFENCE_MAX_WAITS),
            mapped: Budget::new(VFENCE_MAX_MAPPED),
        };
        Ok(Arc::new(budgets, GFP_KERNEL_ACCOUNT)?)
    }
}
