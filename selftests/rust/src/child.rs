// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Processes that share the open files of a test, and may be killed.

use rustix::process::{kill_process, waitpid, Pid, Signal, WaitOptions, WaitStatus};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::thread::sleep;
use std::time::Duration;

/// A child process. Dropping it kills it.
pub struct Child(Option<Pid>);

impl Child {
    /// Starts a copy of this process that does `work`, with all open files, and then exits; with an error if
    /// `work` panics. To be called while the process has one thread.
    pub fn fork(work: impl FnOnce()) -> Self {
        // SAFETY: With one thread, the copy has all there is.
        match unsafe { libc::fork() } {
            0 => {
                let status = i32::from(catch_unwind(AssertUnwindSafe(work)).is_err());
                // SAFETY: Nothing of the parent's is to be undone.
                unsafe { libc::_exit(status) }
            }
            pid => {
                // What it has taken along is the child's: it is not to be undone here.
                std::mem::forget(work);
                Self(Some(Pid::from_raw(pid).expect("a process can be started")))
            }
        }
    }

    fn pid(&self) -> Pid {
        self.0.expect("it has not been waited for")
    }

    /// Waits until it sleeps in a system call.
    pub fn wait_until_it_sleeps(&self) {
        let path = format!("/proc/{}/stat", self.pid().as_raw_pid());
        loop {
            let stat = std::fs::read_to_string(&path).unwrap();
            // The state is behind the name, which is in parentheses.
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
        let pid = self.0.take().expect("it has not been waited for");
        let (_, status) = waitpid(Some(pid), WaitOptions::empty())
            .unwrap()
            .expect("it has ended");
        status
    }

    /// Kills it, and waits until it is gone with all that it had open. Panics if it had ended by itself.
    #[track_caller]
    pub fn kill(mut self) {
        kill_process(self.pid(), Signal::KILL).unwrap();
        assert_eq!(self.wait().terminating_signal(), Some(libc::SIGKILL));
    }

    /// Waits until it is done. Panics if its work has panicked.
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
