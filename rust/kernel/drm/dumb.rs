// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The ioctls for dumb buffers, buffer objects for pixels, which are the same for every driver.
//!
//! C header: [`include/drm/drm_dumb_buffers.h`](srctree/include/drm/drm_dumb_buffers.h)
//!
//! The core does not let render nodes use these ioctls, and knows their capabilities for KMS
//! drivers only. [`ioctl`] therefore takes the place of the core's functions on all nodes of a
//! device. It checks and copies arguments as `drm_ioctl()` and `drivers/gpu/drm/drm_dumb_buffers.c`
//! do.

use super::{
    driver::Driver,
    dumb_buffer::DumbBuffer,
    file::File,
    gem::NewHandle, //
};
use crate::{
    drm_bindings as bindings,
    kernel_ext::dynamic_debug::dynamic_pr_debug, //
};
use core::{
    mem::MaybeUninit,
    slice, //
};
use kernel::{
    error::to_result,
    ioctl::{
        _IOC_DIR,
        _IOC_NR,
        _IOC_SIZE,
        _IOC_TYPE, //
    },
    prelude::*,
    uaccess::{
        UserPtr,
        UserSlice, //
    },
    uapi::{
        _IOC_READ,
        _IOC_WRITE, //
    },
};

/// The numbers of the ioctls. The core ignores the sizes that user space gives.
const GET_CAP: u32 = 0x0c;
const CREATE: u32 = 0xb2;
const MAP: u32 = 0xb3;
const DESTROY: u32 = 0xb4;

/// Returns whether `number` is an ioctl of DRM.
fn is_drm(number: u32) -> bool {
    _IOC_TYPE(number) == u32::from(bindings::DRM_IOCTL_BASE)
}

/// Returns whether `number` is one of the ioctls for dumb buffers.
pub(super) fn is_ioctl(number: u32) -> bool {
    is_drm(number) && (CREATE..=DESTROY).contains(&_IOC_NR(number))
}

/// Returns whether `number` is `DRM_IOCTL_GET_CAP`.
pub(super) fn is_get_cap(number: u32) -> bool {
    is_drm(number) && _IOC_NR(number) == GET_CAP
}

/// A structure of the UAPI.
///
/// # Safety
///
/// Any bytes must be a valid value, and the structure must have no padding.
unsafe trait Argument: Copy {}

// SAFETY: The structures consist of integers, without padding.
unsafe impl Argument for bindings::drm_get_cap {}
// SAFETY: See above.
unsafe impl Argument for bindings::drm_mode_create_dumb {}
// SAFETY: See above.
unsafe impl Argument for bindings::drm_mode_map_dumb {}
// SAFETY: See above.
unsafe impl Argument for bindings::drm_mode_destroy_dumb {}

/// The argument of an ioctl, copied as `drm_ioctl()` does.
struct UserArgument {
    address: usize,
    /// The bytes that the ioctl's number says are read and written.
    read: usize,
    written: usize,
}

impl UserArgument {
    fn new(number: u32, address: usize) -> Self {
        let size = |direction| {
            if _IOC_DIR(number) & direction != 0 {
                _IOC_SIZE(number)
            } else {
                0
            }
        };
        Self {
            address,
            read: size(_IOC_WRITE),
            written: size(_IOC_READ),
        }
    }

    /// Copies the structure from user space. Bytes that the program does not have are 0; those that
    /// the kernel does not have are ignored. Fails with `EFAULT`.
    fn read<A: Argument>(&self) -> Result<A> {
        let mut place = MaybeUninit::<A>::zeroed();
        let size = self.read.min(size_of::<A>());
        // SAFETY: The bytes are in `place`, which nothing else refers to.
        let bytes = unsafe { slice::from_raw_parts_mut(place.as_mut_ptr().cast(), size) };
        let user = UserSlice::new(UserPtr::from_addr(self.address), size);
        user.reader().read_raw(bytes)?;
        // SAFETY: All bytes are initialised. By the safety requirements of `Argument` any bytes are
        // a valid value.
        Ok(unsafe { place.assume_init() })
    }

