// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Events: reports of completed jobs.

use crate::fault::Faults;
use crate::point::{error, time, Point};
use crate::uapi::vfence as uapi;
use crate::{Device, Errno};
use rustix::fd::AsFd;
use rustix::io::{preadv2, ReadWriteFlags};
use std::io::{self, IoSliceMut};

/// The report of a completed job that was submitted with [`Job::event`](crate::Job::event). Times
/// are in ns on `CLOCK_MONOTONIC`.
///
/// Source: `struct vfence_event`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Event {
    /// The job.
    pub point: Point,
    /// The error of the job.
    pub error: Option<Errno>,
    /// The time of submission.
    pub submitted_ns: u64,
    /// The time at which the job started; `None` if it did not run.
    pub start_ns: Option<u64>,
    /// The time at which the job ended.
    pub end_ns: u64,
    /// The earliest deadline of the job's fence.
    pub deadline_ns: Option<u64>,
    /// The faults that were injected.
    pub faults: Faults,
    /// The result of the last [`Job::crc32c`](crate::Job::crc32c); 0 if the job has none or failed.
    pub result: u64,
}

const SIZE: usize = size_of::<uapi::Event>();

impl Device {
    /// Waits for an event and returns the oldest events, at most `most`. Each event is read once.
    ///
    /// Fails with `EINVAL` if `most` is 0, and with `EAGAIN` if the file is non-blocking and has no
    /// events.
    pub fn read_events(&self, most: usize) -> io::Result<Vec<Event>> {
        loop {
            match self.read(most, ReadWriteFlags::empty()) {
                Err(Errno::INTR) => {}
                events => return Ok(events?),
            }
        }
    }

    /// Returns the oldest events, at most `most`, without waiting. Returns none if there are no
    /// events or another reader is active.
    ///
    /// Fails with `EINVAL` if `most` is 0.
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
        // A client has at most MAX_EVENTS events.
        let mut bytes = vec![0; most.min(uapi::MAX_EVENTS as usize) * SIZE];
        // preadv2() takes -1 for the file position, which read() uses.
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
