// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Fences for KUnit cases, here and in other files.

use super::{
    allocated::AllocatedFence,
    callback::Signalled,
    context::Context,
    domain::{
        DomainRef,
        FenceDomain, //
    },
    pending::PendingFence,
    seqno::Seqno,
    timeline::{
        DriverTimeline,
        Timeline, //
    },
};
use crate::bindings;
use core::{
    marker::PhantomData,
    ptr::NonNull, //
};
use kernel::{
    error::to_result,
    prelude::*,
    str::CStr,
    sync::{
        aref::ARef,
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc, //
    },
    types::ForeignOwnable, //
};

/// A timeline with the seqnos `S` that records the calls of its operations.
pub(crate) struct KunitTimeline<S = u64> {
    /// The seqno of the last fence on which a deadline was set.
    pub(super) seqno: Atomic<u64>,
    /// The deadline that was set.
    pub(super) deadline: Atomic<i64>,
    /// The number of calls of [`DriverTimeline::enable_signaling`].
    pub(super) enabled: Atomic<i32>,
    _seqnos: PhantomData<S>,
}

impl<S> KunitTimeline<S> {
    pub(super) fn new() -> Self {
        Self {
            seqno: Atomic::new(0),
            deadline: Atomic::new(0),
            enabled: Atomic::new(0),
            _seqnos: PhantomData,
        }
    }
}

/// The last deadline that was set on a fence; 0 if none was.
pub(crate) struct LastDeadline(Atomic<i64>);

impl LastDeadline {
    pub(super) fn get(&self) -> i64 {
        self.0.load(Relaxed)
    }
}

impl Default for LastDeadline {
    fn default() -> Self {
        Self(Atomic::new(0))
    }
}

#[vtable]
impl<S: Seqno> DriverTimeline for KunitTimeline<S> {
    type Seqno = S;
    type FenceData = LastDeadline;

    fn driver_name(&self) -> &CStr {
        c"kunit"
    }

    fn timeline_name(&self) -> &CStr {
        c"kunit-timeline"
    }

    fn set_deadline(&self, data: &LastDeadline, seqno: S, deadline: i64) {
        data.0.store(deadline, Relaxed);
        self.seqno.store(seqno.into_raw(), Relaxed);
        self.deadline.store(deadline, Relaxed);
    }

    fn enable_signaling(&self, _data: &LastDeadline, seqno: S) {
        self.seqno.store(seqno.into_raw(), Relaxed);
        self.enabled.add(1, Relaxed);
    }
}

/// Returns the domain of the running case, which drops it at its end.
pub(super) fn domain() -> Result<DomainRef> {
    // SAFETY: The function may be called in any task.
    let test = NonNull::new(unsafe { bindings::kunit_get_current_test() }).ok_or(EINVAL)?;
    // SAFETY: The test is running, and its task is the only one that uses the field.
    let private = unsafe { &mut (*test.as_ptr()).priv_ };
    if private.is_null() {
        let domain = KBox::new(FenceDomain::new()?, GFP_KERNEL)?;
        *private = domain.into_foreign();
        // SAFETY: The test is running. It passes the pointer to the function once.
        to_result(unsafe {
            bindings::kunit_add_action_or_reset(test.as_ptr(), Some(drop_domain), *private)
        })?;
    }
    // SAFETY: The domain is dropped only at the end of the test.
    Ok(unsafe { KBox::<FenceDomain>::borrow(*private) }.handle())
}

/// # Safety
///
/// `domain` must be from `KBox::<FenceDomain>::into_foreign()`, and not used any more.
unsafe extern "C" fn drop_domain(domain: *mut c_void) {
    // SAFETY: By the safety requirements of this function.
    drop(unsafe { KBox::<FenceDomain>::from_foreign(domain) });
}

/// Creates a timeline with the seqnos `S`.
pub(super) fn timeline_of<S: Seqno>() -> Result<ARef<Timeline<KunitTimeline<S>>>> {
    let data = Ok(KunitTimeline::new());
    Timeline::new::<Error>(domain()?, Context::new().into(), data, GFP_KERNEL)
}

pub(super) fn timeline() -> Result<ARef<Timeline<KunitTimeline>>> {
    timeline_of()
}

/// Returns a pending fence of a context of its own.
pub(crate) fn pending() -> Result<PendingFence<KunitTimeline>> {
    Ok(AllocatedFence::new(timeline()?, GFP_KERNEL_ACCOUNT)?.init())
}

/// Returns two pending fences of the same context, in seqno order.
pub(crate) fn pending_pair() -> Result<[PendingFence<KunitTimeline>; 2]> {
    let timeline = timeline()?;
    Ok([
        AllocatedFence::new(timeline.clone(), GFP_KERNEL)?.init(),
        AllocatedFence::new(timeline, GFP_KERNEL)?.init(),
    ])
}

/// Counts calls of [`Signalled::signalled`], and keeps the arguments of the last one.
pub(crate) struct CallCount {
    calls: Atomic<i32>,
    errno: Atomic<i32>,
    timestamp: Atomic<u64>,
}

impl CallCount {
    pub(crate) fn new() -> Result<Arc<Self>> {
        Ok(Arc::new(
            Self {
                calls: Atomic::new(0),
                errno: Atomic::new(0),
                timestamp: Atomic::new(0),
            },
            GFP_KERNEL,
        )?)
    }

    /// Returns the last timestamp.
    pub(crate) fn timestamp(&self) -> u64 {
        self.timestamp.load(Relaxed)
    }

    /// Returns the number of calls and the last errno.
    pub(crate) fn calls(&self) -> (i32, i32) {
        (self.calls.load(Relaxed), self.errno.load(Relaxed))
    }
}

impl Signalled for Arc<CallCount> {
    fn signalled(&self, result: Result, timestamp: u64) {
        self.calls.fetch_add(1, Relaxed);
        self.timestamp.store(timestamp, Relaxed);
        let errno = result.err().map_or(0, Error::to_errno);
        self.errno.store(errno, Relaxed);
    }
}
