// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Waiting until something holds, on one or several wait queues, or until a point in time.
//!
//! C header: [`include/linux/wait.h`](srctree/include/linux/wait.h)
//!
//! The `kernel` crate's condition variables belong to a lock, wait one at a time, and for so many jiffies.
//! Here what is waited for may be spread over several objects, and the time is absolute, as system calls that
//! can be restarted need it. Who waits for a number that only grows is not woken before it has come.
//!
//! ```text
//!   waiter: queue up on all ─▶ look ─▶ sleep ─┐       waker: make it true ─▶ wake()
//!                               ▲             │
//!                               └── woken, or timed out
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

/// Where tasks wait: C's `struct wait_queue_head`.
#[pin_data]
pub(crate) struct WaitQueue {
    #[pin]
    head: Opaque<bindings::wait_queue_head>,
}

// SAFETY: A wait queue has a lock of its own and belongs to no thread.
unsafe impl Send for WaitQueue {}
// SAFETY: All functions that take `&self` may be called concurrently.
unsafe impl Sync for WaitQueue {}

/// Creates an initialiser of a [`WaitQueue`] with a lock class of its own.
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
            // SAFETY: `slot` is valid for writes, and stays where it is: it is pinned, and borrowed while somebody waits.
            // Name and key are static.
            head <- Opaque::ffi_init(|slot| unsafe {
                bindings::__init_waitqueue_head(slot, name.as_char_ptr(), key.as_ptr())
            }),
        })
    }

    /// Has those look again who wait for a number up to `reached`. What they look at has been written before.
    ///
    /// May be called in any context. Costs little when nobody waits.
    pub(crate) fn wake(&self, reached: u64) {
        // SAFETY: The head is initialised. This has the barrier between what was written and the look at the list.
        if unsafe { bindings::wq_has_sleeper(self.head.get()) } {
            let key = (&raw const reached).cast_mut().cast();
            // SAFETY: The head is initialised, and in its list are entries of ours: `Entry::wake()` reads the number.
            unsafe { bindings::__wake_up(self.head.get(), TASK_NORMAL, 0, key) };
        }
    }

    /// Has all who wait look again, as [`WaitQueue::wake`] does.
    pub(crate) fn wake_all(&self) {
        self.wake(u64::MAX);
    }
}

/// The place of a task in a wait queue.
struct Entry<'a> {
    entry: Opaque<bindings::wait_queue_entry>,
    queue: &'a WaitQueue,
    /// The task is woken when this number has been reached.
    wanted: u64,
}

