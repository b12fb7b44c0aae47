// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Waiting until something holds, on one or several wait queues, or until a point in time.
//!
//! C header: [`include/linux/wait.h`](srctree/include/linux/wait.h)
//!
//! The `kernel` crate's condition variables belong to a lock, wait one at a time, and for so many jiffies.
//! Here what is waited for may be spread over several objects, and the time is absolute, as system calls that
//! can be restarted need it.
//!
//! ```text
//!   waiter: queue up on all ─▶ look ─▶ sleep ─┐       waker: make it true ─▶ wake_all()
//!                 ▲                           │
//!                 └──── woken, or timed out ──┘
//! ```

use super::timekeeping::{
    ktime,
    ktime_get, //
};
use crate::bindings;
use kernel::{
    prelude::*,
    sync::LockClassKey,
    task::{
        TASK_INTERRUPTIBLE,
        TASK_NORMAL, //
    },
    types::Opaque,
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

    /// Has all who wait look again. What they look at has been written before.
    ///
    /// May be called in any context. Costs little when nobody waits.
    pub(crate) fn wake_all(&self) {
        // SAFETY: The head is initialised. This has the barrier between what was written and the look at the list.
        if unsafe { bindings::wq_has_sleeper(self.head.get()) } {
            // SAFETY: The head is initialised.
            unsafe { bindings::__wake_up(self.head.get(), TASK_NORMAL, 0, core::ptr::null_mut()) };
        }
    }
}

/// A task that waits on wait queues. Dropping it ends that.
///
/// # Invariants
///
/// Each `entry` was set up by `init_wait_entry()` where it is, and is in no list but that of its `queue`.
struct Waiter<'a>(KVec<Entry<'a>>);

struct Entry<'a> {
    entry: Opaque<bindings::wait_queue_entry>,
    queue: &'a WaitQueue,
}

impl<'a> Waiter<'a> {
    /// Fails with `ENOMEM`.
    fn new(queues: impl Iterator<Item = &'a WaitQueue>) -> Result<Self> {
        let mut entries = KVec::new();
        for queue in queues {
            let entry = Opaque::uninit();
            entries.push(Entry { entry, queue }, GFP_KERNEL)?;
        }
        for Entry { entry, .. } in &entries {
            // SAFETY: It is valid for writes. From here on the vector does not change, so it stays where it is.
            unsafe { bindings::init_wait_entry(entry.get(), 0) };
        }
        Ok(Self(entries))
    }

    /// Queues up on all queues, and prepares to sleep. Returns whether a signal is pending.
    fn prepare(&self) -> bool {
        let mut interrupted = false;
        for Entry { entry, queue } in &self.0 {
            // SAFETY: By the type invariants; both stay where they are until `drop()` has removed the entry.
            let ret = unsafe {
                bindings::prepare_to_wait_event(queue.head.get(), entry.get(), TASK_INTERRUPTIBLE)
            };
            interrupted |= ret != 0;
        }
        interrupted
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        for Entry { entry, queue } in &self.0 {
            // SAFETY: By the type invariants.
            unsafe { bindings::finish_wait(queue.head.get(), entry.get()) };
        }
    }
}

/// Sleeps, interruptibly, until `condition` holds, or the time `expires` has come, in ns on `CLOCK_MONOTONIC`; `u64::MAX`
/// never comes. Who makes it hold has to call [`WaitQueue::wake_all`] on one of `queues` afterwards.
///
/// Returns whether the condition holds; if so at the beginning, at once. Fails with `ERESTARTSYS` when
/// a signal is pending, `ENOMEM`. The condition must not sleep: it is looked at by a task that is about to.
pub(crate) fn wait_until<'a>(
    queues: impl IntoIterator<Item = &'a WaitQueue>,
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
        let interrupted = waiter.prepare();
        if condition() {
            return Ok(true);
        }
        if expired {
            return Ok(false);
        }
        if interrupted {
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
        assert_eq!(wait_until([&*queue], u64::MAX, || true), Ok(true));
        assert_eq!(wait_until([], 0, || true), Ok(true));
        Ok(())
    }

    #[test]
    fn time_that_has_passed_only_looks() -> Result {
        let mut looks = 0;
        let holds = wait_until([&*queue()?], 1, || {
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
        assert_eq!(wait_until([&*one, &*two], expires, || false), Ok(false));
        assert!(ktime_get() >= expires);
        Ok(())
    }

    #[pin_data]
    struct Told {
        #[pin]
        queue: WaitQueue,
        told: Atomic<bool>,
    }

    #[test]
    fn wait_on_several_ends_when_one_is_woken() -> Result {
        for _ in 0..100 {
            let told = Arc::pin_init(
                pin_init!(Told {
                    queue <- new_wait_queue!("kunit"),
                    told: Atomic::new(false),
                }),
                GFP_KERNEL,
            )?;
            let other = queue()?;
            let teller = told.clone();
            workqueue::system_unbound().try_spawn(GFP_KERNEL, move || {
                teller.told.store(true, Relaxed);
                teller.queue.wake_all();
            })?;
            let queues = [&*other, &told.queue];
            assert_eq!(
                wait_until(queues, u64::MAX, || told.told.load(Relaxed)),
                Ok(true)
            );
        }
        Ok(())
    }
}
