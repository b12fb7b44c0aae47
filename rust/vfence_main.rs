// SPDX-License-Identifier: GPL-2.0

//! vfence: a virtual device that produces fences.

use kernel::{
    miscdevice::{
        MiscDeviceOptions,
        MiscDeviceRegistration, //
    },
    prelude::*, //
};

mod vfence;

module! {
    type: VfenceModule,
    name: "vfence",
    authors: ["The vfence developers"],
    description: "Virtual fence-producing device",
    license: "GPL",
    params: {
        watchdog_ms: u32 {
            default: 2000,
            description: "Bound on the time that a fence stays unsignalled, in ms",
        },
    },
}

#[pin_data]
struct VfenceModule {
    #[pin]
    device: MiscDeviceRegistration<vfence::Client>,
}

impl kernel::InPlaceModule for VfenceModule {
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            device <- MiscDeviceRegistration::register(MiscDeviceOptions { name: c"vfence" }),
        })
    }
}