impl Entry<'_> {
    /// # Safety
    ///
    /// As the core calls it: `entry` is that of an `Entry` in a queue's list, `key` what [`WaitQueue::wake`] passes.
    unsafe extern "C" fn wake(
        entry: *mut bindings::wait_queue_entry,
        mode: c_uint,
        flags: c_int,
        key: *mut c_void,
    ) -> c_int {
        // SAFETY: By the requirements of this function. It is not written while it is in the list.
        let wanted = unsafe { (*container_of!(Opaque::cast_from(entry), Entry<'_>, entry)).wanted };
        // SAFETY: By the requirements of this function.
        if unsafe { *key.cast::<u64>() } < wanted {
            return 0;
        }
        // SAFETY: The entry's task is the one that waits, which removes the entry before it ends.
        unsafe { bindings::default_wake_function(entry, mode, flags, core::ptr::null_mut()) }
    }
}

/// The present task, in wait queues. Dropping it takes it out.
///
/// An entry stays in its list however often the task is woken, so that no wake-up can be lost between two looks.
///
/// # Invariants
///
/// Each `entry` is initialised, stays where it is, and is in the list of its `queue`, for the present task.
struct Waiter<'a> {
    entries: KVec<Entry<'a>>,
    _not_send: NotThreadSafe,
}

impl<'a> Waiter<'a> {
    /// Queues up on all queues, each with the number that is wanted. Fails with `ENOMEM`.
    fn new(queues: impl Iterator<Item = (&'a WaitQueue, u64)>) -> Result<Self> {
        let mut entries = KVec::new();
        for (queue, wanted) in queues {
            let entry = Opaque::new(bindings::wait_queue_entry {
                private: current!().as_ptr().cast(),
                func: Some(Entry::wake),
                ..pin_init::zeroed()
            });
            let entry = Entry {
                entry,
                queue,
                wanted,
            };
            entries.push(entry, GFP_KERNEL_ACCOUNT)?;
        }
        for Entry { entry, queue, .. } in &entries {
            // SAFETY: Both are initialised. From here on the vector does not change, so the entry stays where it is until
            // `drop()` has removed it.
            unsafe { bindings::add_wait_queue(queue.head.get(), entry.get()) };
        }
        // INVARIANT: Just now they were put there.
        Ok(Self {
            entries,
            _not_send: NotThreadSafe,
        })
    }

    /// Prepares to sleep: whoever wakes the task after this wakes it from the sleep to come.
    fn prepare(&self) {
        // SAFETY: The state is the present task's own.
        unsafe { bindings::set_current_state(bindings::TASK_INTERRUPTIBLE) };
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        // SAFETY: The state is the present task's own.
        unsafe { bindings::set_current_state(bindings::TASK_RUNNING) };
        for Entry { entry, queue, .. } in &self.entries {
            // SAFETY: By the type invariants.
            unsafe { bindings::remove_wait_queue(queue.head.get(), entry.get()) };
        }
    }
}

/// Sleeps, interruptibly, until `condition` holds, or the time `expires` has come, in ns on `CLOCK_MONOTONIC`; `u64::MAX`
/// never comes. Who makes it hold has to call [`WaitQueue::wake`] on one of `queues` afterwards, with the number that goes with
/// it here or a higher one.
///
/// Returns whether the condition holds; if so at the beginning, at once. Fails with `ERESTARTSYS` when
/// a signal is pending, `ENOMEM`. The condition must not sleep: it is looked at by a task that is about to.
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
        // SAFETY: The time is null or valid. Its mode is absolute.
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
    fn what_holds_is_not_waited_for() -> Result {
        let queue = queue()?;
        assert_eq!(wait_until([(&*queue, 0)], u64::MAX, || true), Ok(true));
        assert_eq!(wait_until([], 0, || true), Ok(true));
        Ok(())
    }

    #[test]
    fn time_that_has_passed_only_looks() -> Result {
        let mut looks = 0;
        let holds = wait_until([(&*queue()?, 0)], 1, || {
            looks += 1;
            false
        });
        assert_eq!(holds, Ok(false));
        assert_eq!(looks, 1);
        Ok(())
    }

    #[test]
    fn wait_ends_at_the_time_and_not_before() -> Result {
        let expires = ktime_get() + 2_000_000;
        let (one, two) = (queue()?, queue()?);
        let queues = [(&*one, 0), (&*two, 0)];
        assert_eq!(wait_until(queues, expires, || false), Ok(false));
        assert!(ktime_get() >= expires);
        Ok(())
    }

    #[pin_data]
    struct Told {
        #[pin]
        queue: WaitQueue,
        told: Atomic<bool>,
    }

    impl Told {
        fn new() -> Result<Arc<Self>> {
            let told = pin_init!(Self {
                queue <- new_wait_queue!("kunit"),
                told: Atomic::new(false),
            });
            Arc::pin_init(told, GFP_KERNEL)
        }

        /// Has it told soon, by somebody else.
        fn tell_soon(this: &Arc<Self>, flags: Flags) -> Result {
            let told = this.clone();
            workqueue::system_unbound()
                .try_spawn(flags, move || {
                    told.told.store(true, Relaxed);
                    told.queue.wake_all();
                })
                .map_err(Error::from)
        }
    }

    #[test]
    fn wait_on_several_ends_when_one_is_woken() -> Result {
        for _ in 0..100 {
            let (told, other) = (Told::new()?, queue()?);
            Told::tell_soon(&told, GFP_KERNEL)?;
            let queues = [(&*other, 0), (&told.queue, 0)];
            assert_eq!(
                wait_until(queues, u64::MAX, || told.told.load(Relaxed)),
                Ok(true)
            );
        }
        Ok(())
    }

    #[test]
    fn being_woken_on_the_way_is_no_end() -> Result {
        let (told, other) = (Told::new()?, queue()?);
        let mut looks = 0;
        let queues = [(&told.queue, 0), (&*other, 0)];
        let holds = wait_until(queues, u64::MAX, || {
            looks += 1;
            match looks {
                // It looks, is woken on either queue, and looks again.
                1..20 => {
                    told.queue.wake_all();
                    other.wake_all();
                }
                20 => assert!(Told::tell_soon(&told, GFP_NOWAIT).is_ok()),
                _ => {}
            }
            told.told.load(Relaxed)
        });
        assert_eq!(holds, Ok(true));
        assert!(looks >= 20);
        Ok(())
    }

    #[test]
    fn number_that_is_too_low_wakes_nobody() -> Result {
        let (expires, queue) = (ktime_get() + 2_000_000, queue()?);
        let mut looks = 0;
        let holds = wait_until([(&*queue, 5)], expires, || {
            looks += 1;
            queue.wake(4);
            false
        });
        assert_eq!(holds, Ok(false));
        // Before it queued up, before it slept, and when the time had come; or that had come before.
        assert!(looks <= 3);
        let mut looks = 0;
        let holds = wait_until([(&*queue, 5)], u64::MAX, || {
            looks += 1;
            queue.wake(5);
            looks == 10
        });
        assert_eq!(holds, Ok(true));
        Ok(())
    }
}
