// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Loading and unloading the module, for suites that do that themselves.

use rustix::fs::{open, Mode, OFlags};
use rustix::io::Errno;
use rustix::system::{delete_module, finit_module};
use std::ffi::CString;
use std::thread::sleep;
use std::time::Duration;
use vfence::Device;

/// The module while it is loaded. Dropping it unloads it, and panics if that is refused.
pub struct Module(());

impl Module {
    /// Loads the module that `VFENCE_KO` names, with parameters as `insmod` takes them.
    pub fn try_load(parameters: &str) -> Result<Self, Errno> {
        // With its own KUnit tests, which ran when the module was first loaded, loading takes seconds.
        let _ = std::fs::write("/sys/module/kunit/parameters/filter_glob", "none");
        let path = std::env::var_os("VFENCE_KO").expect("VFENCE_KO names the module");
        let file = open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        finit_module(file, &CString::new(parameters).unwrap(), 0)?;
        let module = Self(());
        // devtmpfs makes the node, in a thread of its own.
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

    /// Tries to unload the module; fails with `AGAIN` while it is in use.
    pub fn try_unload(&self) -> Result<(), Errno> {
        // NONBLOCK is what rmmod uses, too.
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
        // A case that failed has dropped its device by now; if not, what follows will tell.
        let unloaded = self.try_unload();
        if !std::thread::panicking() {
            unloaded.expect("the module can be unloaded");
        }
    }
}
