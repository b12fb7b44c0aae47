// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Tracepoints of a module.
//!
//! C header: [`include/linux/tracepoint.h`](srctree/include/linux/tracepoint.h)
//!
//! The `kernel` crate's `declare_trace!` finds its tracepoints among the kernel's own bindings. This one declares those that
//! C code of the same module makes with `CREATE_RUST_TRACE_POINTS`.

/// Makes functions that call tracepoints: each costs a branch that is not taken while its tracepoint is off.
///
/// A tracepoint must be made by C code of this module with arguments of just these types, which are numbers.
macro_rules! declare_trace {
    ($(
        $(#[$attr:meta])*
        $vis:vis fn $name:ident = $tracepoint:ident($($arg:ident: $type:ty),* $(,)?);
    )*) => {$(
        $(#[$attr])*
        #[inline(always)]
        $vis fn $name($($arg: $type),*) {
            #[cfg(CONFIG_TRACEPOINTS)]
            ::kernel::macros::paste! {
                #[allow(improper_ctypes)]
                extern "C" {
                    static [<__tracepoint_ $tracepoint>]: $crate::bindings::tracepoint;
                    fn [<rust_do_trace_ $tracepoint>]($($arg: $type),*);
                }

                // SAFETY: It is a tracepoint, whose key may be asked at any time.
                let on = unsafe {
                    ::kernel::jump_label::static_branch_unlikely!(
                        [<__tracepoint_ $tracepoint>],
                        $crate::bindings::tracepoint,
                        key
                    )
                };
                if on {
                    // SAFETY: The tracepoint takes these numbers, and may be called in any context.
                    unsafe { [<rust_do_trace_ $tracepoint>]($($arg),*) };
                }
            }
            #[cfg(not(CONFIG_TRACEPOINTS))]
            let _ = ($($arg),*);
        }
    )*};
}

pub(crate) use declare_trace;
