// SPDX-License-Identifier: GPL-2.0

//! The debugfs file `control` of a DRM device: the device is unplugged, wedged and plugged in again
//! by the words that root writes.
//!
//! ```text
//!                  wedge [rebind…]                    unplug
//!     plugged ─────────────────────▶ wedged ───────────────────▶ unplugged
//!     │  ▲  │                        calls fail with EIO         calls fail with ENODEV,
//!     │  │  └────────────────────── unplug ─────────────────────▶ the nodes are gone
//!     │  │                                                           │
//!     │  └───────────── plug: new nodes, and new clients ────────────┘
//!     └─▶ wedge none: all queues are reset
//! ```

use crate::{
    drm::{
        Recovery,
        Registration, //
    },
    vfence::{
        device::{
            Device,
            NodeData, //
        },
        presence::Presence,
        refusal::refuse,
        uarg::read_written, //
    },
    vfence_drm::DrmDriver, //
};
use kernel::{
    debugfs::{
        Reader,
        Writer, //
    },
    fmt,
    new_mutex,
    prelude::*,
    sync::{
        Arc,
        Mutex, //
    },
    uaccess::UserSliceReader, //
};

/// The longest command, in bytes.
const MAX_COMMAND: usize = 128;

/// A DRM device that can be unplugged.
///
/// Dropping it unregisters the device. Nobody has the nodes open then, because open nodes keep the
/// module loaded.
#[pin_data]
pub(crate) struct Control {
    device: Arc<Device>,
    /// Held while the device is registered, unplugged or wedged. No call of a client takes the
    /// lock.
    #[pin]
    plugged: Mutex<Option<Plugged>>,
}

/// A registered device.
struct Plugged {
    registration: Registration<DrmDriver>,
    presence: Arc<Presence>,
}

impl Plugged {
    fn new(device: &Arc<Device>) -> Result<Self> {
        let node = NodeData::new(device.clone())?;
        let presence = node.presence.clone();
        let registration = Registration::new(device.dma.device(), node)?;
        Ok(Self {
            registration,
            presence,
        })
    }
}

impl Control {
    /// Returns the DRM device of `device`, unplugged.
    pub(crate) fn new(device: Arc<Device>) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            plugged <- new_mutex!(None),
            device,
        })
    }

    /// Registers the device, with new nodes. Fails with `EBUSY` if it is plugged in, and as
    /// [`Registration::new`] does.
    pub(crate) fn plug(&self) -> Result {
        let mut plugged = self.plugged.lock();
        if plugged.is_some() {
            return Err(refuse!(EBUSY, "plug: the device is plugged in already"));
        }
        *plugged = Some(Plugged::new(&self.device)?);
        Ok(())
    }

    /// Unplugs the device. Fails with `ENODEV` if it is unplugged.
    fn unplug(&self) -> Result {
        let mut plugged = self.plugged.lock();
        let Plugged {
            registration,
            presence,
        } = plugged.take().ok_or_else(unplugged)?;
        // In this order: the core waits for calls of other drivers, which may wait for fences.
        self.device.lose(&presence, ENODEV);
        registration.unplug();
        Ok(())
    }

    /// Wedges the device, or resets it if no recovery is necessary, and sends the uevent. If the
    /// device is wedged, only sends the uevent again, which an earlier call may have failed to do.
    ///
    /// Fails with `ENODEV` if the device is unplugged, with `EIO` if it is wedged and is to be
    /// reset, and with `ENOMEM` if only the uevent could not be sent.
    fn wedge(&self, recovery: Recovery) -> Result {
        let plugged = self.plugged.lock();
        let plugged = plugged.as_ref().ok_or_else(unplugged)?;
        let wedged = plugged.presence.error();
        if recovery == Recovery::NONE {
            if let Some(error) = wedged {
                return Err(refuse!(
                    error,
                    "wedge none: the device is wedged and cannot be reset"
                ));
            }
            self.device.reset_queues();
        } else if wedged.is_none() {
            self.device.lose(&plugged.presence, EIO);
        }
        plugged.registration.wedged_event(recovery)
    }

    /// Executes a command. Fails with `EINVAL` for an unknown one, and as the command does.
    fn execute(&self, command: &str) -> Result {
        let mut words = command.split_ascii_whitespace();
        match (words.next(), words.next(), words.next()) {
            (Some("plug"), None, None) => self.plug(),
            (Some("unplug"), None, None) => self.unplug(),
            (Some("wedge"), None, None) => self.wedge(Recovery::UNKNOWN),
            (Some("wedge"), Some(list), None) => self.wedge(recovery_from_list(list)?),
            _ => Err(refuse!(EINVAL, "control: {:?} is not a command", command)),
        }
    }
}

/// Returns the error of a command on a device that is unplugged.
fn unplugged() -> Error {
    refuse!(ENODEV, "control: the device is unplugged")
}

/// Returns the ways to recover a device in `list`, separated by commas. Fails with `EINVAL` for an
/// unknown one, and for `none` beside others.
fn recovery_from_list(list: &str) -> Result<Recovery> {
    if list == "none" {
        return Ok(Recovery::NONE);
    }
    list.split(',').try_fold(Recovery::UNKNOWN, |others, word| {
        Ok(others.and(match word {
            "rebind" => Recovery::REBIND,
            "bus-reset" => Recovery::BUS_RESET,
            "vendor-specific" => Recovery::VENDOR,
            _ => {
                return Err(refuse!(
                    EINVAL,
                    "wedge: {:?} is not rebind, bus-reset or vendor-specific, nor none alone",
                    word
                ))
            }
        }))
    })
}

impl Writer for Control {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plugged = self.plugged.lock();
        f.write_str(
            match plugged.as_ref().map(|plugged| plugged.presence.error()) {
                None => "unplugged\n",
                Some(None) => "plugged\n",
                Some(Some(_)) => "wedged\n",
            },
        )
    }
}

impl Reader for Control {
    fn read_from_slice(&self, reader: &mut UserSliceReader) -> Result {
        let mut buffer = [0; MAX_COMMAND];
        let length = reader.len();
        let command = buffer.get_mut(..length).ok_or_else(|| {
            refuse!(
                EINVAL,
                "control: {} bytes are longer than any command",
                length
            )
        })?;
        read_written(c"control", reader, command)?;
        let text = core::str::from_utf8(command)
            .map_err(|_| refuse!(EINVAL, "control: the command is not UTF-8"))?;
        self.execute(text)
    }
}

#[kernel::macros::kunit_tests(vfence_drm_control)]
mod tests {
    use super::*;

    #[test]
    fn list_of_recoveries_is_their_union() -> Result {
        assert!(recovery_from_list("rebind")? == Recovery::REBIND);
        assert!(recovery_from_list("none")? == Recovery::NONE);
        let both = Recovery::VENDOR.and(Recovery::BUS_RESET);
        assert!(recovery_from_list("bus-reset,vendor-specific")? == both);
        for list in ["", "none,rebind", "rebind,", "Rebind", "unplug"] {
            assert!(recovery_from_list(list).is_err());
        }
        Ok(())
    }
}
