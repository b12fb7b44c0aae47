// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Module parameters that are strings.
//!
//! C header: [`include/linux/moduleparam.h`](srctree/include/linux/moduleparam.h)
//!
//! The `module!` macro of the `kernel` crate has integers and booleans only.

use core::cell::UnsafeCell;
use kernel::{
    prelude::*,
    str::{
        as_char_ptr_in_const_context,
        CStr, //
    },
};

/// The value of a parameter that is a string: C's `charp`.
///
/// # Invariants
///
/// The pointer is a string. It changes only while the module's parameters are parsed, before any
/// code of the module runs; the string then lives as long as the module.
#[repr(transparent)]
pub(crate) struct StringParam(UnsafeCell<*mut c_char>);

// SAFETY: By the type invariants nothing changes the value while code of the module runs.
unsafe impl Sync for StringParam {}

impl StringParam {
    /// Returns a parameter with the value `default`.
    pub(crate) const fn new(default: &'static CStr) -> Self {
        // INVARIANT: The default is a string that lives forever.
        Self(UnsafeCell::new(
            as_char_ptr_in_const_context(default).cast_mut(),
        ))
    }

    /// Returns the value.
    pub(crate) fn value(&'static self) -> &'static CStr {
        // SAFETY: By the type invariants.
        unsafe { CStr::from_char_ptr(*self.0.get()) }
    }

    /// Returns the pointer that C's `param_ops_charp` wants as `kernel_param.arg`.
    pub(crate) const fn as_void_ptr(&self) -> *mut c_void {
        self.0.get().cast()
    }
}

/// Returns the bytes of `text`, whose length is `N`.
pub(crate) const fn bytes<const N: usize>(text: &str) -> [u8; N] {
    let mut bytes = [0; N];
    let mut index = 0;
    while index < N {
        bytes[index] = text.as_bytes()[index];
        index += 1;
    }
    bytes
}

/// Defines the parameter `$name` of a loadable module, which is a string. `$param` is a static
/// [`StringParam`].
#[allow(unused_macros)]
macro_rules! string_param {
    ($param:ident, $name:literal, default: $default:expr, description: $description:literal) => {
        static $param: $crate::kernel_ext::module_param::StringParam =
            $crate::kernel_ext::module_param::StringParam::new($default);

        const _: () = {
            const PARMTYPE: &str = concat!("parmtype=", $name, ":charp\0");
            const PARM: &str = concat!("parm=", $name, ":", $description, "\0");

            #[link_section = ".modinfo"]
            #[used]
            static PARMTYPE_INFO: [u8; PARMTYPE.len()] =
                $crate::kernel_ext::module_param::bytes(PARMTYPE);

            #[link_section = ".modinfo"]
            #[used]
            static PARM_INFO: [u8; PARM.len()] = $crate::kernel_ext::module_param::bytes(PARM);

            // The permissions are 0: the parameter is not in sysfs, so it does not change later.
            #[link_section = "__param"]
            #[used]
            static KERNEL_PARAM: ::kernel::module_param::KernelParam =
                ::kernel::module_param::KernelParam::new(::kernel::bindings::kernel_param {
                    name: concat!($name, "\0").as_ptr().cast(),
                    mod_: (&raw const ::kernel::bindings::__this_module).cast_mut(),
                    ops: &raw const ::kernel::bindings::param_ops_charp,
                    perm: 0,
                    level: -1,
                    flags: 0,
                    __bindgen_anon_1: ::kernel::bindings::kernel_param__bindgen_ty_1 {
                        arg: $param.as_void_ptr(),
                    },
                });
        };
    };
}
#[allow(unused_imports)]
pub(crate) use string_param;
