// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Jobs: in-fences, duration, operations, error.

use crate::queue::Queue;
use crate::uapi::vfence as uapi;
use crate::{Errno, SyncFile};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::io;
use std::ops::Range;
use std::time::Duration;

/// A job before its submission; see [`TimerQueue::job`](crate::TimerQueue::job) and
/// [`ManualQueue::job`](crate::ManualQueue::job).
///
/// A job of a timer queue starts when all jobs before it have completed and all its in-fences have
/// signalled. The queue's [`InFencePolicy`](crate::InFencePolicy) applies if an in-fence signals
/// with an error.
#[derive(Clone, Debug)]
#[must_use = "a job does nothing until it is submitted"]
pub struct Job<'a> {
    queue: &'a Queue<'a>,
    flags: u32,
    duration: Duration,
    longest: Option<Duration>,
    error: Option<Errno>,
    in_fences: Vec<BorrowedFd<'a>>,
    /// Each buffer once, and whether the job writes it.
    uses: Vec<(BorrowedFd<'a>, bool)>,
    /// The flags of all uses.
    use_flags: u32,
    operations: Vec<uapi::Operation>,
}

/// The pattern of [`Job::fill`]. Offset and length must be multiples of its size.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Pattern {
    /// One byte.
    U8(u8),
    /// Four bytes in native byte order.
    U32(u32),
    /// Eight bytes in native byte order.
    U64(u64),
}

/// The arrays that the kernel reads through pointers when a job is submitted.
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

    /// Adds the in-fence `fence`, a sync_file of any driver. It may be closed after the submission.
    pub fn wait_for(mut self, fence: &'a impl AsFd) -> Self {
        self.in_fences.push(fence.as_fd());
        self
    }

    /// Adds all of `fences` as in-fences.
    pub fn wait_for_all(mut self, fences: impl IntoIterator<Item = &'a (impl AsFd + 'a)>) -> Self {
        self.in_fences.extend(fences.into_iter().map(AsFd::as_fd));
        self
    }

    /// Draws the duration at random between the job's duration and `longest`, both included, from
    /// the queue's seed. Zero leaves the duration fixed.
    pub fn up_to(mut self, longest: Duration) -> Self {
        self.longest = Some(longest);
        self
    }

    /// Completes the job with `error`, after its duration.
    pub fn error(mut self, error: Errno) -> Self {
        self.error = Some(error);
        self
    }

    /// Makes the job hang: the watchdog ends it with `ETIMEDOUT`, or [`Queue::reset`] with
    /// `ECANCELED`.
    pub fn hang(mut self) -> Self {
        self.flags |= uapi::SUBMIT_HANG;
        self
    }

    /// Reports the job's completion by an event; see
    /// [`Device::read_events`](crate::Device::read_events).
    pub fn event(mut self) -> Self {
        self.flags |= uapi::SUBMIT_EVENT;
        self
    }

    /// Makes the job read `buffer`, a dma-buf of any driver. The job waits for earlier writes, and
    /// later writes wait for the job. Manual queues refuse it.
    pub fn reads(mut self, buffer: &'a impl AsFd) -> Self {
        self.index(buffer.as_fd(), false);
        self
    }

    /// Makes the job write `buffer`. The job waits for earlier reads and writes, and later ones
    /// wait for the job.
    pub fn writes(mut self, buffer: &'a impl AsFd) -> Self {
        self.index(buffer.as_fd(), true);
        self
    }

    /// Makes the job not wait for earlier uses of its buffers.
    pub fn without_implicit_wait(mut self) -> Self {
        self.use_flags |= uapi::USE_NO_WAIT;
        self
    }

    /// Makes later uses of the job's buffers not wait for the job.
    pub fn without_implicit_fence(mut self) -> Self {
        self.use_flags |= uapi::USE_NO_ADD;
        self
    }

    /// Fills the bytes of `buffer` in `range`. Only worker queues take operations. The range must
    /// be within the buffer and aligned to the size of the pattern.
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

    /// Copies the bytes of `from` in `range` to `offset` in `to`. Only worker queues take
    /// operations. The ranges must be within the buffers, and not overlap if it is the same buffer.
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

    /// Computes the CRC-32C of the bytes of `buffer` in `range`; see
    /// [`Event::result`](crate::Event::result). Only worker queues take operations. The range must
    /// be within the buffer.
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

    /// Returns the index of `buffer` in `uses`, and adds it if it is new.
    fn index(&mut self, buffer: BorrowedFd<'a>, write: bool) -> u32 {
        let raw = buffer.as_raw_fd();
        let known = self.uses.iter().position(|(fd, _)| fd.as_raw_fd() == raw);
        let index = known.unwrap_or(self.uses.len());
        match self.uses.get_mut(index) {
            Some((_, writes)) => *writes |= write,
            None => self.uses.push((buffer, write)),
        }
        // The kernel refuses an index of u32::MAX.
        u32::try_from(index).unwrap_or(u32::MAX)
    }

    /// Submits the job and returns its seqno.
    ///
    /// Fails with
    /// - `EACCES` if an operation writes a buffer whose descriptor is not open for writing;
    /// - `EAGAIN` if the queue has [`Capabilities::max_jobs`](crate::Capabilities::max_jobs)
    ///   pending jobs, or the client has [`uapi::MAX_EVENTS`] events, which `poll()` does not
    ///   report;
    /// - `EINVAL` if the duration is above the watchdog's bound, for too many in-fences, buffers or
    ///   operations, if one of them is not a sync_file or dma-buf, for an invalid operation, and if
    ///   the queue does not take this kind of job;
    /// - `ENOSPC` if the jobs of the client wait for too many fences;
    /// - `EOPNOTSUPP` if the CPU cannot access a buffer;
    /// - `ENOMEM`.
    pub fn submit(self) -> io::Result<u64> {
        let arrays = self.arrays();
        Ok(self.queue.submit(self.for_kernel(&arrays, 0)?)?.0)
    }

    /// Submits the job and returns its seqno and its out-fence.
    ///
    /// Fails like [`Job::submit`], and with `EMFILE` if the process has no free file descriptor.
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

    /// Returns the structure for the kernel, which points to `arrays` and to the job: both must
    /// outlive it. `arrays` must come from [`Self::arrays`].
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

/// Returns a duration in ns. Fails with `EINVAL` if it does not fit into 64 bits.
pub(crate) fn for_kernel(duration: Duration) -> io::Result<u64> {
    Ok(u64::try_from(duration.as_nanos()).map_err(|_| Errno::INVAL)?)
}
