// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Locking a mutex killably.
//!
//! C header: [`include/linux/mutex.h`](srctree/include/linux/mutex.h)
//!
//! This file adds `mutex_lock_killable()` to the `kernel` crate's [`Mutex`]. A mutex whose owner
//! may block indefinitely, such as on a page fault that user space resolves, needs it: a task in
//! [`Mutex::lock`] does not react to `SIGKILL`.

use crate::bindings;
use kernel::{
    prelude::*,
    sync::{
        Mutex,
        MutexGuard, //
    },
};

/// A lock that a task can be killed while waiting for.
pub(crate) trait LockKillable {
    /// The guard of the lock.
    type Guard<'a>
    where
        Self: 'a;

    /// Acquires the lock. Sleeps until the lock is free or the task gets a fatal signal.
    ///
    /// Fails with `EINTR` for a fatal signal only, so user space never sees this error.
    fn lock_killable(&self) -> Result<Self::Guard<'_>>;
}

// `lock_killable()` casts between them.
const _: () = assert!(
    size_of::<Mutex<()>>() == size_of::<bindings::mutex>()
        && align_of::<Mutex<()>>() == align_of::<bindings::mutex>()
);

impl<T> LockKillable for Mutex<T> {
    type Guard<'a>
        = MutexGuard<'a, T>
    where
        T: 'a;

    #[inline]
    fn lock_killable(&self) -> Result<MutexGuard<'_, T>> {
        // CAST: `Lock` is `repr(C)`, and its first field, in an `Opaque`, is the `struct mutex`.
        let mutex = core::ptr::from_ref(self)
            .cast::<bindings::mutex>()
            .cast_mut();
        // SAFETY: The mutex exists, so it was initialised. It is pinned, and may be modified
        // through a shared reference, because it is in an `Opaque`.
        if unsafe { bindings::mutex_lock_killable(mutex) } != 0 {
            return Err(EINTR);
        }
        // SAFETY: The current task has just acquired the lock.
        Ok(unsafe { MutexGuard::new(self, ()) })
    }
}

#[kernel::macros::kunit_tests(vfence_mutex)]
mod tests {
    use super::*;
    use kernel::sync::{
        new_mutex,
        Arc, //
    };

    #[test]
    fn killable_guard_owns_the_lock() -> Result {
        let mutex = Arc::pin_init(new_mutex!(1), GFP_KERNEL)?;
        {
            let mut guard = mutex.lock_killable()?;
            assert!(core::ptr::eq(guard.lock_ref(), &*mutex));
            assert!(mutex.try_lock().is_none());
            *guard += 1;
        }
        assert_eq!(mutex.try_lock().map(|guard| *guard), Some(2));
        assert_eq!(*mutex.lock_killable()?, 2);
        Ok(())
    }
}
