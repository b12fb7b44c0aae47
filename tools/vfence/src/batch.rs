// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Batches: many jobs in one system call, all of them or none.

use crate::job::{Arrays, Job};
use crate::uapi::vfence as uapi;
use crate::{Device, Errno, SyncFile};
use rustix::fd::AsFd;
use std::fmt;
use std::io;

/// Jobs that are submitted all at once, or none of them; see [`Device::batch`].
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
    /// Its sequence number on its queue.
    pub seqno: u64,
    /// Its out-fence, if it was added with one.
    pub out_fence: Option<SyncFile>,
}

/// Why a batch was refused. Nothing was submitted.
#[derive(Debug)]
#[non_exhaustive]
pub struct BatchError {
    /// The index of the job that was refused; `None` if the batch itself is wrong.
    pub index: Option<usize>,
    /// What [`Job::submit`] would have failed with.
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

    /// Adds a job that is to have an out-fence.
    pub fn add_with_out_fence(&mut self, job: Job<'a>) -> &mut Self {
        self.jobs.push((job, uapi::SUBMIT_OUT_FENCE));
        self
    }

    /// Returns how many jobs there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.jobs.len()
    }

    /// Returns whether there is no job.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// Submits all jobs, those of each queue in their order, or none.
    ///
    /// Fails as [`Job::submit_with_out_fence`] does, and with `EINVAL` when there is none, more than
    /// [`uapi::MAX_BATCH`], or one is of a queue of another client.
    ///
    /// Source: `VFENCE_IOCTL_SUBMIT_BATCH`.
    pub fn submit(self) -> Result<Vec<Submitted>, BatchError> {
        let arrays: Vec<Arrays> = self.jobs.iter().map(|(job, _)| job.arrays()).collect();
        let mut jobs = Vec::with_capacity(self.jobs.len());
        for (index, ((job, flags), arrays)) in self.jobs.iter().zip(&arrays).enumerate() {
            let prepared = if self.is_of_this_client(job) {
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

    /// Returns whether a job is of a queue of the batch's client: the ids of other clients mean other queues.
    fn is_of_this_client(&self, job: &Job<'_>) -> bool {
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
