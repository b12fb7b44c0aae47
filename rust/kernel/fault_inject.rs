// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Fault injection, configured in debugfs.
//!
//! C header: [`include/linux/fault-inject.h`](srctree/include/linux/fault-inject.h)
//!
//! Documentation:
//! [`fault-injection.rst`](srctree/Documentation/fault-injection/fault-injection.rst)
//!
//! The C function creates the files in debugfs and wants the parent's dentry, which the `kernel`
//! crate's `debugfs::Dir` does not return, so the parent is looked up by name.

use kernel::prelude::*;

#[cfg(CONFIG_FAULT_INJECTION)]
use crate::bindings;
#[cfg(CONFIG_FAULT_INJECTION)]
use kernel::types::Opaque;

/// A fault attribute, with its directory in debugfs: C's `struct fault_attr`.
///
/// Without `CONFIG_FAULT_INJECTION` nothing fails. Without `CONFIG_FAULT_INJECTION_DEBUG_FS` there
/// is no directory.
///
/// # Invariants
///
/// `attr` is initialised and pinned. `directory` is the directory whose files refer to `attr`, and
/// which the `FaultAttr` owns, an error pointer, or null.
#[cfg(CONFIG_FAULT_INJECTION)]
#[pin_data(PinnedDrop)]
pub(crate) struct FaultAttr {
    #[pin]
    attr: Opaque<bindings::fault_attr>,
    directory: *mut bindings::dentry,
}

#[cfg(CONFIG_FAULT_INJECTION)]
// SAFETY: Any thread may remove the directory.
unsafe impl Send for FaultAttr {}
#[cfg(CONFIG_FAULT_INJECTION)]
// SAFETY: `should_fail()` may be called concurrently. Only `drop()` uses the directory.
unsafe impl Sync for FaultAttr {}

#[cfg(CONFIG_FAULT_INJECTION)]
impl FaultAttr {
    /// Whether the kernel supports fault injection.
    pub(crate) const AVAILABLE: bool = true;

    /// Creates an attribute and its directory `name` in debugfs's directory `parent`. Nothing fails
    /// until the administrator configures it there.
    pub(crate) fn new<'a>(name: &'a CStr, parent: &'a CStr) -> impl PinInit<Self, Error> + 'a {
        try_pin_init!(&this in Self {
            attr <- Opaque::ffi_init(|slot| {
                // SAFETY: `slot` is valid for writes.
                unsafe { bindings::fault_attr_init(slot) };
            }),
            directory: {
                // SAFETY: The name is a string. A null parent stands for debugfs's root.
                let parent = unsafe {
                    bindings::debugfs_lookup(parent.as_char_ptr(), core::ptr::null_mut())
                };
                // SAFETY: The attribute is initialised, and is pinned until `drop()` has removed
                // the directory. The parent is valid, or null for the root. The name is a string.
                let directory = unsafe {
                    bindings::fault_create_debugfs_attr(
                        name.as_char_ptr(),
                        parent,
                        Opaque::cast_into(&raw const (*this.as_ptr()).attr),
                    )
                };
                // SAFETY: `debugfs_lookup()` returned a reference to the parent, or null.
                unsafe { bindings::dput(parent) };
                directory
            },
        }? Error)
    }

    /// Returns whether this call should fail. May be called in any context.
    pub(crate) fn should_fail(&self) -> bool {
        // SAFETY: By the type invariants the attribute is initialised.
        unsafe { bindings::should_fail(self.attr.get(), 1) }
    }
}

#[cfg(CONFIG_FAULT_INJECTION)]
#[pinned_drop]
impl PinnedDrop for FaultAttr {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By the type invariants `self` owns the directory, which is removed once. The
        // function ignores errors and null, and waits for users of the files.
        unsafe { bindings::debugfs_remove(self.directory) };
    }
}

/// The attribute of kernels without `CONFIG_FAULT_INJECTION`: nothing fails.
#[cfg(not(CONFIG_FAULT_INJECTION))]
pub(crate) struct FaultAttr;

#[cfg(not(CONFIG_FAULT_INJECTION))]
impl FaultAttr {
    /// Whether the kernel supports fault injection.
    pub(crate) const AVAILABLE: bool = false;

    /// Creates an attribute.
    pub(crate) fn new(_name: &CStr, _parent: &CStr) -> impl PinInit<Self, Error> {
        Ok::<_, Error>(Self)
    }

    /// Returns false.
    pub(crate) fn should_fail(&self) -> bool {
        false
    }
}

#[cfg(CONFIG_FAULT_INJECTION)]
#[kernel::macros::kunit_tests(vfence_fault_inject)]
mod tests {
    use super::*;

    #[test]
    fn unconfigured_attribute_fails_nothing() -> Result {
        let attr = KBox::pin_init(FaultAttr::new(c"kunit", c"vfence-none"), GFP_KERNEL)?;
        for _ in 0..100 {
            assert!(!attr.should_fail());
        }
        Ok(())
    }
}
