// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Batches: many jobs in one system call, all or none.

use crate::job::{Arrays, Job};
use crate::uapi::vfence as uapi;
use crate::{Device, Errno, SyncFile};
use rustix::fd::AsFd;
use std::fmt;
use std::io;

/// Jobs that are submitted together, all or none; see [`Device::batch`].
#[derive(Debug)]
#[must_use = "a batch does nothing until it is submitted"]
pub struct Batch<'a> {
    device: &'a Device,
    jobs: Vec<(Job<'a>, u32)>,
}

/// A job that was submitted in a batch.
#[derive(Debug)]
#[non_exhaustive]
pub struct Submitted {
    /// The seqno of the job on its queue.
    pub seqno: u64,
    /// The out-fence, if the job was added with one.
    pub out_fence: Option<SyncFile>,
}

/// The reason why a batch was refused. No job was submitted.
#[derive(Debug)]
#[non_exhaustive]
pub struct BatchError {
    /// The index of the refused job; `None` if the device refused the batch as a whole.
    pub index: Option<usize>,
    /// The error, as [`Job::submit`] returns it.
    pub error: io::Error,
}

impl<'a> Batch<'a> {
    pub(crate) fn new(device: &'a Device) -> Self {
        Self {
            device,
            jobs: Vec::new(),
        }
    }

    /// Adds a job.
    pub fn add(&mut self, job: Job<'a>) -> &mut Self {
        self.jobs.push((job, 0));
        self
    }

    /// Adds a job with an out-fence.
    pub fn add_with_out_fence(&mut self, job: Job<'a>) -> &mut Self {
        self.jobs.push((job, uapi::SUBMIT_OUT_FENCE));
        self
    }

    /// Returns the number of jobs.
    #[must_use]
    pub fn len(&self) -> usize {
        self.jobs.len()
    }

    /// Returns whether the batch has no jobs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// Submits all jobs or none. The jobs of a queue are submitted in the order in which they were
    /// added.
    ///
    /// Fails like [`Job::submit_with_out_fence`], and with `EINVAL` for no jobs, for more than
    /// [`uapi::MAX_BATCH`], and if the queue of a job belongs to another client.
    ///
    /// Source: `VFENCE_IOCTL_SUBMIT_BATCH`.
    pub fn submit(self) -> Result<Vec<Submitted>, BatchError> {
        let arrays: Vec<Arrays> = self.jobs.iter().map(|(job, _)| job.arrays()).collect();
        let mut jobs = Vec::with_capacity(self.jobs.len());
        for (index, ((job, flags), arrays)) in self.jobs.iter().zip(&arrays).enumerate() {
            let prepared = if self.has_queue_of(job) {
                job.for_kernel(arrays, *flags)
            } else {
                Err(Errno::INVAL.into())
            };
            jobs.push(prepared.map_err(|error| BatchError {
                index: Some(index),
                error,
            })?);
        }
        let mut batch = uapi::SubmitBatch::default();
        let fences = uapi::submit_batch(self.device.as_fd(), &mut batch, &mut jobs);
        let fences = fences.map_err(|error| BatchError {
            index: (batch.refused < batch.count).then_some(batch.refused as usize),
            error: error.into(),
        })?;
        let submitted = jobs.iter().zip(fences).map(|(job, fence)| Submitted {
            seqno: job.seqno,
            out_fence: fence.map(SyncFile::from),
        });
        Ok(submitted.collect())
    }

    /// Returns whether the queue of `job` belongs to this client. Each client has its own queue
    /// ids.
    fn has_queue_of(&self, job: &Job<'_>) -> bool {
        job.queue().device().number() == self.device.number()
    }
}

impl fmt::Display for BatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.index {
            Some(index) => write!(f, "job {index} of the batch was refused: {}", self.error),
            None => write!(f, "the batch was refused: {}", self.error),
        }
    }
}

impl std::error::Error for BatchError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

impl From<BatchError> for io::Error {
    fn from(error: BatchError) -> Self {
        error.error
    }
}
