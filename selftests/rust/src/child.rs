// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Child processes that share the open files of a case, and may be killed.

use rustix::process::{kill_process, waitpid, Pid, Signal, WaitOptions, WaitStatus};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::thread::sleep;
use std::time::Duration;

/// A child process. Dropping it kills it.
pub struct Child(Option<Pid>);

impl Child {
    /// Forks a child that runs `work` with all open files and exits, with an error if it panics.
    ///
    /// The process must have one thread.
    pub fn fork(work: impl FnOnce()) -> Self {
        // SAFETY: The process has one thread, so the child may run any code.
        match unsafe { libc::fork() } {
            0 => {
                let status = i32::from(catch_unwind(AssertUnwindSafe(work)).is_err());
                // SAFETY: `_exit()` runs no destructor of the parent.
                unsafe { libc::_exit(status) }
            }
            pid => {
                // The child owns what `work` captured.
                std::mem::forget(work);
                Self(Some(Pid::from_raw(pid).expect("fork() succeeds")))
            }
        }
    }

    fn pid(&self) -> Pid {
        self.0.expect("the child has not been reaped")
    }

    /// Waits until the child sleeps in a system call.
    pub fn wait_until_it_sleeps(&self) {
        let path = format!("/proc/{}/stat", self.pid().as_raw_pid());
        loop {
            let stat = std::fs::read_to_string(&path).unwrap();
            // The state follows the name, which is in parentheses.
            match stat
                .rsplit(") ")
                .next()
                .and_then(|rest| rest.chars().next())
            {
                Some('S') => return,
                Some('Z') => panic!("the child has ended"),
                _ => sleep(Duration::from_millis(1)),
            }
        }
    }

    fn wait(&mut self) -> WaitStatus {
        let pid = self.0.take().expect("the child has not been reaped");
        let (_, status) = waitpid(Some(pid), WaitOptions::empty())
            .unwrap()
            .expect("the child has ended");
        status
    }

    /// Kills and reaps the child. Panics if it had exited by itself.
    #[track_caller]
    pub fn kill(mut self) {
        kill_process(self.pid(), Signal::KILL).unwrap();
        assert_eq!(self.wait().terminating_signal(), Some(libc::SIGKILL));
    }

    /// Waits for the child to exit. Panics if its work has panicked.
    #[track_caller]
    pub fn succeeded(mut self) {
        assert_eq!(self.wait().exit_status(), Some(0));
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if let Some(pid) = self.0 {
            let _ = kill_process(pid, Signal::KILL);
            self.wait();
        }
    }
}
