// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The name of the current task, and voluntary preemption, which the `kernel` crate lacks.
//!
//! C header: [`include/linux/sched.h`](srctree/include/linux/sched.h)

use crate::bindings;

/// The size of a task's name, including the NUL.
pub(crate) const TASK_COMM_LEN: usize = bindings::TASK_COMM_LEN as usize;

/// Returns the name of the current task, NUL-terminated and padded with NULs.
pub(crate) fn current_comm() -> [u8; TASK_COMM_LEN] {
    let mut comm = [0; TASK_COMM_LEN];
    // SAFETY: The buffer has the size of a task's name.
    unsafe { bindings::get_current_comm(comm.as_mut_ptr()) };
    comm
}

/// Runs another task if the scheduler wants to.
///
/// A loop of unbounded length calls it on behalf of kernels that preempt no task in the kernel. May
/// sleep.
pub(crate) fn cond_resched() {
    // SAFETY: The caller may sleep.
    unsafe { bindings::cond_resched() };
}

#[kernel::macros::kunit_tests(vfence_task)]
mod tests {
    use super::*;
    use kernel::{
        prelude::*,
        str::CStr, //
    };

    #[test]
    fn current_task_has_a_name() -> Result {
        let comm = current_comm();
        let name = CStr::from_bytes_until_nul(&comm).map_err(|_| EINVAL)?;
        assert!(!name.is_empty());
        Ok(())
    }
}
