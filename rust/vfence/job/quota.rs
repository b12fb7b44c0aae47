// SPDX-License-Identifier: GPL-2.0

//! What the pending jobs of a client may need of others, all together.

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
pub(crate) struct Budget(Atomic<i32>);

impl Budget {
    /// Creates a budget of `most`. Fails with `ENOMEM`.
    pub(crate) fn new(most: u32) -> Result<Arc<Self>> {
        // CAST: It fits.
        let budget = Self(Atomic::new(most as i32));
        Ok(Arc::new(budget, GFP_KERNEL_ACCOUNT)?)
    }
}

/// What was taken from a budget. Dropping it puts it back.
pub(crate) struct Share {
    budget: Arc<Budget>,
    count: usize,
}

impl Share {
    /// Takes `count`, which is less than what was there once. Fails with `ENOSPC`.
    pub(crate) fn new(budget: &Arc<Budget>, count: usize) -> Result<Self> {
        // CAST: It fits.
        let left = budget.0.fetch_sub(count as i32, Relaxed);
        // Too much is put back by being dropped.
        let share = Self {
            budget: budget.clone(),
            count,
        };
        if left < count as i32 {
            return Err(ENOSPC);
        }
        Ok(share)
    }

    /// Returns how much it is.
    pub(crate) fn count(&self) -> usize {
        self.count
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.0.add(self.count as i32, Relaxed);
    }
}
