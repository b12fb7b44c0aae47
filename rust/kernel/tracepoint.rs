// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Tracepoints of a module.
//!
//! C header: [`include/linux/tracepoint.h`](srctree/include/linux/tracepoint.h)
//!
//! The `kernel` crate's `declare_trace!` finds its tracepoints among the kernel's own bindings. This one declares those that
//! C code of the same module makes with `CREATE_RUST_TRACE_POINTS`.

/// Makes functions that call tracepoints: each costs a branch that is not taken while its tracepoint is off. Arguments come from a
/// function, which is called only when it is on.
///
/// # Safety
///
/// Who declares a tracepoint, with `unsafe`, promises that C code of this module makes it with arguments of just these types,
/// which are numbers. The function itself is safe to call, in any context.
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

                // SAFETY: Who has declared it promises that it is a tracepoint, whose key may be asked at any time.
                let on = unsafe {
                    ::kernel::jump_label::static_branch_unlikely!(
                        [<__tracepoint_ $tracepoint>],
                        $crate::bindings::tracepoint,
                        key
                    )
                };
                if on {
                    let ($($arg,)*) = arguments();
                    // SAFETY: Who has declared it promises that it takes these numbers. It may be called in any context.
                    unsafe { [<rust_do_trace_ $tracepoint>]($($arg),*) };
                }
            }
            #[cfg(not(CONFIG_TRACEPOINTS))]
            let _ = arguments;
        }
    )*};
}

pub(crate) use declare_trace;
