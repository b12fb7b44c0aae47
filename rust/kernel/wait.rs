// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Waiting for a condition, on one or several wait queues, or until an absolute time.
//!
//! C header: [`include/linux/wait.h`](srctree/include/linux/wait.h)
//!
//! A `CondVar` of the `kernel` crate belongs to a lock, a task waits on one of them, and its
//! timeout is in jiffies. Here the condition may depend on several objects, and the timeout is
//! absolute, as restartable system calls need it. A task that waits for an increasing number to
//! reach a value is not woken before.
//!
//! ```text
//!   waiter: queue on all ─▶ check ─▶ sleep ─┐       waker: make it true ─▶ wake()
//!                             ▲             │
//!                             └─── woken ───┘
//! ```

use super::timekeeping::{
    ktime,
    ktime_get, //
};
use crate::bindings;
use kernel::{
    container_of, current,
    prelude::*,
    sync::LockClassKey,
    task::TASK_NORMAL,
    types::{
        NotThreadSafe,
        Opaque, //
    },
};

/// A wait queue: C's `struct wait_queue_head`.
#[pin_data]
pub(crate) struct WaitQueue {
    #[pin]
    head: Opaque<bindings::wait_queue_head>,
}

// SAFETY: Any thread may use and free a wait queue.
unsafe impl Send for WaitQueue {}
// SAFETY: All functions that take `&self` may be called concurrently.
unsafe impl Sync for WaitQueue {}

/// Creates an initialiser of a [`WaitQueue`] with its own lock class.
#[macro_export]
macro_rules! new_wait_queue {
    ($name:literal) => {
        $crate::kernel_ext::wait::WaitQueue::new(
            ::kernel::c_str!($name),
            ::kernel::static_lock_class!(),
        )
    };
}

impl WaitQueue {
    /// Creates a wait queue; see [`new_wait_queue!`].
    pub(crate) fn new(name: &'static CStr, key: Pin<&'static LockClassKey>) -> impl PinInit<Self> {
        pin_init!(Self {
            // SAFETY: `slot` is valid for writes, and pinned. Waiters borrow the queue. The name
            // and the key are static.
            head <- Opaque::ffi_init(|slot| unsafe {
                bindings::__init_waitqueue_head(slot, name.as_char_ptr(), key.as_ptr())
            }),
        })
    }

    /// Wakes the tasks that wait for a number up to `reached`. The caller makes the waiters'
    /// condition true first.
    ///
    /// May be called wherever a spinlock may be taken, so not in a hard interrupt on `PREEMPT_RT`.
    /// Cheap without waiters.
    pub(crate) fn wake(&self, reached: u64) {
        // SAFETY: The head is initialised. The function has the barrier between the caller's writes
        // and the check for waiters.
        if unsafe { bindings::wq_has_sleeper(self.head.get()) } {
            let key = (&raw const reached).cast_mut().cast();
            // SAFETY: The head is initialised, and all entries of its list are `WaitEntry`s, whose
            // `wake()` reads the number.
            unsafe { bindings::__wake_up(self.head.get(), TASK_NORMAL, 0, key) };
        }
    }

    /// Wakes all waiters, as [`WaitQueue::wake`] does.
    pub(crate) fn wake_all(&self) {
        self.wake(u64::MAX);
    }
}

/// The entry of a task in a wait queue.
struct WaitEntry<'a> {
    entry: Opaque<bindings::wait_queue_entry>,
    queue: &'a WaitQueue,
    /// The number that the task waits for.
    wanted: u64,
}

