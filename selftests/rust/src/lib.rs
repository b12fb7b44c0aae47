// SPDX-License-Identifier: GPL-2.0 OR MIT

//! A harness for suites, and assertions on fences.

pub mod child;
pub mod module;

use libtest_mimic::{Arguments, Completion, Trial};
use std::cell::Cell;
use std::io;
use std::process::ExitCode;
use std::time::Duration;
use vfence::{Errno, Status, SyncFile};

/// Bounds each wait: only a case that is about to fail waits this long.
const PATIENCE: Duration = Duration::from_secs(60);

/// Defines a program that runs cases, functions that panic when they fail, one after the other.
#[macro_export]
macro_rules! suite {
    ($($case:ident),+ $(,)?) => {
        fn main() -> std::process::ExitCode {
            $crate::run(vec![$((stringify!($case), $case as fn())),+], 1)
        }
    };
}

/// Like [`suite`], but runs all cases concurrently.
#[macro_export]
macro_rules! parallel_suite {
    ($($case:ident),+ $(,)?) => {
        fn main() -> std::process::ExitCode {
            let cases = vec![$((stringify!($case), $case as fn())),+];
            let threads = cases.len();
            $crate::run(cases, threads)
        }
    };
}

/// Runs cases on `threads` threads; [`suite`] and [`parallel_suite`] call it.
pub fn run(cases: Vec<(&'static str, fn())>, threads: usize) -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(threads);
    let trials = cases.into_iter().map(|(name, case)| {
        Trial::ignorable_test(name, move || {
            case();
            Ok(SKIPPED
                .take()
                .map_or(Completion::Completed, Completion::ignored_with))
        })
    });
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}

thread_local! {
    static SKIPPED: Cell<Option<&'static str>> = const { Cell::new(None) };
}

/// Marks the current case, which must return then, as skipped.
pub fn skip(reason: &'static str) {
    SKIPPED.set(Some(reason));
}

/// Returns whether the kernel has lockdep, which slows it down a hundredfold.
pub fn kernel_is_slow() -> bool {
    std::path::Path::new("/proc/lockdep_stats").exists()
}

/// Asserts that a call failed with an errno.
#[track_caller]
pub fn assert_refused<T: std::fmt::Debug>(result: io::Result<T>, expected: Errno) {
    let error = result.expect_err("the call should have been refused");
    assert_eq!(
        error.raw_os_error(),
        Some(expected.raw_os_error()),
        "{error}"
    );
}

/// Waits for a fence. Returns its status.
#[track_caller]
pub fn wait(fence: &SyncFile) -> Status {
    assert!(
        fence.wait(Some(PATIENCE)).unwrap(),
        "the fence has not signalled"
    );
    fence.status().unwrap()
}

/// Returns the timestamp of a signalled fence.
#[track_caller]
pub fn timestamp(fence: &SyncFile) -> u64 {
    fence
        .info()
        .unwrap()
        .timestamp_ns()
        .expect("the fence has signalled")
}

/// Raises the limit of open files to `files`.
pub fn allow_files(files: u64) {
    use rustix::process::{getrlimit, setrlimit, Resource, Rlimit};
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < files) {
        let raised = Rlimit {
            current: Some(files),
            maximum: limit.maximum.map(|maximum| maximum.max(files)),
        };
        setrlimit(Resource::Nofile, raised).expect("only root can raise the limit");
    }
}
