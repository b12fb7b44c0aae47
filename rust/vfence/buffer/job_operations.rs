// SPDX-License-Identifier: GPL-2.0

//! The operations of a job, shared between the job and the worker that performs them.
//!
//! The buffers are unmapped by a work item of its own, on a workqueue other than that of the
//! queues' workers. Unmapping takes locks of reservation objects, whose holders may wait for
//! fences, which the workers signal.

use crate::vfence::buffer::operations::OperationList;
use kernel::{
    impl_has_work, new_work,
    prelude::*,
    sync::{
        new_spinlock,
        Arc,
        SpinLock, //
    },
    workqueue::{
        self,
        WorkItem, //
    },
};

/// The operations of a job. Enqueued as a work item, it unmaps the buffers.
#[pin_data]
pub(crate) struct JobOperations {
    #[pin]
    unmap: workqueue::Work<JobOperations>,
    /// `None` once the buffers are unmapped.
    #[pin]
    list: SpinLock<Option<OperationList>>,
}

impl_has_work! {
    impl HasWork<Self> for JobOperations { self.unmap }
}

impl JobOperations {
    /// Fails with `ENOMEM`.
    pub(crate) fn new(list: OperationList) -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                unmap <- new_work!("vfence_unmap"),
                list <- new_spinlock!(Some(list)),
            }),
            GFP_KERNEL_ACCOUNT,
        )
    }

    /// Performs one step, see [`OperationList::step`]. Returns the result of the job once all
    /// operations are complete, and 0 if the buffers are unmapped already.
    pub(crate) fn step(&self) -> Option<u64> {
        match &mut *self.list.lock() {
            Some(list) => list.step(),
            None => Some(0),
        }
    }
}

impl WorkItem for JobOperations {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        let list = this.list.lock().take();
        // Dropped without the lock: unmapping sleeps on locks of reservation objects.
        drop(list);
    }
}
