// SPDX-License-Identifier: GPL-2.0 OR MIT

//! DMA fences.
//!
//! C header: [`include/linux/dma-fence.h`](srctree/include/linux/dma-fence.h)
//!
//! Documentation:
//! [`Documentation/driver-api/dma-buf.rst`](srctree/Documentation/driver-api/dma-buf.rst)
//!
//! # States
//!
//! The driver that creates a fence is the only one that can signal it, and must signal it. Each
//! state is a type, so that a wrong order does not compile:
//!
//! ```text
//!  AllocatedFence ───init───▶ PendingFence ──────complete──────▶ SignalledFence
//!   memory only;               the only owner that can signal;    result and timestamp
//!   drop frees it              drop signals -ECANCELED            can be read
//!                                   │ fence()
//!                                   ▼
//!                            ARef<Fence>: a shared reference; it can be waited for,
//!                            given a Callback and queried, but not signalled
//! ```
//!
//! The fences of one context belong to a [`Timeline`], which holds the driver's data for them and
//! hands out their seqnos. A driver whose jobs have seqnos of their own uses these instead. The
//! timeline notices a fence that completes after a later one.
//!
//! Allocation can fail; no later step can, as the
//! [rules](srctree/Documentation/driver-api/dma-buf.rst) for the path from publishing a fence to
//! signalling it demand. A [`SignallingSection`] marks that path for lockdep.
//!
//! # Fences outlive their module
//!
//! A fence made here has no `release` and no `wait` operation, an inline lock, and nothing that
//! needs `Drop`. When it signals, the core detaches the module's operations, and later frees the
//! memory by itself. An operation that is running at that time may still use the timeline, which is
//! therefore freed a grace period after its last reference, in a work item.
//!
//! A module can be unloaded while others hold its fences, provided that it has signalled all of
//! them. The module owns a [`FenceDomain`] and drops it last: the drop waits for each timeline, and
//! so for each pending fence.

mod allocated;
mod allocator;
mod batch;
mod callback;
mod context;
mod domain;
mod fence;
#[cfg(CONFIG_KUNIT = "y")]
pub(crate) mod fixture;
mod foreign;
mod memory;
mod pending;
mod seqno;
mod signalling;
mod timeline;

pub(crate) use allocated::AllocatedFence;
pub(crate) use allocator::ContextAllocator;
pub(crate) use batch::FenceBatch;
pub(crate) use callback::{
    Callback,
    Signalled, //
};
pub(crate) use context::{
    Context,
    TypedContext, //
};
pub(crate) use domain::{
    DomainRef,
    FenceDomain, //
};
pub(crate) use fence::{
    Fence,
    SignalledFence, //
};
pub(crate) use pending::PendingFence;
pub(crate) use signalling::SignallingSection;
pub(crate) use timeline::{
    DriverTimeline,
    Timeline, //
};
