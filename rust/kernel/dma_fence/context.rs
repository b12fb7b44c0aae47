// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Which fences are in one order: execution contexts.

use super::{
    Allocation,
    DriverTimeline,
    Fence, //
};
use crate::bindings;
use core::marker::PhantomData;
use kernel::{
    prelude::*,
    sync::{
        new_mutex,
        Mutex, //
    },
};

/// An execution context: fences of the same context signal in the order of their sequence numbers.
///
/// Contexts are numbers, unique until the system reboots, and need not be given back. Who has one
/// can say that fences belong to it, so it is not copied.
pub(crate) struct Context(pub(super) u64);

impl Context {
    /// Returns a new context.
    pub(crate) fn new() -> Self {
        // SAFETY: There are no requirements but that the number is not 0.
        Self(unsafe { bindings::dma_fence_context_alloc(1) })
    }

    /// Returns its number.
    pub(crate) fn id(&self) -> u64 {
        self.0
    }
}

/// Contexts that are all for timelines of the same type, so that it can be told whether a fence is
/// of such a timeline, whoever has that now.
#[pin_data]
pub(crate) struct Contexts<T: DriverTimeline> {
    #[pin]
    taken: Mutex<Taken>,
    _timelines: PhantomData<fn() -> T>,
}

/// What was taken of all contexts: rows of [`Contexts::ROW`].
struct Taken {
    /// The first one of each row.
    rows: KVec<u64>,
    /// How many of the last row have not been used yet.
    left: u64,
}

/// One of [`Contexts`].
pub(crate) struct ContextOf<T: DriverTimeline>(u64, PhantomData<fn() -> T>);

/// A context that a timeline of `T` can have.
pub(crate) trait ContextFor<T: DriverTimeline>: sealed::IntoContext<T> {
    /// Returns its number.
    fn id(&self) -> u64;
}

pub(super) mod sealed {
    use super::{
        Context,
        ContextOf,
        DriverTimeline, //
    };

    /// Only for [`Timeline::new`](super::Timeline::new): what is made of a `ContextOf<T>` is good
    /// for a timeline of `T` and nothing else.
    pub(crate) trait IntoContext<T> {
        fn into_context(self, _: Token) -> Context;
    }

    /// Who has it belongs to fences.
    pub(crate) struct Token(pub(in super::super) ());

    impl<T> IntoContext<T> for Context {
        fn into_context(self, _: Token) -> Context {
            self
        }
    }

    impl<T: DriverTimeline> IntoContext<T> for ContextOf<T> {
        fn into_context(self, _: Token) -> Context {
            Context(self.0)
        }
    }
}

impl<T: DriverTimeline> ContextFor<T> for Context {
    fn id(&self) -> u64 {
        self.0
    }
}

impl<T: DriverTimeline> ContextFor<T> for ContextOf<T> {
    fn id(&self) -> u64 {
        self.0
    }
}

impl<T: DriverTimeline> Contexts<T> {
    /// How many are taken at a time. So many that rows are few, and so few that the numbers of
    /// contexts, which are parts of names, stay short.
    pub(super) const ROW: u32 = 1024;

    /// Returns an object that has none yet.
    pub(crate) fn new() -> impl PinInit<Self> {
        let taken = Taken {
            rows: KVec::new(),
            left: 0,
        };
        pin_init!(Self {
            taken <- new_mutex!(taken),
            _timelines: PhantomData,
        })
    }

    /// Returns one that was not used before. Fails with `ENOMEM`.
    pub(crate) fn next(&self) -> Result<ContextOf<T>> {
        let mut taken = self.taken.lock();
        if taken.left == 0 {
            taken.rows.reserve(1, GFP_KERNEL)?;
            // SAFETY: There are no requirements but that the number is not 0.
            let first = unsafe { bindings::dma_fence_context_alloc(Self::ROW) };
            taken.rows.push(first, GFP_KERNEL)?;
            taken.left = u64::from(Self::ROW);
        }
        let first = taken.rows.last().ok_or(ENOMEM)?;
        let context = first + u64::from(Self::ROW) - taken.left;
        taken.left -= 1;
        Ok(ContextOf(context, PhantomData))
    }

    /// Returns the driver's data of a fence, which may have signalled. Returns `None` if the fence
    /// is of another context.
    pub(crate) fn data_of<'a>(&self, fence: &'a Fence) -> Option<&'a T::FenceData> {
        let context = fence.context();
        let is_of = |first: &u64| context.wrapping_sub(*first) < u64::from(Self::ROW);
        if !self.taken.lock().rows.iter().any(is_of) {
            return None;
        }
        // SAFETY: Only a timeline of `T` can have a `ContextOf<T>`, and an `AllocatedFence<T>`
        // initialises all fences of such a timeline: the fence is the `base` of an `Allocation<T>`.
        // The reference keeps it allocated for `'a`.
        Some(unsafe { Allocation::<T>::data(fence.as_raw()) })
    }
}
