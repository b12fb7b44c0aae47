// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Faults that the administrator asks for.
//!
//! C header: [`include/linux/fault-inject.h`](srctree/include/linux/fault-inject.h)
//!
//! Documentation: [`Documentation/fault-injection/fault-injection.rst`](srctree/Documentation/fault-injection/fault-injection.rst)

use kernel::prelude::*;

#[cfg(CONFIG_FAULT_INJECTION)]
use crate::bindings;
#[cfg(CONFIG_FAULT_INJECTION)]
use kernel::types::Opaque;

/// Decides what fails: C's `struct fault_attr`, with its directory in debugfs.
///
/// On kernels without `CONFIG_FAULT_INJECTION` nothing does; where there is no `CONFIG_FAULT_INJECTION_DEBUG_FS` nobody
/// can ask for it.
///
/// # Invariants
///
/// `attr` is initialised and pinned. `directory` is what refers to it, or an error pointer or null, which stand for nothing.
#[cfg(CONFIG_FAULT_INJECTION)]
#[pin_data(PinnedDrop)]
pub(crate) struct FaultAttr {
    #[pin]
    attr: Opaque<bindings::fault_attr>,
    directory: *mut bindings::dentry,
}

#[cfg(CONFIG_FAULT_INJECTION)]
// SAFETY: The directory may be removed by any thread.
unsafe impl Send for FaultAttr {}
#[cfg(CONFIG_FAULT_INJECTION)]
// SAFETY: `should_fail()` may be called concurrently; the directory is not used but by `drop()`.
unsafe impl Sync for FaultAttr {}

#[cfg(CONFIG_FAULT_INJECTION)]
impl FaultAttr {
    /// Whether the kernel has them.
    pub(crate) const AVAILABLE: bool = true;

    /// Creates one that lets nothing fail until it is told so in the directory `name`, in debugfs's directory `parent`,
    /// which exists.
    pub(crate) fn new(name: &'static CStr, parent: &'static CStr) -> impl PinInit<Self, Error> {
        try_pin_init!(&this in Self {
            attr <- Opaque::ffi_init(|slot| {
                // SAFETY: `slot` is valid for writes.
                unsafe { bindings::fault_attr_init(slot) };
            }),
            directory: {
                // SAFETY: The name is a string, the parent debugfs's root.
                let parent = unsafe {
                    bindings::debugfs_lookup(parent.as_char_ptr(), core::ptr::null_mut())
                };
                // SAFETY: The attribute is initialised, and stays where it is until `drop()` has removed the
                // directory. The parent is valid, or null for the root. The name is a string.
                let directory = unsafe {
                    bindings::fault_create_debugfs_attr(
                        name.as_char_ptr(),
                        parent,
                        Opaque::cast_into(&raw const (*this.as_ptr()).attr),
                    )
                };
                // SAFETY: The reference to the parent is ours; null stands for none.
                unsafe { bindings::dput(parent) };
                directory
            },
        }? Error)
    }

    /// Returns whether something is to fail this time. May be called in any context.
    pub(crate) fn should_fail(&self) -> bool {
        // SAFETY: By the type invariants the attribute is initialised.
        unsafe { bindings::should_fail(self.attr.get(), 1) }
    }
}

#[cfg(CONFIG_FAULT_INJECTION)]
#[pinned_drop]
impl PinnedDrop for FaultAttr {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By the type invariants it is ours to remove; errors and null are ignored. It waits for
        // those who use it.
        unsafe { bindings::debugfs_remove(self.directory) };
    }
}

/// Stands for C's `struct fault_attr` on kernels that have none: nothing fails.
#[cfg(not(CONFIG_FAULT_INJECTION))]
pub(crate) struct FaultAttr;

#[cfg(not(CONFIG_FAULT_INJECTION))]
impl FaultAttr {
    /// Whether the kernel has them.
    pub(crate) const AVAILABLE: bool = false;

    /// Creates it.
    pub(crate) fn new(_name: &'static CStr, _parent: &'static CStr) -> impl PinInit<Self, Error> {
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
    fn nothing_fails_unasked() -> Result {
        let attr = KBox::pin_init(FaultAttr::new(c"kunit", c"vfence-none"), GFP_KERNEL)?;
        for _ in 0..100 {
            assert!(!attr.should_fail());
        }
        Ok(())
    }
}
