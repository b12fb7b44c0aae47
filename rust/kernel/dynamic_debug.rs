// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Debug messages that root turns on while the module is loaded.
//!
//! C header: [`include/linux/dynamic_debug.h`](srctree/include/linux/dynamic_debug.h)
//!
//! The `kernel` crate's `pr_debug!` is not dynamic. Here each call has a descriptor in the section
//! `__dyndbg` of the module, in which the core finds it:
//!
//! ```text
//!   dynamic_pr_debug!("…") ──▶ Descriptor ◀── the core: insmod dyndbg=+p, dynamic_debug/control
//!           └──── nop, patched to a jump when the message is on ────▶ printk()
//! ```
//!
//! Without `CONFIG_DYNAMIC_DEBUG`, messages are not compiled.

#[cfg(CONFIG_DYNAMIC_DEBUG)]
use crate::bindings;
#[cfg(CONFIG_DYNAMIC_DEBUG)]
use core::cell::UnsafeCell;
#[cfg(CONFIG_DYNAMIC_DEBUG)]
use kernel::{
    fmt,
    prelude::*,
    str::{
        as_char_ptr_in_const_context,
        CStr, //
    },
};

/// The descriptor of a message: C's `struct _ddebug`, which is aligned to 8 bytes.
///
/// # Invariants
///
/// The pointers are strings that live as long as the module. Only the core changes the descriptor.
#[cfg(CONFIG_DYNAMIC_DEBUG)]
#[repr(C, align(8))]
pub(crate) struct Descriptor(UnsafeCell<bindings::_ddebug>);

#[cfg(CONFIG_DYNAMIC_DEBUG)]
// SAFETY: Other code than the core's only reads the descriptor, through raw pointers.
unsafe impl Sync for Descriptor {}

#[cfg(CONFIG_DYNAMIC_DEBUG)]
impl Descriptor {
    /// The number of bits of `lineno`.
    const LINE_BITS: u32 = 18;

    /// Returns the descriptor of a message that is off. `path` is the path of the Rust module,
    /// which the core shows in place of the name of a function.
    pub(crate) const fn new(
        module: &'static CStr,
        path: &'static CStr,
        file: &'static CStr,
        line: u32,
        format: &'static CStr,
    ) -> Self {
        // Bitfields of 18, 6 and 8 bits: the line, the class, the flags. bindgen has no constant
        // function that sets them.
        const { assert!(Self::LINE_BITS + bindings::CLS_BITS + u8::BITS == u32::BITS) };
        assert!(line < 1 << Self::LINE_BITS);
        let bits = if cfg!(target_endian = "big") {
            (line << (u32::BITS - Self::LINE_BITS)) | (bindings::_DPRINTK_CLASS_DFLT << u8::BITS)
        } else {
            line | (bindings::_DPRINTK_CLASS_DFLT << Self::LINE_BITS)
        };
        // INVARIANT: The strings are static.
        Self(UnsafeCell::new(bindings::_ddebug {
            modname: as_char_ptr_in_const_context(module),
            function: as_char_ptr_in_const_context(path),
            filename: as_char_ptr_in_const_context(file),
            format: as_char_ptr_in_const_context(format),
            _bitfield_1: bindings::__BindgenBitfieldUnit::new(bits.to_ne_bytes()),
            // The key is that of `STATIC_KEY_FALSE_INIT`: all zero.
            ..pin_init::zeroed()
        }))
    }

    /// Returns the flags that root has set: bits `_DPRINTK_FLAGS_*`.
    fn flags(&self) -> u32 {
        // SAFETY: The descriptor is valid. The core may change the flags at the same time; as in C,
        // either value is fine.
        unsafe { bindings::_ddebug::flags_raw(self.0.get()) }
    }

    /// Prints `message` as a line of the level `KERN_DEBUG`, with the prefix and the stack that
    /// the flags demand.
    pub(crate) fn print(&self, message: fmt::Arguments<'_>) {
        // SAFETY: The descriptor and the format are valid. `%s` is the module's name, a string by
        // the type invariants, and `%pA` takes a pointer to Rust's arguments.
        unsafe {
            bindings::__dynamic_pr_debug(
                self.0.get(),
                c"%s: %pA\n".as_char_ptr(),
                (*self.0.get()).modname,
                (&raw const message).cast::<c_void>(),
            );
        }
        if self.flags() & bindings::_DPRINTK_FLAGS_INCL_STACK != 0 {
            // SAFETY: The function may be called in any context.
            unsafe { bindings::dump_stack() };
        }
    }

