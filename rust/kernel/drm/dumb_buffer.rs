// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The dumb buffer that a program asks for, and its size.
//!
//! C header: [`include/drm/drm_dumb_buffers.h`](srctree/include/drm/drm_dumb_buffers.h)

use super::file::File;
use crate::{
    drm_bindings as bindings,
    kernel_ext::dynamic_debug::dynamic_pr_debug, //
};
use kernel::{
    error::to_result,
    page::PAGE_SIZE,
    prelude::*, //
};

/// The buffer that a program asks for: C's `struct drm_mode_create_dumb`.
///
/// # Invariants
///
/// `device` is valid during `'a`.
pub(crate) struct DumbBuffer<'a> {
    device: *mut bindings::drm_device,
    args: &'a mut bindings::drm_mode_create_dumb,
}

impl<'a> DumbBuffer<'a> {
    /// Does the checks of `drm_mode_create_dumb()`, which come before those of the driver.
    ///
    /// Fails with `EINVAL` if a field is 0 or if 32 bits cannot hold the size.
    pub(super) fn new<T>(
        file: &'a File<T>,
        args: &'a mut bindings::drm_mode_create_dumb,
    ) -> Result<Self> {
        check(args.width, args.height, args.bpp).inspect_err(|_| {
            let (width, height, bpp) = (args.width, args.height, args.bpp);
            dynamic_pr_debug!(
                "create_dumb: {}x{} pixels of {} bits: one is 0, or 32 bits cannot hold the size",
                width,
                height,
                bpp
            );
        })?;
        // INVARIANT: The open file refers to the device.
        let device = file.device();
        Ok(Self { device, args })
    }

    /// Sets the bytes from one line to the next, a multiple of `pitch_align` if that is not 0, and
    /// the size of the buffer, whole pages. Returns the size.
    ///
    /// Fails with `EINVAL` if 32 bits cannot hold the size.
    pub(crate) fn set_size(&mut self, pitch_align: usize) -> Result<u64> {
        let mut args = *self.args;
        // SAFETY: By the type invariants.
        let format = unsafe { bindings::drm_driver_color_mode_format(self.device, args.bpp) };
        if format == bindings::DRM_FORMAT_INVALID {
            // A pixel takes whole bytes. The core also assumes so, but for some values of `bpp` it
            // logs a warning, which a program must not be able to cause.
            args.width = args.width.checked_mul(bytes(args.bpp)).ok_or(EINVAL)?;
            args.bpp = 8;
        }
        // SAFETY: By the type invariants the device is valid. `args` is a local variable.
        to_result(unsafe { bindings::drm_mode_size_dumb(self.device, &mut args, pitch_align, 0) })?;
        (self.args.pitch, self.args.size) = (args.pitch, args.size);
        Ok(args.size)
    }
}

/// Returns the whole bytes of a pixel.
fn bytes(bpp: u32) -> u32 {
    bpp.div_ceil(8)
}

/// Checks the fields of a `struct drm_mode_create_dumb`.
fn check(width: u32, height: u32, bpp: u32) -> Result {
    if width == 0 || height == 0 || bpp == 0 || bpp > u32::MAX - 8 {
        return Err(EINVAL);
    }
    let pitch = bytes(bpp).checked_mul(width).ok_or(EINVAL)?;
    let size = height.checked_mul(pitch).ok_or(EINVAL)?;
    // CAST: A page is smaller than 4 GiB.
    size.checked_next_multiple_of(PAGE_SIZE as u32)
        .ok_or(EINVAL)?;
    Ok(())
}

#[kernel::macros::kunit_tests(vfence_drm_dumb_buffer)]
mod tests {
    use super::*;

    #[test]
    fn size_must_have_32_bits() {
        const PAGE: u32 = PAGE_SIZE as u32;
        let refused = |width, height, bpp| check(width, height, bpp) == Err(EINVAL);
        for (width, height, bpp) in [(0, 1, 1), (1, 0, 1), (1, 1, 0), (1, 1, u32::MAX)] {
            assert!(refused(width, height, bpp));
        }
        // The largest size is 4 GiB less a page.
        assert_eq!(check(1 << 15, (1 << 15) - 1, 32), Ok(()));
        assert_eq!(check(u32::MAX - PAGE + 1, 1, 8), Ok(()));
        assert!(refused(u32::MAX - PAGE + 2, 1, 8));
        assert!(refused(1 << 15, 1 << 15, 32));
        assert!(refused(1 << 30, 1, 32));
        assert!(refused(9, 1, u32::MAX - 8));
    }
}
