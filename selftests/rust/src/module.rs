// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The module `vfence`, for suites that load it themselves.

use rustix::fs::{open, Mode, OFlags};
use rustix::io::Errno;
use rustix::system::{delete_module, finit_module};
use std::ffi::CString;
use std::thread::sleep;
use std::time::Duration;
use vfence::Device;

/// The loaded module. Dropping it unloads the module, and panics if the kernel refuses.
pub struct Module(());

impl Module {
    /// Loads the module at the path in `VFENCE_KO`, with parameters as for `insmod`.
    pub fn try_load(parameters: &str) -> Result<Self, Errno> {
        // KUnit's suites ran when the module was first loaded, and take seconds.
        let _ = std::fs::write("/sys/module/kunit/parameters/filter_glob", "none");
        let path = std::env::var_os("VFENCE_KO").expect("VFENCE_KO names the module");
        let file = open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        finit_module(file, &CString::new(parameters).unwrap(), 0)?;
        let module = Self(());
        // devtmpfs creates the node in its own thread.
        while !std::path::Path::new(Device::PATH).exists() {
            sleep(Duration::from_millis(1));
        }
        Ok(module)
    }

    /// Loads the module.
    #[track_caller]
    pub fn load(parameters: &str) -> Self {
        Self::try_load(parameters).expect("the module can be loaded")
    }

    /// Unloads the module; fails with `AGAIN` while it is in use.
    pub fn try_unload(&self) -> Result<(), Errno> {
        // Like rmmod.
        delete_module(c"vfence", OFlags::NONBLOCK.bits() as _)
    }

    /// Unloads the module.
    #[track_caller]
    pub fn unload(self) {
        std::mem::forget(
            self.try_unload()
                .map(|()| self)
                .expect("the module can be unloaded"),
        );
    }
}

impl Drop for Module {
    fn drop(&mut self) {
        // Unwinding a failed case has dropped its device; if not, the next load fails.
        let unloaded = self.try_unload();
        if !std::thread::panicking() {
            unloaded.expect("the module can be unloaded");
        }
    }
}
