// SPDX-License-Identifier: GPL-2.0 OR MIT

//! A job: what it waits for, how long it takes, what it does, how it ends.

use crate::queue::Queue;
use crate::uapi::vfence as uapi;
use crate::{Errno, SyncFile};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::io;
use std::ops::Range;
use std::time::Duration;

/// A job that is not submitted yet; see [`TimerQueue::job`](crate::TimerQueue::job) and
/// [`ManualQueue::job`](crate::ManualQueue::job).
///
/// On a timer queue it starts when all jobs before it have completed and all its in-fences have signalled. When one of
/// those signals with an error, the queue's [`InFencePolicy`](crate::InFencePolicy) says what happens.
#[derive(Clone, Debug)]
#[must_use = "a job does nothing until it is submitted"]
pub struct Job<'a> {
    queue: &'a Queue<'a>,
    flags: u32,
    duration: Duration,
    longest: Option<Duration>,
    error: Option<Errno>,
    in_fences: Vec<BorrowedFd<'a>>,
    /// The buffers, each once, and whether it is written.
    uses: Vec<(BorrowedFd<'a>, bool)>,
    /// Flags of all uses.
    use_flags: u32,
    operations: Vec<uapi::Operation>,
}

/// What [`Job::fill`] fills with; the size says to what offset and length have to be aligned.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Pattern {
    /// One byte.
    U8(u8),
    /// Four bytes, in the machine's order.
    U32(u32),
    /// Eight bytes, in the machine's order.
    U64(u64),
}

/// What the kernel reads through pointers while a job is submitted.
pub(crate) struct Arrays {
    in_fences: Vec<RawFd>,
    uses: Vec<uapi::Use>,
}

impl<'a> Job<'a> {
    pub(crate) fn new(queue: &'a Queue<'a>, duration: Duration) -> Self {
        Self {
            queue,
            flags: 0,
            duration,
            longest: None,
            error: None,
            in_fences: Vec::new(),
            uses: Vec::new(),
            use_flags: 0,
            operations: Vec::new(),
        }
    }

    /// Has the job wait for `fence`, a sync_file of any driver, which may be closed once the job is submitted.
    pub fn wait_for(mut self, fence: &'a impl AsFd) -> Self {
        self.in_fences.push(fence.as_fd());
        self
    }

