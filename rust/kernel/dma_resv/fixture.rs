// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Reservation objects for KUnit cases.

use super::resv::DmaResv;
use crate::bindings;
use kernel::{
    prelude::*,
    sync::Arc, //
};

/// A reservation object without a buffer.
#[pin_data(PinnedDrop)]
pub(super) struct OwnedResv {
    #[pin]
    pub(super) resv: DmaResv,
}

impl OwnedResv {
    fn new() -> impl PinInit<Self> {
        // SAFETY: The function initialises the whole object, in place.
        let resv = unsafe {
            pin_init::pin_init_from_closure(|slot: *mut DmaResv| {
                bindings::dma_resv_init(slot.cast());
                Ok::<_, core::convert::Infallible>(())
            })
        };
        pin_init!(Self { resv <- resv })
    }
}

#[pinned_drop]
impl PinnedDrop for OwnedResv {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: The object is initialised, and there are no references to it.
        unsafe { bindings::dma_resv_fini(self.resv.as_raw()) };
    }
}

pub(super) fn owned() -> Result<Arc<OwnedResv>> {
    Arc::pin_init(OwnedResv::new(), GFP_KERNEL)
}
