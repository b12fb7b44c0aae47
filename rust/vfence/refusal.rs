// SPDX-License-Identifier: GPL-2.0

//! The reason of a refusal: a debug message, off by default, that names the cause of an errno in
//! the words of the UAPI headers.
//!
//! A message begins with the call or the structure that is refused, and has the numbers. Text of
//! user space is printed with `{:?}`, which escapes newlines. `tools/env/refusals.py` checks that
//! each errno of the driver has a reason.

use crate::kernel_ext::dma_fence::Fence;

/// Returns the error of a refusal, after printing the reason if root has turned it on.
///
/// The arguments after the error are those of `pr_debug!`, without the newline. They must be
/// `Copy`, or references: the message is formatted out of line, so that the caller pays for it with
/// neither instructions on the path of success nor with stack.
macro_rules! refuse {
    ($error:expr, $($reason:tt)+) => {{
        $crate::vfence::refusal::explain(move || {
            $crate::kernel_ext::dynamic_debug::dynamic_pr_debug!($($reason)+)
        });
        $error
    }};
}
pub(crate) use refuse;

/// Prints the reason of a refusal; see [`refuse!`].
#[cold]
#[inline(never)]
pub(crate) fn explain(reason: impl FnOnce()) {
    reason();
}

/// Checks that a reserved field or a field of flags is 0. Fails with `EINVAL` if not.
///
/// The literal names the field in the reason.
macro_rules! must_be_zero {
    ($name:literal, $field:expr) => {
        match $field {
            0 => Ok(()),
            field => Err($crate::vfence::refusal::refuse!(
                EINVAL,
                concat!($name, " is {:#x}: must be 0"),
                field
            )),
        }
    };
}
pub(crate) use must_be_zero;

/// Checks that a field is 0 or a negative errno that a fence can carry, `-MAX_ERRNO` to -1. Fails
/// with `EINVAL` if not.
///
/// The literal names the field in the reason.
macro_rules! must_be_errno {
    ($name:literal, $field:expr) => {
        match $field {
            field if $crate::vfence::refusal::is_errno(field) => Ok(()),
            field => Err($crate::vfence::refusal::refuse!(
                EINVAL,
                concat!($name, " is {}: neither 0 nor a negative errno, -4095 to -1"),
                field
            )),
        }
    };
}
pub(crate) use must_be_errno;

/// Returns whether `field` is 0 or a negative errno that a fence can carry.
pub(crate) fn is_errno(field: i32) -> bool {
    (-Fence::MAX_ERRNO..=0).contains(&field)
}
