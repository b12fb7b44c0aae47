// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Timers that are started from a shared reference to their owner.
//!
//! C header: [`include/linux/hrtimer.h`](srctree/include/linux/hrtimer.h)
//!
//! The `kernel` crate's [`HrTimer`](kernel::time::hrtimer::HrTimer) is a field of its owner, and
//! this file extends it. On its own, it can only be started for a handle that cancels the timer
//! when it is dropped, and such a handle deadlocks in the timer's callback. An [`HrTimerOwner`]
//! cancels the timer at the beginning of its own drop instead, so that no handle is needed: any
//! shared reference can start the timer, in any context but NMI.
//!
//! ```text
//!            start                      expires
//!   idle ─────────────▶ queued ─────────────────▶ running ──▶ idle
//!     ▲   start: moves  ▲   │                       │ start: queued again
//!     │                 └───┘                       ▼
//!     └──────────────────────────── cancel ── waits for the callback
//! ```
//!
//! The timer expires once for each start, at a time on `CLOCK_MONOTONIC`, in hard interrupt
//! context. On `PREEMPT_RT` kernels it expires in soft interrupt context, which is preemptible.
//!
//! # Examples
//!
//! ```ignore
//! #[pin_data(PinnedDrop)]
//! struct Watchdog {
//!     #[pin]
//!     timer: HrTimer<Self>,
//!     barks: Atomic<u64>,
//! }
//!
//! impl_hr_timer_owner! {
//!     impl HrTimerOwner for Watchdog { self.timer }
//! }
//!
//! impl HrTimerCallback for Watchdog {
//!     type Pointer<'a> = Pin<&'a Self>;
//!
//!     fn run(this: Pin<&Self>, _: HrTimerCallbackContext<'_, Self>) -> HrTimerRestart {
//!         this.barks.fetch_add(1, Relaxed);
//!         this.start_timer(ktime_get() + 1_000_000);
//!         HrTimerRestart::NoRestart
//!     }
//! }
//! ```

use super::timekeeping::ktime;
use crate::bindings;
use kernel::{
    interrupt::LocalInterruptDisabled,
    prelude::*,
    time::{
        hrtimer::{
            AbsoluteMode,
            HasHrTimer,
            HrTimerCallback,
            HrTimerCallbackContext, //
        },
        Monotonic, //
    },
};

/// An object that contains a timer, and cancels it when it is dropped.
///
/// [`impl_hr_timer_owner!`](crate::impl_hr_timer_owner) implements it.
///
/// [`HrTimerCallback::run`] may start the timer again. It must not drop the last reference to the
/// owner, whose drop would wait for the callback.
///
/// # Safety
///
/// Dropping `Self` must cancel the timer, and wait for its callback, before it drops or changes any
/// field. `Self` must be pinned from its initialisation until then.
pub(crate) unsafe trait HrTimerOwner:
    HasHrTimer<Self, TimerMode = AbsoluteMode<Monotonic>>
    + for<'a> HrTimerCallback<Pointer<'a> = Pin<&'a Self>>
    + Send
    + Sync
    + Sized
    + 'static
{
    /// Returns the C timer, which is initialised.
    #[inline]
    fn c_timer(&self) -> *mut bindings::hrtimer {
        // SAFETY: The reference is valid.
        unsafe { Self::c_timer_ptr(self) }.cast_mut()
    }

    /// Starts the timer, or moves its expiry if it is queued.
    ///
    /// The timer expires at `expires`, in ns on `CLOCK_MONOTONIC`; at once if that time has passed.
    /// May be called in any context but NMI, including the timer's callback.
    #[inline]
    fn start_timer(&self, expires: u64) {
        self.start_timer_range(expires, 0);
    }

    /// Like [`HrTimerOwner::start_timer`], but the timer may expire up to `slack` ns later, with
    /// another timer.
    #[inline]
    fn start_timer_range(&self, expires: u64, slack: u64) {
        // SAFETY: The timer is initialised, for this mode. By the safety requirements of this
        // trait, `self` outlives the timer's expiry or cancels it.
        unsafe {
            bindings::hrtimer_start_range_ns(
                self.c_timer(),
                ktime(expires),
                slack,
                bindings::hrtimer_mode_HRTIMER_MODE_ABS,
            )
        };
    }

    /// Returns the time that the timer was last started for, in ns; `None` if it has slack, and so
    /// may expire some time after that.
    ///
    /// In the callback, this time has passed, unless the timer was started again. The answer is
    /// outdated as soon as the function returns unless the caller excludes a concurrent start.
    #[inline]
    fn timer_expires(&self) -> Option<u64> {
        let timer = self.c_timer();
        // SAFETY: The timer is initialised. The core may write the fields concurrently, and a racy
        // read is fine, as in C's `hrtimer_get_softexpires()`.
        let (soft, hard) = unsafe {
            (
                (&raw const (*timer)._softexpires).read_volatile(),
                (&raw const (*timer).node.expires).read_volatile(),
            )
        };
        // CAST: The timer was started for a time that is not negative, or never, and is 0 then.
        (soft == hard).then_some(soft as u64)
    }

    /// Returns whether the timer is started and its callback has not begun.
    ///
    /// In the callback: whether the timer was started again. The answer is outdated as soon as the
    /// function returns unless the caller excludes a concurrent start.
    #[inline]
    fn timer_is_queued(&self) -> bool {
        // SAFETY: The timer is initialised. The core may write the field concurrently; C code reads
        // it with `READ_ONCE()` like this.
        unsafe { (&raw const (*self.c_timer()).is_queued).read_volatile() }
    }

    /// Cancels the timer and waits for its callback to return.
    ///
    /// If another thread starts the timer concurrently, the timer may be queued on return. Must not
    /// be called from the callback, nor with a lock held, or interrupts disabled, that the callback
    /// waits for. It spins while the callback runs; on `PREEMPT_RT` it sleeps.
    fn cancel_timer(&self) {
        // SAFETY: The timer is initialised.
        unsafe { bindings::hrtimer_cancel(self.c_timer()) };
    }

    /// Returns the proof that the callback runs with interrupts disabled; `None` on `PREEMPT_RT`.
    #[inline]
    fn irqs_disabled<'a>(
        _ctx: &'a HrTimerCallbackContext<'_, Self>,
    ) -> Option<&'a LocalInterruptDisabled> {
        if cfg!(CONFIG_PREEMPT_RT) {
            return None;
        }
        // SAFETY: The context exists only during the callback. Without `PREEMPT_RT`, timers of this
        // mode expire in hard interrupt context, with interrupts disabled until the callback
        // returns.
        Some(unsafe { LocalInterruptDisabled::assume_disabled() })
    }
}

