// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Execution contexts, which order fences.

use crate::bindings;
use core::marker::PhantomData;

/// An execution context. The fences of a context signal in the order of their seqnos.
///
/// Contexts are numbers that are unique until the system reboots, and are never freed. The owner of
/// a `Context` decides which fences belong to it, so the type is not `Copy`.
pub(crate) struct Context(u64);

impl Context {
    /// Allocates a context.
    pub(crate) fn new() -> Self {
        // SAFETY: The number of contexts is not 0.
        Self(unsafe { bindings::dma_fence_context_alloc(1) })
    }

    /// Returns the context's number.
    pub(crate) fn id(&self) -> u64 {
        self.0
    }
}

/// A context that only a timeline of the type `T` can have.
pub(crate) struct TypedContext<T>(u64, PhantomData<fn() -> T>);

impl<T> TypedContext<T> {
    /// Wraps the number of an allocated context, which has no timeline of another type.
    pub(super) fn new(id: u64) -> Self {
        Self(id, PhantomData)
    }

    /// Returns the context's number.
    pub(crate) fn id(&self) -> u64 {
        self.0
    }
}

impl<T> From<Context> for TypedContext<T> {
    fn from(context: Context) -> Self {
        Self::new(context.0)
    }
}
