// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Events: jobs that have completed, as they do.

use crate::fault::Faults;
use crate::point::{error, time, Point};
use crate::uapi::vfence as uapi;
use crate::{Device, Errno};
use rustix::fd::AsFd;
use rustix::io::{preadv2, ReadWriteFlags};
use std::io::{self, IoSliceMut};

/// A job has completed that was submitted with [`Job::event`](crate::Job::event). Times are in ns on `CLOCK_MONOTONIC`.
///
/// Source: `struct vfence_event`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Event {
    /// The job.
    pub point: Point,
    /// What it has completed with.
    pub error: Option<Errno>,
    /// When it was submitted.
    pub submitted_ns: u64,
    /// When it started to run; `None` if it never ran.
    pub start_ns: Option<u64>,
    /// When it ended.
    pub end_ns: u64,
    /// The earliest deadline that its fence was given.
    pub deadline_ns: Option<u64>,
    /// What was injected.
    pub faults: Faults,
    /// What its operations came to: the last [`Job::crc32c`](crate::Job::crc32c); 0 if there was none, or the job has failed.
    pub result: u64,
}

const SIZE: usize = size_of::<uapi::Event>();

impl Device {
    /// Waits until there are events, and returns the oldest, `most` at most. Each event goes to one reader.
    ///
    /// Fails with `EINVAL` when `most` is 0, `EAGAIN` when the file was made non-blocking.
    pub fn read_events(&self, most: usize) -> io::Result<Vec<Event>> {
        loop {
            match self.read(most, ReadWriteFlags::empty()) {
                Err(Errno::INTR) => {}
                events => return Ok(events?),
            }
        }
    }

    /// Returns the oldest events, `most` at most, without waiting: none if there are none, or somebody else is reading
    /// at the moment.
    ///
    /// Fails with `EINVAL` when `most` is 0.
    pub fn try_read_events(&self, most: usize) -> io::Result<Vec<Event>> {
        match self.read(most, ReadWriteFlags::NOWAIT) {
            Err(Errno::AGAIN) => Ok(Vec::new()),
            events => Ok(events?),
        }
    }

    fn read(&self, most: usize, flags: ReadWriteFlags) -> Result<Vec<Event>, Errno> {
        if most == 0 {
            return Err(Errno::INVAL);
        }
        // The device has no more than that.
        let mut bytes = vec![0; most.min(uapi::MAX_EVENTS as usize) * SIZE];
        // The device has no position; this stands for "as read() does".
        let position = u64::MAX;
        let mut parts = [IoSliceMut::new(&mut bytes)];
        let read = preadv2(self.as_fd(), &mut parts, position, flags)?;
        let events = bytes[..read].chunks_exact(SIZE);
        Ok(events
            .filter_map(|event| Event::from_kernel(self, event))
            .collect())
    }
}

impl Event {
    fn from_kernel(device: &Device, bytes: &[u8]) -> Option<Self> {
        let event = uapi::Event::from_bytes(bytes.try_into().ok()?);
        Some(Self {
            point: Point::new(device, event.queue, event.seqno),
            error: error(event.error),
            submitted_ns: event.submitted_ns,
            start_ns: time(event.start_ns),
            end_ns: event.end_ns,
            deadline_ns: time(event.deadline_ns),
            faults: Faults::from_kernel(event.faults),
            result: event.result,
        })
    }
}
