// SPDX-License-Identifier: GPL-2.0 OR MIT

//! A timer that owns what its callback works on.
//!
//! C header: [`include/linux/hrtimer.h`](srctree/include/linux/hrtimer.h)
//!
//! The `kernel` crate's timers are part of their data, allow one timer for each type, and are
//! controlled by a handle that cancels when it is dropped, also from the timer's own callback, where that
//! deadlocks. [`HrTimer`] is the other way round: it contains its data, can be started again from
//! anywhere, and is cancelled when it goes.
//!
//! A timer expires in interrupt context, a hard interrupt but on `PREEMPT_RT` kernels, at a time on
//! `CLOCK_MONOTONIC`, once for each start:
//!
//! ```text
//!            start                      expires
//!   idle ─────────────▶ queued ─────────────────▶ running ──▶ idle
//!     ▲   start: moves  ▲   │                       │ start: queued again
//!     │                 └───┘                       ▼
//!     └──────────────────────────── cancel ── waits for the callback
//! ```

use super::timekeeping::ktime;
use crate::bindings;
use core::ops::Deref;
use kernel::{
    container_of,
    interrupt::LocalInterruptDisabled,
    prelude::*,
    types::Opaque, //
};

/// What a timer does when it expires.
pub(crate) trait Expire: Send + Sync + Sized + 'static {
    /// Called in interrupt context; may start the timer again. `irqs_off` is the proof that interrupts are off, which they are but on
    /// `PREEMPT_RT` kernels.
    ///
    /// It must not be where the last reference to the timer is dropped.
    fn expire(timer: &HrTimer<Self>, irqs_off: Option<&LocalInterruptDisabled>);
}

/// A timer and the data of its callback.
///
/// # Invariants
///
/// `timer` was set up by `hrtimer_setup()` with [`HrTimer::callback`] and
/// `HRTIMER_MODE_ABS`, and is the `timer` field of a pinned `HrTimer<T>`.
#[pin_data(PinnedDrop)]
pub(crate) struct HrTimer<T: Expire> {
    #[pin]
    timer: Opaque<bindings::hrtimer>,
    #[pin]
    data: T,
}

// SAFETY: A timer can be started and cancelled by any thread; the data is `Send`.
unsafe impl<T: Expire> Send for HrTimer<T> {}
// SAFETY: The functions that take `&self` may be called concurrently, `hrtimer` has a lock of its own;
// the data is `Sync`.
unsafe impl<T: Expire> Sync for HrTimer<T> {}

impl<T: Expire> HrTimer<T> {
    /// Creates an idle timer for the data.
    pub(crate) fn new<E>(data: impl PinInit<T, E>) -> impl PinInit<Self, E>
    where
        E: From<core::convert::Infallible>,
    {
        // INVARIANT: The timer is set up in place, and the callback is ours.
        try_pin_init!(Self {
            timer <- Opaque::ffi_init(|slot: *mut bindings::hrtimer| {
                // SAFETY: `slot` is valid for writes, and stays where it is until `drop()` has
                // cancelled the timer, since it is pinned. If the data fails to initialise the timer was
                // not started.
                unsafe {
                    bindings::hrtimer_setup(
                        slot,
                        Some(Self::callback),
                        // CAST: It is a small number that C has as a macro.
                        bindings::CLOCK_MONOTONIC as bindings::clockid_t,
                        bindings::hrtimer_mode_HRTIMER_MODE_ABS,
                    )
                };
            }),
            data <- data,
        }? E)
    }

    /// Has the timer expire at `expires`, in ns on `CLOCK_MONOTONIC`, and at no other time.
    ///
    /// A time that has passed lets it expire at once. May be called from any context, the timer's own
    /// callback included.
    pub(crate) fn start(&self, expires: u64) {
        // SAFETY: By the type invariants the timer is set up, for this mode.
        unsafe {
            bindings::hrtimer_start_range_ns(
                self.timer.get(),
                ktime(expires),
                0,
                bindings::hrtimer_mode_HRTIMER_MODE_ABS,
            )
        };
    }

    /// Returns whether the timer has not expired yet since it was started, nor was cancelled. In the callback: whether it was started
    /// again. That may change at any time, unless the caller sees to it that nobody starts it.
    pub(crate) fn is_queued(&self) -> bool {
        // SAFETY: By the type invariants the timer is set up. The core writes the field at any time, and itself reads it like this.
        unsafe { (&raw const (*self.timer.get()).is_queued).read_volatile() }
    }

    /// Stops the timer; when it returns, the callback does not run and will not.
    ///
    /// Nobody may start the timer at the same time. Must not be called from the callback, nor with a
    /// lock held or interrupts disabled that the callback needs.
    pub(crate) fn cancel(&self) {
        // SAFETY: By the type invariants the timer is set up.
        unsafe { bindings::hrtimer_cancel(self.timer.get()) };
    }

