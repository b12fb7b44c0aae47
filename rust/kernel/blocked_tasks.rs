// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Tasks that are blocked in a function that only a signal interrupts.
//!
//! C header: [`include/linux/sched/signal.h`](srctree/include/linux/sched/signal.h)
//!
//! Some functions of the kernel sleep until something happens or a signal arrives. When a device
//! disappears, a task must not stay in them, but it must not receive a signal that user space sees
//! either. The kernel wakes such a task with the flag `TIF_NOTIFY_SIGNAL`, as it does for live
//! patches: the function returns `ERESTARTSYS`, and the flag is cleared on the way to user space.

use crate::bindings;
use kernel::{
    current,
    prelude::*,
    rbtree::{
        RBTree,
        RBTreeNode, //
    },
    sync::{
        aref::ARef,
        new_mutex,
        Mutex, //
    },
    task::{
        Pid,
        Task, //
    },
};

/// A list of tasks that can be interrupted.
#[pin_data]
pub(crate) struct BlockedTasks {
    #[pin]
    tasks: Mutex<RBTree<Pid, ARef<Task>>>,
}

impl BlockedTasks {
    /// Returns an empty list.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            tasks <- new_mutex!(RBTree::new()),
        })
    }

    /// Calls `f` with the current task in the list. The task must not be in it yet. Fails with
    /// `ENOMEM`, and as `f` does.
    ///
    /// After [`BlockedTasks::interrupt`], sleeping functions that `f` or the rest of the system
    /// call use return as if a signal had arrived.
    pub(crate) fn run<R>(&self, f: impl FnOnce() -> Result<R>) -> Result<R> {
        let pid = current!().pid();
        let node = RBTreeNode::new(pid, ARef::from(&**current!()), GFP_KERNEL_ACCOUNT)?;
        self.tasks.lock().insert(node);
        let result = f();
        let node = self.tasks.lock().remove_node(&pid);
        drop(node);
        result
    }

    /// Interrupts the tasks in the list.
    pub(crate) fn interrupt(&self) {
        for task in self.tasks.lock().values() {
            // SAFETY: The list has a reference to the task. The task is in a system call, which
            // ends before the flag matters to user space.
            unsafe { bindings::set_notify_signal(task.as_ptr()) };
        }
    }
}

#[kernel::macros::kunit_tests(vfence_blocked_tasks)]
mod tests {
    use super::*;
    use crate::kernel_ext::wait::wait_until;
    use kernel::sync::Arc;

    #[test]
    fn task_is_in_the_list_while_the_function_runs() -> Result {
        let list = Arc::pin_init(BlockedTasks::new(), GFP_KERNEL)?;
        let listed = || list.tasks.lock().values().count();
        assert_eq!(list.run(|| Ok(listed()))?, 1);
        assert_eq!(listed(), 0);
        assert_eq!(list.run(|| Err::<(), _>(EIO)), Err(EIO));
        assert_eq!(listed(), 0);
        list.interrupt();
        Ok(())
    }

    #[test]
    fn interrupt_ends_a_sleep() -> Result {
        let list = Arc::pin_init(BlockedTasks::new(), GFP_KERNEL)?;
        let woken = list.run(|| {
            list.interrupt();
            wait_until([], u64::MAX, || false)
        });
        assert_eq!(woken, Err(ERESTARTSYS));
        Ok(())
    }
}