impl WaitEntry<'_> {
    /// # Safety
    ///
    /// `entry` must be the `entry` field of a `WaitEntry` in the list of a queue, whose lock the
    /// caller must hold. `key` must point to a `u64` that does not change during the call, as
    /// [`WaitQueue::wake`] passes it.
    unsafe extern "C" fn wake(
        entry: *mut bindings::wait_queue_entry,
        mode: c_uint,
        flags: c_int,
        key: *mut c_void,
    ) -> c_int {
        // SAFETY: By the safety requirements of this function. The field is constant while the
        // entry is in the list.
        let wanted =
            unsafe { (*container_of!(Opaque::cast_from(entry), WaitEntry<'_>, entry)).wanted };
        // SAFETY: By the safety requirements of this function.
        if unsafe { *key.cast::<u64>() } < wanted {
            return 0;
        }
        // SAFETY: The entry's task is valid: it removes the entry before it stops waiting.
        unsafe { bindings::default_wake_function(entry, mode, flags, core::ptr::null_mut()) }
    }
}

/// The current task as a waiter on several queues. Dropping it removes the task from the queues.
///
/// The entries stay in their lists when the task is woken, so that no wake-up is lost between two
/// checks of the condition.
///
/// # Invariants
///
/// Each `entry` is initialised for the current task, does not move, and is in the list of its
/// `queue`.
struct Waiter<'a> {
    entries: KVec<WaitEntry<'a>>,
    _not_send: NotThreadSafe,
}

impl<'a> Waiter<'a> {
    /// Adds the current task to the queues, with the number that it waits for on each. Fails with
    /// `ENOMEM`.
    fn new(queues: impl Iterator<Item = (&'a WaitQueue, u64)>) -> Result<Self> {
        let mut entries = KVec::new();
        for (queue, wanted) in queues {
            let entry = Opaque::new(bindings::wait_queue_entry {
                private: current!().as_ptr().cast(),
                func: Some(WaitEntry::wake),
                ..pin_init::zeroed()
            });
            let entry = WaitEntry {
                entry,
                queue,
                wanted,
            };
            entries.push(entry, GFP_KERNEL_ACCOUNT)?;
        }
        for WaitEntry { entry, queue, .. } in &entries {
            // SAFETY: Both are initialised. The vector does not change after this, so the entry
            // does not move until `drop()` has removed it.
            unsafe { bindings::add_wait_queue(queue.head.get(), entry.get()) };
        }
        // INVARIANT: All entries are in the lists of their queues.
        Ok(Self {
            entries,
            _not_send: NotThreadSafe,
        })
    }

    /// Sets the task's state, so that a wake-up after this ends the next sleep.
    fn prepare(&self) {
        // SAFETY: A task may set its own state.
        unsafe { bindings::set_current_state(bindings::TASK_INTERRUPTIBLE) };
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        // SAFETY: A task may set its own state.
        unsafe { bindings::set_current_state(bindings::TASK_RUNNING) };
        for WaitEntry { entry, queue, .. } in &self.entries {
            // SAFETY: By the type invariants the entry is in the list of its queue.
            unsafe { bindings::remove_wait_queue(queue.head.get(), entry.get()) };
        }
    }
}

/// Sleeps interruptibly until `condition` holds or until the time `expires`, in ns on
/// `CLOCK_MONOTONIC`; `u64::MAX` means no timeout. After making the condition true, the waker must
/// call [`WaitQueue::wake`] on one of `queues`, with at least the number that is given for that
/// queue here.
///
/// Returns whether the condition holds, without sleeping if it holds already. Fails with
/// `ERESTARTSYS` if a signal is pending, and with `ENOMEM`. The condition must not sleep: it is
/// checked with the task's state set for sleeping.
pub(crate) fn wait_until<'a>(
    queues: impl IntoIterator<Item = (&'a WaitQueue, u64)>,
    expires: u64,
    mut condition: impl FnMut() -> bool,
) -> Result<bool> {
    if condition() {
        return Ok(true);
    }
    if expires <= ktime_get() {
        return Ok(false);
    }
    let waiter = Waiter::new(queues.into_iter())?;
    let mut time = ktime(expires);
    let time = match expires {
        u64::MAX => core::ptr::null_mut(),
        _ => &raw mut time,
    };
    let mut expired = false;
    loop {
        waiter.prepare();
        if condition() {
            return Ok(true);
        }
        if expired {
            return Ok(false);
        }
        if current!().signal_pending() {
            return Err(ERESTARTSYS);
        }
        // SAFETY: The time is null or valid, and absolute.
        let ret =
            unsafe { bindings::schedule_hrtimeout(time, bindings::hrtimer_mode_HRTIMER_MODE_ABS) };
        expired = ret == 0;
    }
}

#[kernel::macros::kunit_tests(vfence_wait)]
mod tests {
    use super::*;
    use kernel::{
        alloc::Flags,
        sync::{
            atomic::{
                Atomic,
                Relaxed, //
            },
            Arc, //
        },
        workqueue, //
    };

    fn queue() -> Result<Pin<KBox<WaitQueue>>> {
        KBox::pin_init(new_wait_queue!("kunit"), GFP_KERNEL)
    }

    #[test]
    fn true_condition_returns_immediately() -> Result {
        let queue = queue()?;
        assert_eq!(wait_until([(&*queue, 0)], u64::MAX, || true), Ok(true));
        assert_eq!(wait_until([], 0, || true), Ok(true));
        Ok(())
    }

    #[test]
    fn expired_timeout_checks_once() -> Result {
        let mut checks = 0;
        let holds = wait_until([(&*queue()?, 0)], 1, || {
            checks += 1;
            false
        });
        assert_eq!(holds, Ok(false));
        assert_eq!(checks, 1);
        Ok(())
    }

    #[test]
    fn wait_lasts_until_the_timeout() -> Result {
        let expires = ktime_get() + 2_000_000;
        let (one, two) = (queue()?, queue()?);
        let queues = [(&*one, 0), (&*two, 0)];
        assert_eq!(wait_until(queues, expires, || false), Ok(false));
        assert!(ktime_get() >= expires);
        Ok(())
    }

    #[pin_data]
    struct Flag {
        #[pin]
        queue: WaitQueue,
        set: Atomic<bool>,
    }

    impl Flag {
        fn new() -> Result<Arc<Self>> {
            let flag = pin_init!(Self {
                queue <- new_wait_queue!("kunit"),
                set: Atomic::new(false),
            });
            Arc::pin_init(flag, GFP_KERNEL)
        }

        /// Sets the flag and wakes the waiters from a workqueue.
        fn set_soon(this: &Arc<Self>, flags: Flags) -> Result {
            let flag = this.clone();
            workqueue::system_unbound()
                .try_spawn(flags, move || {
                    flag.set.store(true, Relaxed);
                    flag.queue.wake_all();
                })
                .map_err(Error::from)
        }
    }

    #[test]
    fn wake_on_one_of_two_queues_ends_the_wait() -> Result {
        for _ in 0..100 {
            let (flag, other) = (Flag::new()?, queue()?);
            Flag::set_soon(&flag, GFP_KERNEL)?;
            let queues = [(&*other, 0), (&flag.queue, 0)];
            assert_eq!(
                wait_until(queues, u64::MAX, || flag.set.load(Relaxed)),
                Ok(true)
            );
        }
        Ok(())
    }

    #[test]
    fn wake_with_a_false_condition_continues_the_wait() -> Result {
        let (flag, other) = (Flag::new()?, queue()?);
        let mut checks = 0;
        let queues = [(&flag.queue, 0), (&*other, 0)];
        let holds = wait_until(queues, u64::MAX, || {
            checks += 1;
            match checks {
                // Wake the task on both queues between two checks.
                1..20 => {
                    flag.queue.wake_all();
                    other.wake_all();
                }
                20 => assert!(Flag::set_soon(&flag, GFP_NOWAIT).is_ok()),
                _ => {}
            }
            flag.set.load(Relaxed)
        });
        assert_eq!(holds, Ok(true));
        assert!(checks >= 20);
        Ok(())
    }

    #[test]
    fn lower_number_does_not_wake() -> Result {
        let (expires, queue) = (ktime_get() + 2_000_000, queue()?);
        let mut checks = 0;
        let holds = wait_until([(&*queue, 5)], expires, || {
            checks += 1;
            queue.wake(4);
            false
        });
        assert_eq!(holds, Ok(false));
        // At most three checks: before queueing, before sleeping, and after the timeout.
        assert!(checks <= 3);
        let mut checks = 0;
        let holds = wait_until([(&*queue, 5)], u64::MAX, || {
            checks += 1;
            queue.wake(5);
            checks == 10
        });
        assert_eq!(holds, Ok(true));
        Ok(())
    }
}
