// SPDX-License-Identifier: GPL-2.0

//! The `kernel` crate of Linux 7.3, on kernels whose own crate lacks a part of it.
//!
//! The sources are written to the API of the newest kernel crate and know nothing of this file.
//! `compat.mk` probes what the crate lacks and sets `cfg(lacks = "…")` for each part. If it lacks
//! any, the modules get this crate under the name `kernel`: it re-exports the real one and adds the
//! missing parts. Otherwise the modules get the real crate, and this file is not compiled.
//!
//! Nothing but metadata is built from this file: its functions are generic or `#[inline]`, and each
//! module contains those that it calls.

#![allow(missing_docs)]

pub use kernel::*;

/// C's `enum`s as types with associated constants. Where bindgen makes them integers, the constants
/// belong to traits, which the prelude imports.
#[cfg(lacks = "newtype_enums")]
mod enums {
    use kernel::bindings;

    pub trait DmaDataDirection {
        const DMA_TO_DEVICE: bindings::dma_data_direction =
            bindings::dma_data_direction_DMA_TO_DEVICE;
        const DMA_FROM_DEVICE: bindings::dma_data_direction =
            bindings::dma_data_direction_DMA_FROM_DEVICE;
        const DMA_NONE: bindings::dma_data_direction = bindings::dma_data_direction_DMA_NONE;
    }

    impl DmaDataDirection for bindings::dma_data_direction {}
}

pub mod bindings {
    pub use kernel::bindings::*;

    #[cfg(lacks = "dma_fence_enable_signaling")]
    pub use kernel::bindings::dma_fence_enable_sw_signaling as dma_fence_enable_signaling;
}

#[cfg(lacks = "errnos")]
pub mod error {
    pub use kernel::error::*;

    pub mod code {
        use core::{
            mem,
            num::NonZeroI32, //
        };
        pub use kernel::error::code::*;
        use kernel::{
            bindings,
            error::Error, //
        };

        macro_rules! errnos {
            ($($name:ident),* $(,)?) => {$(
                // SAFETY: An `Error` has one field, a `NonZeroI32` with a negated errno. The sizes
                // are equal, so the field is all of it.
                pub const $name: Error = unsafe {
                    mem::transmute(NonZeroI32::new(-(bindings::$name as i32)).unwrap())
                };
            )*};
        }

        errnos! {
            EALREADY,
            ECANCELED,
            EDEADLK,
            ENODATA,
            EOPNOTSUPP,
            ETIME,
        }
    }
}

#[cfg(lacks = "spin_lock_irq")]
pub mod interrupt {
    use kernel::types::NotThreadSafe;

    /// Interrupts are disabled on this CPU while a value exists.
    pub struct LocalInterruptDisabled(NotThreadSafe);

    #[inline]
    pub fn local_interrupt_disable() -> LocalInterruptDisabled {
        // SAFETY: The function may be called anywhere but in an NMI, where no module code runs.
        unsafe { super::shims::local_interrupt_disable() };
        LocalInterruptDisabled(NotThreadSafe)
    }

    impl LocalInterruptDisabled {
        /// # Safety
        ///
        /// Interrupts must be disabled on this CPU during `'a`.
        #[inline]
        pub unsafe fn assume_disabled<'a>() -> &'a Self {
            const DISABLED: &LocalInterruptDisabled = &LocalInterruptDisabled(NotThreadSafe);

            // SAFETY: The function may be called anywhere.
            unsafe { super::shims::lockdep_assert_irqs_disabled() };
            DISABLED
        }
    }

    impl Drop for LocalInterruptDisabled {
        #[inline]
        fn drop(&mut self) {
            // SAFETY: `local_interrupt_disable()` made the value and disabled interrupts.
            unsafe { super::shims::local_interrupt_enable() };
        }
    }
}

/// The functions of `rust/helpers/compat.c`.
#[cfg(lacks = "spin_lock_irq")]
mod shims {
    use kernel::{
        bindings,
        ffi::c_int, //
    };

    extern "C" {
        #[link_name = "rust_helper_local_interrupt_disable"]
        pub(crate) fn local_interrupt_disable();
        #[link_name = "rust_helper_local_interrupt_enable"]
        pub(crate) fn local_interrupt_enable();
        #[link_name = "rust_helper_lockdep_assert_irqs_disabled"]
        pub(crate) fn lockdep_assert_irqs_disabled();
        #[link_name = "rust_helper_spin_lock_irq_disable"]
        pub(crate) fn spin_lock_irq_disable(lock: *mut bindings::spinlock_t);
        #[link_name = "rust_helper_spin_unlock_irq_enable"]
        pub(crate) fn spin_unlock_irq_enable(lock: *mut bindings::spinlock_t);
        #[link_name = "rust_helper_spin_trylock_irq_disable"]
        pub(crate) fn spin_trylock_irq_disable(lock: *mut bindings::spinlock_t) -> c_int;
    }
}