    /// Returns whether the message is on.
    #[cfg(not(CONFIG_JUMP_LABEL))]
    pub(crate) fn is_on(&self) -> bool {
        self.flags() & bindings::_DPRINTK_FLAGS_PRINT != 0
    }
}

/// Returns `text`, which ends with its only NUL, as a string.
#[cfg(CONFIG_DYNAMIC_DEBUG)]
pub(crate) const fn c_str(text: &'static str) -> &'static CStr {
    match CStr::from_bytes_with_nul(text.as_bytes()) {
        Ok(text) => text,
        Err(_) => panic!("a NUL within the text"),
    }
}

/// Returns the path of a source file, relative to the root of the source. `path` is `file!()` and a
/// NUL.
#[cfg(CONFIG_DYNAMIC_DEBUG)]
pub(crate) const fn relative(path: &'static str) -> &'static CStr {
    const HERE: &[u8] = file!().as_bytes();
    const ROOT: usize = HERE.len() - "rust/kernel/dynamic_debug.rs".len();

    let (bytes, mut index) = (path.as_bytes(), 0);
    while index < ROOT {
        if index >= bytes.len() || bytes[index] != HERE[index] {
            return c_str(path);
        }
        index += 1;
    }
    match CStr::from_bytes_with_nul(bytes.split_at(ROOT).1) {
        Ok(path) => path,
        Err(_) => c_str(path),
    }
}

/// Prints a message of the level `KERN_DEBUG` if root has turned it on. The arguments are those of
/// `pr_debug!`, without the newline; `concat!()` may make the format.
///
/// A message that is off costs one `nop`, and its arguments are not evaluated.
macro_rules! dynamic_pr_debug {
    (concat!($($format:tt)*) $($arguments:tt)*) => {
        $crate::kernel_ext::dynamic_debug::dynamic_pr_debug!(
            @ [::core::format_args] (concat!($($format)*)) $($arguments)*
        )
    };
    (@ [$($formatter:tt)*] ($($format:tt)*) $($arguments:tt)*) => {{
        #[cfg(CONFIG_DYNAMIC_DEBUG)]
        {
            #[allow(unsafe_code)]
            #[link_section = "__dyndbg"]
            static DESCRIPTOR: $crate::kernel_ext::dynamic_debug::Descriptor =
                $crate::kernel_ext::dynamic_debug::Descriptor::new(
                    $crate::NAME,
                    $crate::kernel_ext::dynamic_debug::c_str(concat!(module_path!(), "\0")),
                    $crate::kernel_ext::dynamic_debug::relative(concat!(file!(), "\0")),
                    line!(),
                    $crate::kernel_ext::dynamic_debug::c_str(concat!($($format)*, "\0")),
                );

            #[cfg(CONFIG_JUMP_LABEL)]
            #[allow(unsafe_code)]
            // SAFETY: The key is in the descriptor, at its offset in C's structure.
            let on = unsafe {
                ::kernel::jump_label::arch_static_branch! {
                    DESCRIPTOR, $crate::bindings::_ddebug, key, false
                }
            };
            #[cfg(not(CONFIG_JUMP_LABEL))]
            let on = DESCRIPTOR.is_on();
            if on {
                DESCRIPTOR.print($($formatter)*!($($format)* $($arguments)*));
            }
        }
        #[cfg(not(CONFIG_DYNAMIC_DEBUG))]
        if false {
            let _ = $($formatter)*!($($format)* $($arguments)*);
        }
    }};
    ($format:tt $($arguments:tt)*) => {
        $crate::kernel_ext::dynamic_debug::dynamic_pr_debug!(
            @ [::kernel::prelude::fmt] ($format) $($arguments)*
        )
    };
}
pub(crate) use dynamic_pr_debug;
