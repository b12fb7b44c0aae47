// SPDX-License-Identifier: GPL-2.0

//! The work of a job: its operations, which its queue's worker does, and what has to be given back afterwards.
//!
//! Buffers are given back by a work of its own, on another workqueue: that takes locks under which others wait for fences,
//! which the queue's worker signals.

use crate::vfence::buffer::ops::OperationList;
use kernel::{
    impl_has_work, new_work,
    prelude::*,
    sync::{
        new_mutex,
        Arc,
        Mutex, //
    },
    workqueue::{
        self,
        WorkItem, //
    },
};

/// The work of a job.
#[pin_data]
pub(crate) struct JobOperations {
    #[pin]
    give_back: workqueue::Work<JobOperations>,
    /// Until they are given back.
    #[pin]
    operations: Mutex<Option<OperationList>>,
}

impl_has_work! {
    impl HasWork<Self> for JobOperations { self.give_back }
}

impl JobOperations {
    /// Fails with `ENOMEM`.
    pub(crate) fn new(operations: OperationList) -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                give_back <- new_work!("vfence_give_back"),
                operations <- new_mutex!(Some(operations)),
            }),
            GFP_KERNEL_ACCOUNT,
        )
    }

    /// Does some of it. Returns the result when that was all.
    pub(crate) fn step(&self) -> Option<u64> {
        match &mut *self.operations.lock() {
            Some(operations) => operations.step(),
            None => Some(0),
        }
    }
}

impl WorkItem for JobOperations {
    type Pointer = Arc<Self>;

    fn run(work: Arc<Self>) {
        let operations = work.operations.lock().take();
        drop(operations);
    }
}
