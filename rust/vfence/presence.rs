// SPDX-License-Identifier: GPL-2.0

//! Whether a device is there for the clients that have opened it.
//!
//! A device is *lost* to its clients when it is wedged or unplugged. It may return, but only to new
//! clients, with a new [`Presence`].

use crate::{
    kernel_ext::blocked_tasks::BlockedTasks,
    vfence::refusal::refuse, //
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

/// The presence of a device, from its registration on.
#[pin_data]
pub(crate) struct Presence {
    /// The negative errno with which calls fail, 0 while the device is there.
    error: Atomic<i32>,
    /// The tasks in [`Presence::interrupt_if_lost`].
    #[pin]
    blocked: BlockedTasks,
}

impl Presence {
    /// Returns the presence of a device that is there. Fails with `ENOMEM`.
    pub(crate) fn new() -> Result<Arc<Self>> {
        let presence = pin_init!(Self {
            error: Atomic::new(0),
            blocked <- BlockedTasks::new(),
        });
        Arc::pin_init(presence, GFP_KERNEL)
    }

    /// Fails with the error of the loss if the device is lost: `EIO` if it is wedged, `ENODEV` if
    /// it is unplugged.
    ///
    /// The device may be lost right after the check. Whatever waits, or keeps others waiting, must
    /// therefore be in a list that [`Device::lose`](super::device::Device::lose) walks before it
    /// checks.
    #[inline]
    pub(crate) fn check(&self) -> Result {
        match self.error() {
            None => Ok(()),
            Some(error) => Err(lost(error)),
        }
    }

    /// Returns the error with which [`Presence::check`] would fail.
    #[inline]
    pub(crate) fn error(&self) -> Option<Error> {
        match self.error.load(Relaxed) {
            0 => None,
            error => Some(Error::from_errno(error)),
        }
    }

    /// Calls `f`, which may sleep until a signal arrives. If the device is lost, it is interrupted,
    /// and the error is that of the loss.
    ///
    /// Fails as [`Presence::check`] and `f` do, and with `ENOMEM`.
    // Only DRM has such functions.
    #[allow(dead_code)]
    pub(crate) fn interrupt_if_lost<R>(&self, f: impl FnOnce() -> Result<R>) -> Result<R> {
        self.blocked.run(|| {
            self.check()?;
            let result = f();
            // Also if `f` has succeeded: sleeps in the rest of the call would be interrupted.
            self.check()?;
            result
        })
    }

    /// Lets all calls fail with `error` from now on, and interrupts those that sleep in functions
    /// of the core. The caller wakes the others.
    pub(super) fn lose(&self, error: Error) {
        self.error.store(error.to_errno(), Relaxed);
        self.blocked.interrupt();
    }
}

/// Returns `error`, that of a call after the loss of the device.
#[cold]
#[inline(never)]
fn lost(error: Error) -> Error {
    if error == EIO {
        refuse!(EIO, "the client has lost the device, which is wedged")
    } else {
        refuse!(error, "the client has lost the device, which was unplugged")
    }
}