    /// Has the job wait for all of `fences`.
    pub fn wait_for_all(mut self, fences: impl IntoIterator<Item = &'a (impl AsFd + 'a)>) -> Self {
        self.in_fences.extend(fences.into_iter().map(AsFd::as_fd));
        self
    }

    /// Has the duration drawn, from the queue's seed, from those between the one given first and `longest`, both
    /// included. A `longest` of zero is none.
    pub fn up_to(mut self, longest: Duration) -> Self {
        self.longest = Some(longest);
        self
    }

    /// Has the job complete with `error`, after its duration.
    pub fn error(mut self, error: Errno) -> Self {
        self.error = Some(error);
        self
    }

    /// Has the job hang: the watchdog ends it with `ETIMEDOUT`, or [`Queue::reset`] with `ECANCELED`.
    pub fn hang(mut self) -> Self {
        self.flags |= uapi::SUBMIT_HANG;
        self
    }

    /// Has the job's completion reported; see [`Device::read_events`](crate::Device::read_events).
    pub fn event(mut self) -> Self {
        self.flags |= uapi::SUBMIT_EVENT;
        self
    }

    /// Has the job use `buffer`, a dma-buf of any driver, for reading: it waits for those who write it, and those who want
    /// to write it wait for the job. Not for manual queues.
    pub fn reads(mut self, buffer: &'a impl AsFd) -> Self {
        self.index(buffer.as_fd(), false);
        self
    }

    /// Has the job use `buffer` for writing: it waits for those who use it, and those wait for the job.
    pub fn writes(mut self, buffer: &'a impl AsFd) -> Self {
        self.index(buffer.as_fd(), true);
        self
    }

    /// Has the job not wait for others who use its buffers.
    pub fn without_implicit_wait(mut self) -> Self {
        self.use_flags |= uapi::USE_NO_WAIT;
        self
    }

    /// Has others who use the job's buffers not wait for it.
    pub fn without_implicit_fence(mut self) -> Self {
        self.use_flags |= uapi::USE_NO_ADD;
        self
    }

    /// Has the job fill the bytes of `buffer` in `range`. For worker queues; the range has to be inside, and a multiple of the
    /// pattern's size.
    pub fn fill(mut self, buffer: &'a impl AsFd, range: Range<u64>, pattern: Pattern) -> Self {
        let (pattern, pattern_size) = match pattern {
            Pattern::U8(byte) => (byte.into(), 1),
            Pattern::U32(word) => (word.into(), 4),
            Pattern::U64(long) => (long, 8),
        };
        let target = self.index(buffer.as_fd(), true);
        self.operations.push(uapi::Operation {
            kind: uapi::OPERATION_FILL,
            target,
            target_offset: range.start,
            length: range.end.saturating_sub(range.start),
            pattern,
            pattern_size,
            ..Default::default()
        });
        self
    }

    /// Has the job copy the bytes of `from` in `range` to `to`, at `offset`. For worker queues; the ranges have to be inside, and
    /// must not overlap in the same buffer.
    pub fn copy(
        mut self,
        from: &'a impl AsFd,
        range: Range<u64>,
        to: &'a impl AsFd,
        offset: u64,
    ) -> Self {
        let source = self.index(from.as_fd(), false);
        let target = self.index(to.as_fd(), true);
        self.operations.push(uapi::Operation {
            kind: uapi::OPERATION_COPY,
            target,
            source,
            target_offset: offset,
            source_offset: range.start,
            length: range.end.saturating_sub(range.start),
            ..Default::default()
        });
        self
    }

    /// Has the job compute the CRC-32C of the bytes of `buffer` in `range`: see [`Event::result`](crate::Event::result). For worker
    /// queues; the range has to be inside.
    pub fn crc32c(mut self, buffer: &'a impl AsFd, range: Range<u64>) -> Self {
        let source = self.index(buffer.as_fd(), false);
        self.operations.push(uapi::Operation {
            kind: uapi::OPERATION_CRC32C,
            source,
            source_offset: range.start,
            length: range.end.saturating_sub(range.start),
            ..Default::default()
        });
        self
    }

    /// Returns the index of a buffer among those that are used.
    fn index(&mut self, buffer: BorrowedFd<'a>, write: bool) -> u32 {
        let raw = buffer.as_raw_fd();
        let known = self.uses.iter().position(|(fd, _)| fd.as_raw_fd() == raw);
        let index = known.unwrap_or(self.uses.len());
        match self.uses.get_mut(index) {
            Some((_, writes)) => *writes |= write,
            None => self.uses.push((buffer, write)),
        }
        // The kernel refuses so many.
        u32::try_from(index).unwrap_or(u32::MAX)
    }

    /// Submits the job and returns its sequence number.
    ///
    /// Fails with `EACCES` when an operation writes a buffer whose descriptor is not open for writing; with
    /// `EAGAIN` when [`Capabilities::max_jobs`](crate::Capabilities::max_jobs) are pending, or there are
    /// [`uapi::MAX_EVENTS`] events, of which `poll()` knows nothing: read some; `EINVAL` when the duration is longer than the
    /// watchdog allows, there are too many in-fences, buffers or operations, one of them is no sync_file or dma-buf, an operation
    /// cannot be, or the queue takes no such job; `ENOSPC` when there are too many fences to wait for; `EOPNOTSUPP` when the CPU cannot
    /// reach a buffer; `ENOMEM`.
    pub fn submit(self) -> io::Result<u64> {
        let arrays = self.arrays();
        Ok(self.queue.submit(self.for_kernel(&arrays, 0)?)?.0)
    }

    /// Submits the job and returns its sequence number and its out-fence.
    ///
    /// Fails with `EMFILE` when the process has no free file descriptor, and as [`Job::submit`] does.
    pub fn submit_with_out_fence(self) -> io::Result<(u64, SyncFile)> {
        let arrays = self.arrays();
        let job = self.for_kernel(&arrays, uapi::SUBMIT_OUT_FENCE)?;
        let (seqno, fence) = self.queue.submit(job)?;
        Ok((seqno, fence.ok_or(io::ErrorKind::InvalidData)?))
    }

    pub(crate) fn queue(&self) -> &'a Queue<'a> {
        self.queue
    }

    pub(crate) fn arrays(&self) -> Arrays {
        let uses = self.uses.iter().map(|(fd, write)| uapi::Use {
            fd: fd.as_raw_fd(),
            flags: self.use_flags | if *write { uapi::USE_WRITE } else { 0 },
        });
        Arrays {
            in_fences: self.in_fences.iter().map(AsRawFd::as_raw_fd).collect(),
            uses: uses.collect(),
        }
    }

    /// Returns the job as the kernel takes it; both `arrays`, which are this job's, and the job must live until then.
    pub(crate) fn for_kernel(&self, arrays: &Arrays, flags: u32) -> io::Result<uapi::Submit> {
        let count = |len: usize| u32::try_from(len).map_err(|_| Errno::INVAL);
        Ok(uapi::Submit {
            queue: self.queue.id(),
            flags: self.flags | flags,
            duration_ns: for_kernel(self.duration)?,
            duration_max_ns: for_kernel(self.longest.unwrap_or_default())?,
            in_fences: arrays.in_fences.as_ptr() as u64,
            in_fence_count: count(arrays.in_fences.len())?,
            uses: arrays.uses.as_ptr() as u64,
            use_count: count(arrays.uses.len())?,
            use_size: size_of::<uapi::Use>() as u32,
            operations: self.operations.as_ptr() as u64,
            operation_count: count(self.operations.len())?,
            operation_size: size_of::<uapi::Operation>() as u32,
            error: self.error.map_or(0, |error| -error.raw_os_error()),
            ..Default::default()
        })
    }
}

/// Returns a duration in ns. Fails with `EINVAL` if it is longer than centuries.
pub(crate) fn for_kernel(duration: Duration) -> io::Result<u64> {
    Ok(u64::try_from(duration.as_nanos()).map_err(|_| Errno::INVAL)?)
}