    /// # Safety
    ///
    /// `timer` must be the `timer` field of a live `HrTimer<T>`.
    unsafe extern "C" fn callback(timer: *mut bindings::hrtimer) -> bindings::hrtimer_restart {
        // SAFETY: By the requirements of this function. It stays alive during the call: it is pinned, and
        // `drop()`, which touches nothing but the `Opaque` timer, waits for the callback before the data goes. If
        // it is never dropped it stays, and what it borrows is static.
        let timer = unsafe { &*container_of!(Opaque::cast_from(timer), Self, timer) };
        let mut irqs_off = None;
        if !cfg!(CONFIG_PREEMPT_RT) {
            // SAFETY: By the type invariants the timer's mode is not one of soft interrupts, so this is a hard one, where they are off
            // until it returns.
            irqs_off = Some(unsafe { LocalInterruptDisabled::assume_disabled() });
        }
        T::expire(timer, irqs_off);
        // Also after another start: that has queued the timer again.
        bindings::hrtimer_restart::HRTIMER_NORESTART
    }
}

impl<T: Expire> Deref for HrTimer<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.data
    }
}

#[pinned_drop]
impl<T: Expire> PinnedDrop for HrTimer<T> {
    fn drop(self: Pin<&mut Self>) {
        self.cancel();
    }
}

#[kernel::macros::kunit_tests(vfence_hrtimer)]
mod tests {
    use super::*;
    use crate::kernel_ext::timekeeping::ktime_get;
    use kernel::{
        sync::{
            atomic::{
                Acquire,
                Atomic,
                Relaxed,
                Release, //
            },
            Arc, //
        },
        time::{
            delay::fsleep,
            Delta, //
        },
    };

    /// Counts how often it expires, and starts again until it has been three times.
    struct Count {
        again: bool,
        times: Atomic<i32>,
        /// How often it was queued while it should not have been, or the other way round.
        wrong: Atomic<i32>,
    }

    impl Expire for Count {
        fn expire(timer: &HrTimer<Self>, _: Option<&LocalInterruptDisabled>) {
            let queued = timer.is_queued();
            let again = timer.again && timer.times.load(Relaxed) < 2;
            if again {
                timer.start(0);
            }
            if queued || timer.is_queued() != again {
                timer.wrong.fetch_add(1, Relaxed);
            }
            timer.times.fetch_add(1, Release);
        }
    }

    fn count(again: bool) -> Result<Arc<HrTimer<Count>>> {
        let count = Count {
            again,
            times: Atomic::new(0),
            wrong: Atomic::new(0),
        };
        Arc::pin_init(HrTimer::new::<Error>(Ok(count)), GFP_KERNEL)
    }

    /// Waits until the timer has expired that often; a test that waits in vain hangs until KUnit's timeout.
    fn wait(timer: &HrTimer<Count>, times: i32) {
        while timer.times.load(Acquire) < times {
            fsleep(Delta::from_micros(100));
        }
        assert_eq!(timer.wrong.load(Relaxed), 0);
    }

    #[test]
    fn timer_expires_once_and_not_early() -> Result {
        let timer = count(false)?;
        let expires = ktime_get() + 1_000_000;
        timer.start(expires);
        wait(&timer, 1);
        assert!(ktime_get() >= expires);
        fsleep(Delta::from_millis(2));
        assert_eq!(timer.times.load(Relaxed), 1);
        Ok(())
    }

    #[test]
    fn callback_may_start_its_timer() -> Result {
        let timer = count(true)?;
        timer.start(0);
        wait(&timer, 3);
        timer.cancel();
        assert_eq!(timer.times.load(Relaxed), 3);
        Ok(())
    }

    #[test]
    fn last_start_counts() -> Result {
        let timer = count(false)?;
        timer.start(u64::MAX);
        timer.start(0);
        wait(&timer, 1);
        Ok(())
    }

    #[test]
    fn stopped_timer_does_not_expire() -> Result {
        let timer = count(false)?;
        timer.start(ktime_get() + 100_000_000);
        assert!(timer.is_queued());
        timer.cancel();
        assert!(!timer.is_queued());
        fsleep(Delta::from_millis(150));
        assert_eq!(timer.times.load(Relaxed), 0);
        Ok(())
    }

    /// Is busy for a while, and notes when it begins and ends.
    struct Busy {
        begun: Atomic<bool>,
        ended: Atomic<bool>,
    }

    impl Expire for Busy {
        fn expire(timer: &HrTimer<Self>, _: Option<&LocalInterruptDisabled>) {
            timer.begun.store(true, Relaxed);
            let until = ktime_get() + 2_000_000;
            while ktime_get() < until {}
            timer.ended.store(true, Relaxed);
        }
    }

    #[test]
    fn cancel_waits_for_the_callback() -> Result {
        for _ in 0..20 {
            let busy = Busy {
                begun: Atomic::new(false),
                ended: Atomic::new(false),
            };
            let timer = Arc::pin_init(HrTimer::new::<Error>(Ok(busy)), GFP_KERNEL)?;
            timer.start(0);
            timer.cancel();
            // It may have been stopped before it began, but not in the middle.
            assert_eq!(timer.begun.load(Relaxed), timer.ended.load(Relaxed));
        }
        Ok(())
    }

    #[test]
    fn drop_stops() -> Result {
        let timer = count(false)?;
        timer.start(ktime_get() + 1_000_000_000);
        drop(timer);
        Ok(())
    }
}