#[cfg(lacks = "this_module")]
pub mod module {
    pub use kernel::{
        InPlaceModule,
        Module,
        ModuleMetadata,
        ThisModule, //
    };

    /// Returns `THIS_MODULE`. The symbol is that of the module which contains the call, so `M` must
    /// be of that module.
    #[inline]
    pub const fn this_module<M: ModuleMetadata>() -> &'static ThisModule {
        const THIS_MODULE: ThisModule = {
            let module = (&raw const kernel::bindings::__this_module).cast_mut();
            // SAFETY: The pointer is `THIS_MODULE`.
            unsafe { ThisModule::from_ptr(module) }
        };
        &THIS_MODULE
    }
}

#[cfg(lacks = "param_value_ref")]
pub mod module_param {
    pub use kernel::module_param::*;

    pub trait ValueRef<T> {
        /// Returns the parameter's value.
        fn value_ref(&self) -> &T;
    }

    impl<T> ValueRef<T> for ModuleParamAccess<T> {
        #[inline]
        fn value_ref(&self) -> &T {
            self.value()
        }
    }
}

pub mod prelude {
    #[cfg(lacks = "newtype_enums")]
    pub use crate::enums::DmaDataDirection as _;
    #[cfg(lacks = "errnos")]
    pub use crate::error::code::*;
    #[cfg(lacks = "param_value_ref")]
    pub use crate::module_param::ValueRef as _;
    #[cfg(lacks = "spin_lock_irq")]
    pub use crate::sync::lock::spinlock::LockWith as _;
    pub use kernel::prelude::*;
}

pub mod sync {
    pub use kernel::sync::*;

    #[cfg(lacks = "spin_lock_irq")]
    pub use lock::spinlock::{
        new_spinlock_irq,
        SpinLockIrq,
        SpinLockIrqGuard, //
    };

    #[cfg(lacks = "barrier_types")]
    pub mod barrier {
        /// Orders reads before the barrier and reads after it.
        pub struct Read;

        #[inline]
        pub fn smp_mb(_: Read) {
            kernel::sync::barrier::smp_rmb();
        }
    }

    #[cfg(lacks = "spin_lock_irq")]
    pub mod lock {
        pub use kernel::sync::lock::*;

        pub mod spinlock {
            use crate::{
                interrupt::LocalInterruptDisabled,
                shims, //
            };
            use core::ptr;
            pub use kernel::sync::lock::spinlock::*;
            use kernel::{
                bindings,
                ffi::c_char,
                sync::lock::{
                    Backend,
                    Guard,
                    Lock, //
                },
            };

            #[macro_export]
            macro_rules! new_spinlock_irq {
                ($inner:expr $(, $name:literal)? $(,)?) => {
                    $crate::sync::SpinLockIrq::new(
                        $inner, $crate::optional_name!($($name)?), $crate::static_lock_class!())
                };
            }
            pub use new_spinlock_irq;

            /// A spinlock whose holder has interrupts disabled. Guards may be dropped in any order:
            /// interrupts are enabled when the last is dropped.
            pub type SpinLockIrq<T> = Lock<T, SpinLockIrqBackend>;

            pub type SpinLockIrqGuard<'a, T> = Guard<'a, T, SpinLockIrqBackend>;

            pub struct SpinLockIrqBackend;

            // SAFETY: A `spinlock_t` ensures mutual exclusion. `relock` is the default.
            unsafe impl Backend for SpinLockIrqBackend {
                type State = bindings::spinlock_t;
                type GuardState = ();

                #[inline]
                unsafe fn init(
                    state: *mut Self::State,
                    name: *const c_char,
                    key: *mut bindings::lock_class_key,
                ) {
                    // SAFETY: By the safety requirements of this function.
                    unsafe { bindings::__spin_lock_init(state, name, key) }
                }

                #[inline]
                unsafe fn lock(state: *mut Self::State) {
                    // SAFETY: By the safety requirements of this function.
                    unsafe { shims::spin_lock_irq_disable(state) }
                }

                #[inline]
                unsafe fn unlock(state: *mut Self::State, (): &()) {
                    // SAFETY: By the safety requirements of this function.
                    unsafe { shims::spin_unlock_irq_enable(state) }
                }

