// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Tracepoints of a module.
//!
//! C header: [`include/linux/tracepoint.h`](srctree/include/linux/tracepoint.h)
//!
//! The `kernel` crate's `declare_trace!` finds tracepoints in the kernel's own bindings. This macro
//! declares those that C code of the same module defines with `CREATE_RUST_TRACE_POINTS`.

/// Defines functions that call tracepoints.
///
/// While a tracepoint is disabled, a call costs one branch that is not taken. A closure provides
/// the arguments, and runs only if the tracepoint is enabled.
///
/// # Safety
///
/// C code of this module must define each tracepoint with exactly these arguments, which must be
/// integers. The resulting function is safe to call in any context in which RCU is watching, which
/// excludes only code of the idle loop and of entries into the kernel.
macro_rules! declare_trace {
    ($(
        $(#[$attr:meta])*
        unsafe $vis:vis fn $name:ident = $tracepoint:ident($($arg:ident: $type:ty),* $(,)?);
    )*) => {$(
        $(#[$attr])*
        #[inline(always)]
        $vis fn $name(arguments: impl FnOnce() -> ($($type,)*)) {
            #[cfg(CONFIG_TRACEPOINTS)]
            ::kernel::macros::paste! {
                #[allow(improper_ctypes)]
                extern "C" {
                    static [<__tracepoint_ $tracepoint>]: $crate::bindings::tracepoint;
                    fn [<rust_do_trace_ $tracepoint>]($($arg: $type),*);
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
                    let ($($arg,)*) = arguments();
                    // SAFETY: By the safety requirements of the macro, the function takes these
                    // arguments.
                    unsafe { [<rust_do_trace_ $tracepoint>]($($arg),*) };
                }
            }
            #[cfg(not(CONFIG_TRACEPOINTS))]
            let _ = arguments;
        }
    )*};
}

pub(crate) use declare_trace;