    /// Copies the structure to user space. Fails with `EFAULT`.
    fn write<A: Argument>(&self, value: &A) -> Result {
        let size = self.written.min(size_of::<A>());
        // SAFETY: The bytes are in `value`. By the safety requirements of `Argument` all of them
        // are initialised.
        let bytes = unsafe { slice::from_raw_parts(core::ptr::from_ref(value).cast(), size) };
        let user = UserSlice::new(UserPtr::from_addr(self.address), size);
        user.writer().write_slice(bytes)
    }
}

/// Handles an ioctl for which [`is_ioctl`] or [`is_get_cap`] returns true. As in the core, the
/// outputs of a call that fails are 0.
///
/// Fails as the driver does, with `EFAULT`, with `EINVAL` as [`DumbBuffer::new`] does and for an
/// unknown handle of `DESTROY`, and with `EOPNOTSUPP` for a capability that is not one of dumb
/// buffers.
pub(super) fn ioctl<T: Driver>(file: &File<T>, number: u32, address: usize) -> Result {
    let argument = UserArgument::new(number, address);
    match _IOC_NR(number) {
        CREATE => {
            let mut args: bindings::drm_mode_create_dumb = argument.read()?;
            let handle = create(file, &mut args);
            if handle.is_err() {
                (args.handle, args.pitch, args.size) = (0, 0, 0);
            }
            argument.write(&args)?;
            handle.map(NewHandle::keep)
        }
        MAP => {
            let mut args: bindings::drm_mode_map_dumb = argument.read()?;
            let offset = T::dumb_map_offset(file, args.handle);
            args.offset = offset.unwrap_or(0);
            argument.write(&args)?;
            offset.map(drop)
        }
        DESTROY => {
            let args: bindings::drm_mode_destroy_dumb = argument.read()?;
            // SAFETY: The file is open. The function accepts any number.
            let ret = unsafe { bindings::drm_gem_handle_delete(file.as_raw(), args.handle) };
            to_result(ret).inspect_err(|_| {
                let handle = args.handle;
                dynamic_pr_debug!("destroy_dumb: there is no handle {}", handle);
            })
        }
        _ => {
            let mut args: bindings::drm_get_cap = argument.read()?;
            args.value = capability::<T>(args.capability)?;
            argument.write(&args)
        }
    }
}

/// Creates a buffer and a handle for it.
fn create<'a, T: Driver>(
    file: &'a File<T>,
    args: &mut bindings::drm_mode_create_dumb,
) -> Result<NewHandle<'a, T>> {
    let handle = T::dumb_create(file, &mut DumbBuffer::new(file, args)?)?;
    args.handle = handle.number();
    Ok(handle)
}

/// Returns the value of a capability.
fn capability<T: Driver>(capability: u64) -> Result<u64> {
    // CAST: The constants are positive.
    const BUFFER: u64 = bindings::DRM_CAP_DUMB_BUFFER as u64;
    const PREFERRED_DEPTH: u64 = bindings::DRM_CAP_DUMB_PREFERRED_DEPTH as u64;
    const PREFER_SHADOW: u64 = bindings::DRM_CAP_DUMB_PREFER_SHADOW as u64;
    match capability {
        BUFFER => Ok(1),
        PREFERRED_DEPTH => Ok(T::DUMB_PREFERRED_DEPTH.into()),
        PREFER_SHADOW => Ok(T::DUMB_PREFER_SHADOW.into()),
        _ => Err(EOPNOTSUPP),
    }
}

#[kernel::macros::kunit_tests(vfence_drm_dumb)]
mod tests {
    use super::*;

    #[test]
    fn only_the_number_decides() {
        let number = |kind: u8, function: u32| u32::from(kind) << 8 | function;
        for function in [CREATE, MAP, DESTROY] {
            assert!(is_ioctl(number(b'd', function)));
            assert!(is_ioctl(number(b'd', function) | 4096 << 16));
            assert!(!is_ioctl(number(b'e', function)));
        }
        assert!(!is_ioctl(number(b'd', CREATE - 1)));
        assert!(!is_ioctl(number(b'd', DESTROY + 1)));
        assert!(is_get_cap(number(b'd', GET_CAP)));
    }
}
