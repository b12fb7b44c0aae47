// SPDX-License-Identifier: GPL-2.0

//! The settings of a device: they begin with the module parameters, and can be changed in debugfs
//! while the device exists.

use crate::{
    module_parameters,
    vfence::{
        faults::DefaultFaults,
        limits::Limits,
        refusal::refuse,
        uarg::read_written, //
    },
};
use core::ops::RangeInclusive;
use kernel::{
    debugfs::{
        Reader,
        Writer, //
    },
    fmt,
    prelude::*,
    str::CStr,
    sync::atomic::{
        Atomic,
        Relaxed, //
    },
    uaccess::UserSliceReader, //
};

/// A setting that is a number. In debugfs it is a file.
pub(crate) struct Setting {
    pub(crate) name: &'static CStr,
    value: Atomic<u64>,
    range: RangeInclusive<u64>,
}

impl Setting {
    /// Returns a setting with the value `value`. Fails with `EINVAL`, and logs the reason, if the
    /// value is not in `range`.
    fn new(name: &'static CStr, value: u64, range: RangeInclusive<u64>) -> Result<Self> {
        let setting = Self {
            name,
            value: Atomic::new(value),
            range,
        };
        setting.set(value)?;
        Ok(setting)
    }

    fn get(&self) -> u64 {
        self.value.load(Relaxed)
    }

    fn set(&self, value: u64) -> Result {
        if !self.range.contains(&value) {
            pr_err!(
                "{}={}: must be from {} to {}\n",
                self.name,
                value,
                self.range.start(),
                self.range.end()
            );
            return Err(EINVAL);
        }
        self.value.store(value, Relaxed);
        Ok(())
    }
}

impl Reader for Setting {
    fn read_from_slice(&self, reader: &mut UserSliceReader) -> Result {
        // Enough for a number of 64 bits and a newline.
        let mut text = [0; 21];
        let (name, length) = (self.name, reader.len());
        let text = text.get_mut(..length).ok_or_else(|| {
            refuse!(
                EINVAL,
                "{}: {} bytes are longer than any number",
                name,
                length
            )
        })?;
        read_written(name, reader, text)?;
        let value = core::str::from_utf8(text).unwrap_or_default().trim();
        let number = value.parse();
        self.set(number.map_err(|_| refuse!(EINVAL, "{}: {:?} is not a number", name, value))?)
    }
}

impl Writer for Setting {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_fmt(fmt!("{}\n", self.get()))
    }
}

/// The settings of a device. They apply to the queues and buffers that are created later.
#[pin_data]
pub(crate) struct Settings {
    watchdog_ms: Setting,
    max_queues: Setting,
    max_jobs: Setting,
    max_buffer_mib: Setting,
    duration_ns: Setting,
    #[pin]
    pub(crate) faults: DefaultFaults,
}

impl Settings {
    /// Initialises the settings with the module parameters. Fails with `EINVAL`, and logs the
    /// reason, if a parameter is out of range.
    pub(crate) fn from_parameters() -> impl PinInit<Self, Error> {
        let parameter = |name, value: &u32, range| Setting::new(name, u64::from(*value), range);
        let (watchdog_ms, max_queues, max_jobs, max_buffer_mib) = (
            module_parameters::watchdog_ms.value_ref(),
            module_parameters::max_queues.value_ref(),
            module_parameters::max_jobs.value_ref(),
            module_parameters::max_buffer_mib.value_ref(),
        );
        let any = u64::from(u32::MAX);
        try_pin_init!(Self {
            watchdog_ms: parameter(c"watchdog_ms", watchdog_ms, 0..=any)?,
            max_queues: parameter(c"max_queues", max_queues, 1..=any)?,
            max_jobs: parameter(c"max_jobs", max_jobs, 1..=1 << 20)?,
            max_buffer_mib: parameter(c"max_buffer_mib", max_buffer_mib, 1..=1 << 20)?,
            duration_ns: Setting::new(c"duration_ns", 0, 0..=u64::MAX)?,
            faults <- DefaultFaults::new(),
            _: {
                if watchdog_ms.get() == 0 {
                    pr_notice!("watchdog_ms=0: the time until a fence signals is unbounded\n");
                }
            },
        })
    }

    /// Returns the settings that are numbers.
    pub(crate) fn numbers(&self) -> [&Setting; 5] {
        [
            &self.watchdog_ms,
            &self.max_queues,
            &self.max_jobs,
            &self.max_buffer_mib,
            &self.duration_ns,
        ]
    }

    /// Returns the limits of a queue or buffer that is created now.
    pub(crate) fn limits(&self) -> Limits {
        // CAST: The ranges of these settings fit.
        Limits {
            watchdog: match self.watchdog_ms.get() {
                0 => None,
                ms => Some(ms * 1_000_000),
            },
            max_queues: self.max_queues.get() as u32,
            max_jobs: self.max_jobs.get() as u32,
            max_buffer: self.max_buffer_mib.get() << 20,
            duration: self.duration_ns.get(),
        }
    }
}
