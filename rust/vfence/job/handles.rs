// SPDX-License-Identifier: GPL-2.0

//! What jobs can name besides file descriptors. A device node may have handles: of buffers, and of objects that fences are taken from and
//! put into. `/dev/vfence` has none.

use crate::{
    kernel_ext::{
        dma_buf::DmaBuf,
        dma_fence_chain::Linkable, //
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

/// The handles of an open file, during one call.
pub(crate) trait HandleLookup {
    /// The smallest argument of `SUBMIT` that there ever was, and element of that of `SUBMIT_BATCH`.
    const MIN_SUBMIT_SIZE: usize;
    /// Whether [`HandleLookup::resolve_job`] may wait, so that it is called for all jobs of a batch first, without locks.
    const MAY_SLEEP: bool;
    /// Flags of uses that only [`HandleLookup::find_buffer`] knows.
    const USE_FLAGS: u32;
    /// What a job takes fences from and puts its own into.
    type Syncobjs: JobSyncobjs;

    /// Returns where the job is that an argument, or an element, describes; and takes references to what it takes fences from and puts its
    /// own into. `earlier` are those of the jobs before it in the call.
    ///
    /// Fails as the header says.
    fn resolve_job(
        &self,
        argument: UserArg,
        earlier: &[Self::Syncobjs],
    ) -> Result<(UserArg, Self::Syncobjs)>;

    /// Returns the buffer that a job uses. Fails with `EBADF` or `ENOENT`, `EINVAL` for what is no buffer.
    fn find_buffer(&self, used: &vfence_use) -> Result<ARef<DmaBuf>>;
}

/// What a job takes fences from and puts its own into. Dropping it leaves it as it was.
pub(crate) trait JobSyncobjs: Sized {
    /// Returns whether the job waits for anything.
    fn has_waits(&self) -> bool;

    /// Gives up what the job waits for, given those of the jobs before it in the call, which have been prepared. To be called once.
    ///
    /// Fails with `ENOSPC` for too many.
    fn take_in_fences(&mut self, earlier: &[Self]) -> Result<InFences>;

    /// Returns whether the job's fence is put anywhere.
    fn needs_fence(&self) -> bool;

    /// Takes note of the job's fence, if it is needed.
    fn set_fence(&mut self, fence: Linkable);

    /// Puts the fence, of which note was taken, where it belongs. Cannot fail; called when the job is published.
    fn publish(self);
}