                #[inline]
                unsafe fn try_lock(state: *mut Self::State) -> Option<()> {
                    // SAFETY: By the safety requirements of this function.
                    (unsafe { shims::spin_trylock_irq_disable(state) } != 0).then_some(())
                }

                #[inline]
                unsafe fn assert_is_held(state: *mut Self::State) {
                    // SAFETY: By the safety requirements of this function.
                    unsafe { bindings::spin_assert_is_held(state) }
                }
            }

            pub trait LockWith<T> {
                /// Takes the lock where interrupts are disabled already.
                fn lock_with<'a>(
                    &'a self,
                    context: &'a LocalInterruptDisabled,
                ) -> SpinLockGuard<'a, T>;
            }

            impl<T> LockWith<T> for SpinLockIrq<T> {
                #[inline]
                fn lock_with<'a>(
                    &'a self,
                    _context: &'a LocalInterruptDisabled,
                ) -> SpinLockGuard<'a, T> {
                    let lock = ptr::from_ref(self).cast::<SpinLock<T>>();
                    // SAFETY: The state of both locks is a `spinlock_t`, so they have the same
                    // layout. Interrupts are disabled for as long as the guard exists, so it does
                    // not matter that neither locking nor unlocking changes that.
                    unsafe { &*lock }.lock()
                }
            }
        }
    }

    #[cfg(lacks = "poll_cond_var_box")]
    pub mod poll {
        use core::{
            mem::ManuallyDrop,
            ops::Deref, //
        };
        pub use kernel::sync::poll::*;
        use kernel::{
            alloc::AllocError,
            bindings,
            prelude::*,
            sync::LockClassKey,
            types::Opaque, //
        };

        /// A [`PollCondVar`] that can be dropped where no task may sleep: its memory is freed after
        /// a grace period.
        pub struct PollCondVarBox(ManuallyDrop<Pin<KBox<Inner>>>);

        #[pin_data]
        struct Inner {
            #[pin]
            condvar: PollCondVar,
            rcu: Opaque<bindings::callback_head>,
        }

        // SAFETY: A `PollCondVar` is `Send`, and only `drop()` accesses `rcu`.
        unsafe impl Send for Inner {}
        // SAFETY: A `PollCondVar` is `Sync`, and only `drop()` accesses `rcu`.
        unsafe impl Sync for Inner {}

        impl PollCondVarBox {
            #[inline]
            pub fn new(
                name: &'static CStr,
                key: Pin<&'static LockClassKey>,
            ) -> Result<Self, AllocError> {
                let inner = KBox::pin_init(
                    pin_init!(Inner {
                        condvar <- PollCondVar::new(name, key),
                        rcu: Opaque::uninit(),
                    }),
                    GFP_KERNEL,
                );
                Ok(Self(ManuallyDrop::new(inner.map_err(|_| AllocError)?)))
            }
        }

        impl Deref for PollCondVarBox {
            type Target = PollCondVar;

            #[inline]
            fn deref(&self) -> &PollCondVar {
                &self.0.condvar
            }
        }

        impl Drop for PollCondVarBox {
            #[inline]
            fn drop(&mut self) {
                const {
                    assert!(size_of::<PollCondVar>() == size_of::<bindings::wait_queue_head>());
                }
                // SAFETY: The field is not used after this. The value does not move until it is
                // freed.
                let inner = KBox::into_raw(unsafe {
                    Pin::into_inner_unchecked(ManuallyDrop::take(&mut self.0))
                });
                // SAFETY: The pointer is valid.
                let (condvar, rcu) = unsafe { (&raw mut (*inner).condvar, (*inner).rcu.get()) };
                // SAFETY: A `PollCondVar` contains a `wait_queue_head` and, as the sizes are equal,
                // nothing else. This is what its `drop()` does, but for the grace period.
                unsafe { bindings::__wake_up_pollfree(condvar.cast()) };
                // SAFETY: `kmalloc()` allocated the memory, which nothing uses but readers in
                // sections of RCU.
                unsafe { bindings::kvfree_call_rcu(rcu, inner.cast()) };
            }
        }
    }

    #[cfg(lacks = "rcu_functions")]
    pub mod rcu {
        use kernel::bindings;
        pub use kernel::sync::rcu::*;

        /// Sleeps for a grace period.
        #[inline]
        pub fn synchronize_rcu() {
            // SAFETY: The function has no requirements but that the caller may sleep.
            unsafe { bindings::synchronize_rcu() };
        }

        /// Sleeps until all pending callbacks of `call_rcu()` have returned.
        #[inline]
        pub fn rcu_barrier() {
            // SAFETY: The function has no requirements but that the caller may sleep.
            unsafe { bindings::rcu_barrier() };
        }
    }
}