/// Implements [`HrTimerOwner`] for a type with a field of the type `HrTimer<Self>`.
///
/// The macro implements `HasHrTimer` and `PinnedDrop` too, so the type must be
/// `#[pin_data(PinnedDrop)]` and cannot have another `PinnedDrop`. Cancelling the timer is
/// therefore the first step of the type's drop: no field is dropped while the callback may use it.
#[macro_export]
macro_rules! impl_hr_timer_owner {
    (impl HrTimerOwner for $owner:ident { self.$field:ident }) => {
        ::kernel::impl_has_hr_timer! {
            impl HasHrTimer<Self> for $owner {
                mode: ::kernel::time::hrtimer::AbsoluteMode<::kernel::time::Monotonic>,
                field: self.$field,
            }
        }

        // The attribute makes the `impl` unsafe.
        #[allow(unsafe_code)]
        #[::kernel::prelude::pinned_drop]
        impl PinnedDrop for $owner {
            fn drop(self: ::core::pin::Pin<&mut Self>) {
                $crate::kernel_ext::hrtimer::HrTimerOwner::cancel_timer(&*self);
            }
        }

        #[allow(unsafe_code)]
        // SAFETY: `PinnedDrop::drop()` above does nothing but cancel the timer, and runs before any
        // field is dropped. `HrTimer` has only a pinned initialiser and is not `Unpin`, so its
        // owner is pinned.
        unsafe impl $crate::kernel_ext::hrtimer::HrTimerOwner for $owner {}
    };
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
            hrtimer::{
                HrTimer,
                HrTimerRestart, //
            },
            Delta, //
        },
    };

    /// Counts its expiries, and starts its timer again until there have been three.
    #[pin_data(PinnedDrop)]
    struct Count {
        #[pin]
        timer: HrTimer<Self>,
        again: bool,
        /// Outlives the owner of the timer.
        times: Arc<Atomic<i32>>,
        /// The number of expiries at which `timer_is_queued()` or `irqs_disabled()` was wrong.
        wrong: Atomic<i32>,
    }

    impl_hr_timer_owner! {
        impl HrTimerOwner for Count { self.timer }
    }

    impl HrTimerCallback for Count {
        type Pointer<'a> = Pin<&'a Self>;

        fn run(this: Pin<&Self>, ctx: HrTimerCallbackContext<'_, Self>) -> HrTimerRestart {
            let (queued, proof) = (this.timer_is_queued(), Self::irqs_disabled(&ctx));
            let again = this.again && this.times.load(Relaxed) < 2;
            if again {
                this.start_timer(0);
            }
            if queued
                || this.timer_is_queued() != again
                || proof.is_some() == cfg!(CONFIG_PREEMPT_RT)
            {
                this.wrong.fetch_add(1, Relaxed);
            }
            this.times.fetch_add(1, Release);
            HrTimerRestart::NoRestart
        }
    }

    fn count(again: bool) -> Result<Arc<Count>> {
        let times = Arc::new(Atomic::new(0), GFP_KERNEL)?;
        Arc::pin_init(
            pin_init!(Count {
                timer <- HrTimer::new(),
                again,
                times,
                wrong: Atomic::new(0),
            }),
            GFP_KERNEL,
        )
    }

    /// Waits until the timer has expired `times` times; KUnit's timeout bounds the wait.
    fn wait(count: &Count, times: i32) {
        while count.times.load(Acquire) < times {
            fsleep(Delta::from_micros(100));
        }
        assert_eq!(count.wrong.load(Relaxed), 0);
    }

    #[test]
    fn timer_expires_once_and_not_early() -> Result {
        let count = count(false)?;
        let expires = ktime_get() + 1_000_000;
        count.start_timer(expires);
        wait(&count, 1);
        assert!(ktime_get() >= expires);
        fsleep(Delta::from_millis(2));
        assert_eq!(count.times.load(Relaxed), 1);
        Ok(())
    }

    #[test]
    fn callback_may_start_its_timer() -> Result {
        let count = count(true)?;
        count.start_timer(0);
        wait(&count, 3);
        count.cancel_timer();
        assert_eq!(count.times.load(Relaxed), 3);
        Ok(())
    }

    #[test]
    fn start_replaces_the_previous_expiry() -> Result {
        let count = count(false)?;
        count.start_timer(u64::MAX);
        count.start_timer(ktime_get() + 100_000_000);
        count.start_timer(0);
        wait(&count, 1);
        assert!(!count.timer_is_queued());
        fsleep(Delta::from_millis(150));
        assert_eq!(count.times.load(Relaxed), 1);
        Ok(())
    }

    #[test]
    fn expiry_is_known_unless_there_is_slack() -> Result {
        let count = count(false)?;
        let expires = ktime_get() + 1_000_000;
        count.start_timer(expires);
        assert_eq!(count.timer_expires(), Some(expires));
        count.start_timer_range(expires, 100_000);
        assert_eq!(count.timer_expires(), None);
        wait(&count, 1);
        assert!(ktime_get() >= expires);
        Ok(())
    }

    #[test]
    fn cancelled_timer_does_not_expire() -> Result {
        let count = count(false)?;
        count.start_timer(ktime_get() + 100_000_000);
        assert!(count.timer_is_queued());
        count.cancel_timer();
        assert!(!count.timer_is_queued());
        fsleep(Delta::from_millis(150));
        assert_eq!(count.times.load(Relaxed), 0);
        Ok(())
    }

    /// Spins in its callback, and records the callback's begin and end.
    #[pin_data(PinnedDrop)]
    struct Busy {
        #[pin]
        timer: HrTimer<Self>,
        begun: Atomic<bool>,
        ended: Atomic<bool>,
    }

    impl_hr_timer_owner! {
        impl HrTimerOwner for Busy { self.timer }
    }

    impl HrTimerCallback for Busy {
        type Pointer<'a> = Pin<&'a Self>;

        fn run(this: Pin<&Self>, _: HrTimerCallbackContext<'_, Self>) -> HrTimerRestart {
            this.begun.store(true, Relaxed);
            let until = ktime_get() + 2_000_000;
            while ktime_get() < until {}
            this.ended.store(true, Relaxed);
            HrTimerRestart::NoRestart
        }
    }

    #[test]
    fn cancel_waits_for_the_callback() -> Result {
        for _ in 0..20 {
            let busy = Arc::pin_init(
                pin_init!(Busy {
                    timer <- HrTimer::new(),
                    begun: Atomic::new(false),
                    ended: Atomic::new(false),
                }),
                GFP_KERNEL,
            )?;
            busy.start_timer(0);
            busy.cancel_timer();
            // The callback may not have begun, but it has ended if it has.
            assert_eq!(busy.begun.load(Relaxed), busy.ended.load(Relaxed));
        }
        Ok(())
    }

    #[test]
    fn drop_cancels_the_timer() -> Result {
        let count = count(false)?;
        let times = count.times.clone();
        count.start_timer(ktime_get() + 100_000_000);
        drop(count);
        fsleep(Delta::from_millis(150));
        assert_eq!(times.load(Relaxed), 0);
        Ok(())
    }
}
