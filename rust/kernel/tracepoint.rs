// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Tracepoints of a module.
//!
//! C header: [`include/linux/tracepoint.h`](srctree/include/linux/tracepoint.h)
//!
//! The `kernel` crate's `declare_trace!` finds tracepoints in the kernel's own bindings. This macro
//! declares those that C code of the same module defines with `CREATE_RUST_TRACE_POINTS`.

use kernel::{
    ffi::c_char,
    prelude::*,
    str::CStr, //
};

/// A type of a tracepoint's argument.
pub(crate) trait TraceArgument {
    /// The argument's type in C.
    type Raw;

    /// Returns the argument for C, which uses it only during the call.
    fn as_raw(&self) -> Self::Raw;
}

macro_rules! impl_trace_argument {
    ($($type:ty),*) => {$(
        impl TraceArgument for $type {
            type Raw = $type;

            #[inline(always)]
            fn as_raw(&self) -> $type {
                *self
            }
        }
    )*};
}

impl_trace_argument!(u64, u32, i32);

impl TraceArgument for &CStr {
    type Raw = *const c_char;

    #[inline(always)]
    fn as_raw(&self) -> Self::Raw {
        self.as_char_ptr()
    }
}

/// Defines functions that call tracepoints.
///
/// While a tracepoint is disabled, a call costs one branch that is not taken. Otherwise the closure
/// runs, and records an event each time it calls the function that it is passed.
///
/// # Safety
///
/// C code of this module must define each tracepoint with exactly these arguments: integers, and
/// `const char *` for a `&CStr`. It must not keep a string. The resulting function is safe to call
/// in any context in which RCU is watching, which excludes only code of the idle loop and of
/// entries into the kernel.
macro_rules! declare_trace {
    ($(
        $(#[$attr:meta])*
        unsafe $vis:vis fn $name:ident = $tracepoint:ident($($arg:ident: $type:ty),* $(,)?);
    )*) => {$(
        $(#[$attr])*
        #[inline(always)]
        $vis fn $name(record: impl FnOnce(fn($($type),*))) {
            #[cfg(CONFIG_TRACEPOINTS)]
            ::kernel::macros::paste! {
                #[allow(improper_ctypes)]
                extern "C" {
                    static [<__tracepoint_ $tracepoint>]: $crate::bindings::tracepoint;
                    fn [<rust_do_trace_ $tracepoint>]($(
                        $arg: <$type as $crate::kernel_ext::tracepoint::TraceArgument>::Raw
                    ),*);
                }

                #[inline(always)]
                fn event($($arg: $type),*) {
                    use $crate::kernel_ext::tracepoint::TraceArgument;

                    // SAFETY: By the safety requirements of the macro, the function takes these
                    // arguments, and keeps none.
                    unsafe { [<rust_do_trace_ $tracepoint>]($($arg.as_raw()),*) };
                }

                // SAFETY: By the safety requirements of the macro, this is a tracepoint.
                let on = unsafe {
                    ::kernel::jump_label::static_branch_unlikely!(
                        [<__tracepoint_ $tracepoint>],
                        $crate::bindings::tracepoint,
                        key
                    )
                };
                if on {
                    record(event);
                }
            }
            #[cfg(not(CONFIG_TRACEPOINTS))]
            let _ = record;
        }
    )*};
}

pub(crate) use declare_trace;
