// SPDX-License-Identifier: GPL-2.0

//! A bound on what the pending jobs of a client hold together.

use crate::vfence::refusal::refuse;
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

/// A number of units that the jobs of a client share. The remainder is negative only while a charge
/// is being refused.
pub(crate) struct Quota(Atomic<i32>);

impl Quota {
    /// Creates a quota of `units`, at most `i32::MAX`. Fails with `ENOMEM`.
    pub(crate) fn new(units: u32) -> Result<Arc<Self>> {
        // CAST: It fits, see above.
        let quota = Self(Atomic::new(units as i32));
        Ok(Arc::new(quota, GFP_KERNEL_ACCOUNT)?)
    }
}

/// Units charged to a [`Quota`]; dropping the charge returns them.
pub(crate) struct Charge {
    quota: Arc<Quota>,
    units: usize,
}

impl Charge {
    /// Charges `units` to `quota`, at most `i32::MAX`. Fails with `ENOSPC` if fewer are left.
    pub(crate) fn new(quota: &Arc<Quota>, units: usize) -> Result<Self> {
        // CAST: It fits, see above.
        let left = quota.0.fetch_sub(units as i32, Relaxed);
        let charge = Self {
            quota: quota.clone(),
            units,
        };
        if left < units as i32 {
            // Dropping the charge returns the units.
            return Err(refuse!(
                ENOSPC,
                "submit: {} pending in-fences exceed the {} that are left of VFENCE_MAX_WAITS",
                units,
                left
            ));
        }
        Ok(charge)
    }

    /// Returns the number of units.
    pub(crate) fn units(&self) -> usize {
        self.units
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.quota.0.add(self.units as i32, Relaxed);
    }
}
