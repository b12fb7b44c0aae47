// SPDX-License-Identifier: GPL-2.0

//! The objects that jobs of a device node name besides file descriptors: the interface between the
//! submission of jobs and the node.
//!
//! On the DRM node, a job names GEM objects and syncobjs by handle. On `/dev/vfence` it cannot.

use crate::{
    kernel_ext::{
        dma_buf::DmaBuf,
        dma_fence_chain::NonChainFence, //
    },
    uapi::vfence_use,
    vfence::{
        job::in_fences::InFences,
        uarg::UserArg, //
    },
};
use kernel::{
    prelude::*,
    sync::aref::ARef, //
};

/// Looks up the handles that the jobs of one call name. Lives as long as the call.
pub(crate) trait HandleLookup {
    /// The size in bytes of the oldest version of the structure that describes a job on this node.
    const MIN_SUBMIT_SIZE: usize;
    /// Whether [`HandleLookup::resolve_job`] may sleep until user space submits a fence. It is then
    /// called for all jobs of a call before the call takes any lock.
    const MAY_SLEEP: bool;
    /// The flags of `struct vfence_use` that only this node accepts.
    const USE_FLAGS: u32;
    /// The syncobjs of a job.
    type Syncobjs: JobSyncobjs;

    /// Resolves the handles of the job that `argument` describes. Returns the location of its
    /// `struct vfence_submit`, and its syncobjs. `earlier` are the syncobjs of the jobs before it
    /// in the call.
    ///
    /// Fails as the UAPI header of the node describes.
    fn resolve_job(
        &self,
        argument: UserArg,
        earlier: &[Self::Syncobjs],
    ) -> Result<(UserArg, Self::Syncobjs)>;

    /// Returns the buffer of a use.
    ///
    /// Fails with `EBADF` for a bad descriptor, `ENOENT` for a bad handle, and `EINVAL` for the
    /// descriptor of anything but a dma-buf.
    fn find_buffer(&self, used: &vfence_use) -> Result<ARef<DmaBuf>>;
}

/// The syncobjs that a job waits for and signals. Dropping this leaves them unchanged.
pub(crate) trait JobSyncobjs: Sized {
    /// Returns the number of syncobjs that the job waits for, even if their fences have signalled.
    fn wait_count(&self) -> u32;

    /// Takes the in-fences out of `self`; called once. `earlier` are the syncobjs of the jobs
    /// before this one in the call; [`JobSyncobjs::set_fence`] has been called for those that need
    /// a fence.
    ///
    /// Fails with `ENOSPC` for more than `VFENCE_MAX_IN_FENCES`, and with `ENOMEM`.
    fn take_in_fences(&mut self, earlier: &[Self]) -> Result<InFences>;

    /// Returns whether the job signals any syncobj, and so needs a fence.
    fn needs_fence(&self) -> bool;

    /// Sets the fence of the job, if [`JobSyncobjs::needs_fence`].
    fn set_fence(&mut self, fence: NonChainFence);

    /// Puts the fences of the jobs of a call, in their order, into the syncobjs that the jobs
    /// signal. Called once the jobs are published; cannot fail.
    fn publish(jobs: impl Iterator<Item = Self>);
}
