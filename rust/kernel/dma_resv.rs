// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Reservation objects: the fences of a buffer.
//!
//! C header: [`include/linux/dma-resv.h`](srctree/include/linux/dma-resv.h)
//!
//! A fence is added with the object locked, to a slot that was reserved before:
//!
//! ```text
//!   DmaResv::lock ──────┐                   fences(): the fences to wait for
//!                       ├──▶ DmaResvGuard ─┤
//!   DmaResvGuards::new ─┘                   reserve() ──▶ add(): cannot fail
//! ```
//!
//! [`DmaResvGuards`] locks several objects in any order. If another task locks the same objects in
//! another order, one of the two unlocks its objects and tries again. The locks are wound/wait
//! mutexes, see
//! [`ww-mutex-design.rst`](srctree/Documentation/locking/ww-mutex-design.rst).
//!
//! User memory must not be accessed with one of these locks held: a page fault takes locks that
//! come before it.

#[cfg(CONFIG_KUNIT = "y")]
mod fixture;
mod guard;
mod guards;
mod non_container_fence;
mod resv;
mod usage;

// The driver does not name the type.
#[allow(unused_imports)]
pub(crate) use guard::DmaResvGuard;
pub(crate) use guards::DmaResvGuards;
pub(crate) use non_container_fence::NonContainerFence;
pub(crate) use resv::DmaResv;
pub(crate) use usage::Usage;
