// SPDX-License-Identifier: GPL-2.0

//! The buffers that a job uses, and their reservation objects: implicit synchronisation.
//!
//! [`LockedBuffers::prepare`] adds to the in-fences of a job the fences that each use has to wait
//! for, and reserves a slot for the job's own fence. [`LockedBuffers::add_fences`], which cannot
//! fail, adds the fences of all jobs once they are published. The locks are held from the former to
//! the latter, so that another call finds the fences.

use crate::{
    kernel_ext::{
        dma_buf::DmaBuf,
        dma_resv::{
            DmaResv,
            DmaResvGuards,
            NonContainerFence,
            Usage, //
        },
    },
    uapi::{
        vfence_submit,
        vfence_use,
        VFENCE_MAX_USES,
        VFENCE_USE_NO_ADD,
        VFENCE_USE_NO_WAIT,
        VFENCE_USE_WRITE, //
    },
    vfence::{
        job::{
            handles::HandleLookup,
            in_fences::InFences, //
        },
        refusal::{
            must_be_zero,
            refuse, //
        },
        uarg::UserArg, //
    },
};
use kernel::{
    prelude::*,
    sync::aref::ARef, //
};

/// A use of a buffer by a job: `struct vfence_use`.
struct BufferUse {
    buf: ARef<DmaBuf>,
    /// `VFENCE_USE_*`.
    flags: u32,
}

impl BufferUse {
    fn writes(&self) -> bool {
        self.flags & VFENCE_USE_WRITE != 0
    }

    /// Returns whether the job waits for fences of the reservation object.
    fn waits(&self) -> bool {
        self.flags & VFENCE_USE_NO_WAIT == 0
    }

    /// Returns whether the job's fence goes into the reservation object.
    fn adds_fence(&self) -> bool {
        self.flags & VFENCE_USE_NO_ADD == 0
    }
}

/// The uses of a job, in the order of `vfence_submit.uses`.
pub(crate) struct BufferUses(KVec<BufferUse>);

impl BufferUses {
    /// Copies the uses of a job from user space and takes references to the buffers. `call_uses` is
    /// the number of uses in the call, to which those of the job are added.
    ///
    /// Fails with `EINVAL` for more than `VFENCE_MAX_USES` in the call or for unknown flags, with
    /// `EFAULT` or `E2BIG` for the array, as [`HandleLookup::find_buffer`] does, and with `ENOMEM`.
    pub(crate) fn from_user<H: HandleLookup>(
        handles: &H,
        submit: &vfence_submit,
        call_uses: &mut u32,
    ) -> Result<Self> {
        const FLAGS: u32 = VFENCE_USE_WRITE | VFENCE_USE_NO_WAIT | VFENCE_USE_NO_ADD;

        let count = submit.use_count;
        *call_uses = call_uses.saturating_add(count);
        if *call_uses > VFENCE_MAX_USES {
            return Err(refuse!(
                EINVAL,
                "submit: use_count {} exceeds VFENCE_MAX_USES, {}, with those of the jobs before",
                count,
                VFENCE_MAX_USES
            ));
        }
        let mut uses = KVec::with_capacity(count as usize, GFP_KERNEL_ACCOUNT)?;
        for index in 0..count as usize {
            let size = submit.use_size as usize;
            let element = UserArg::element("submit: uses", submit.uses, index, size)?;
            let from: vfence_use = element.read()?;
            must_be_zero!(
                "submit: unknown part of the flags of a use",
                from.flags & !(FLAGS | H::USE_FLAGS)
            )?;
            let buf = handles.find_buffer(&from);
            let buf = buf.map_err(|error| no_buffer(index, from.fd, error))?;
            let flags = from.flags;
            uses.push(BufferUse { buf, flags }, GFP_KERNEL_ACCOUNT)?;
        }
        Ok(Self(uses))
    }

    /// Returns the number of uses.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns use `index`. Fails with `EINVAL` if there is none.
    fn get(&self, index: usize) -> Result<&BufferUse> {
        let count = self.0.len();
        self.0.get(index).ok_or_else(|| {
            refuse!(
                EINVAL,
                "operation: buffer {} is not one of the job's {} uses",
                index,
                count
            )
        })
    }

    /// Returns the buffer of use `index`. Fails with `EINVAL` if there is none.
    pub(crate) fn buffer(&self, index: usize) -> Result<&DmaBuf> {
        Ok(&self.get(index)?.buf)
    }

    /// Checks that use `index` is a write. Fails with `EINVAL` if not, and with `EACCES` if the
    /// descriptor of the buffer is not open for writing.
    pub(crate) fn check_writable(&self, index: usize) -> Result {
        let used = self.get(index)?;
        if !used.writes() {
            return Err(refuse!(
                EINVAL,
                "operation: target {} is a use without VFENCE_USE_WRITE",
                index
            ));
        }
        if !used.buf.is_writable() {
            return Err(refuse!(
                EACCES,
                "operation: the descriptor of target {} is not open for writing",
                index
            ));
        }
        Ok(())
    }

    /// Checks that the buffer of use `index` may be read. Fails with `EINVAL` if there is no such
    /// use, and with `EACCES` if the descriptor of the buffer is not open for reading.
    pub(crate) fn check_readable(&self, index: usize) -> Result {
        if !self.buffer(index)?.is_readable() {
            return Err(refuse!(
                EACCES,
                "operation: the descriptor of source {} is open for writing only",
                index
            ));
        }
        Ok(())
    }

    /// Returns whether two uses are of the same buffer. Fails with `EINVAL` if there is no such
    /// use.
    pub(crate) fn is_same(&self, one: usize, other: usize) -> Result<bool> {
        Ok(core::ptr::eq(self.buffer(one)?, self.buffer(other)?))
    }

    /// Returns whether the job's fence goes into any reservation object.
    pub(crate) fn any_adds_fence(&self) -> bool {
        self.0.iter().any(BufferUse::adds_fence)
    }
}

/// Returns `error`, with which the buffer of use `index` was refused. `number` is its descriptor
/// or its handle.
#[cold]
#[inline(never)]
fn no_buffer(index: usize, number: i32, error: Error) -> Error {
    if error == EBADF {
        refuse!(
            EBADF,
            "submit: uses[{}].fd, {}, is not an open file descriptor",
            index,
            number
        )
    } else if error == ENOENT {
        refuse!(
            ENOENT,
            "submit: uses[{}].fd, {}, is not the handle of a GEM object",
            index,
            number
        )
    } else {
        refuse!(
            error,
            "submit: uses[{}].fd, {}, is a file but not a dma-buf",
            index,
            number
        )
    }
}

/// Returns the address of a reservation object, by which [`LockedBuffers`] sorts.
fn address(resv: &DmaResv) -> *const DmaResv {
    resv
}

/// The fence of a job of the call that [`LockedBuffers::add_fences`] will add to a reservation
/// object.
struct PlannedFence {
    /// The index of the reservation object in [`LockedBuffers::guards`].
    resv: usize,
    /// Whether the job writes the buffer: the usage is `Write`, otherwise `Read`.
    writes: bool,
    fence: NonContainerFence,
}

impl PlannedFence {
    /// Returns whether this fence replaces `earlier`, which is of an earlier job. The core applies
    /// the same rule when it adds a fence: context and reservation object are the same, and a job
    /// that waits for the usage of `earlier` also waits for that of this fence.
    fn replaces(&self, earlier: &Self) -> bool {
        earlier.resv == self.resv
            && earlier.fence.fence().context() == self.fence.fence().context()
            && (self.writes || !earlier.writes)
    }
}

/// The locked reservation objects of all buffers that the jobs of a call use. Dropping it unlocks
/// them.
pub(crate) struct LockedBuffers<'a> {
    /// Sorted by [`address`].
    guards: DmaResvGuards<'a>,
    /// The fences of the jobs that were prepared, without those that a later one replaces.
    planned: KVVec<PlannedFence>,
}

impl<'a> LockedBuffers<'a> {
    /// Locks the reservation objects of all buffers that `jobs` use, each once.
    ///
    /// Fails with `ERESTARTSYS` if a signal interrupts the wait for a lock, `ENOMEM`.
    pub(crate) fn lock(jobs: impl Iterator<Item = &'a BufferUses>) -> Result<Self> {
        let mut resvs: KVVec<&'a DmaResv> = KVVec::new();
        for used in jobs.flat_map(|uses| uses.0.iter()) {
            let resv = used.buf.resv();
            let place = resvs.binary_search_by_key(&address(resv), |resv| address(resv));
            if let Err(place) = place {
                resvs.reserve(1, GFP_KERNEL_ACCOUNT)?;
                resvs
                    .insert_within_capacity(place, resv)
                    .map_err(|_| ENOMEM)?;
            }
        }
        let guards = DmaResvGuards::new(&resvs, GFP_KERNEL_ACCOUNT).map_err(|error| {
            if error == EINTR {
                ERESTARTSYS
            } else {
                error
            }
        })?;
        Ok(Self {
            guards,
            planned: KVVec::new(),
        })
    }

    /// Returns the index of the reservation object of a use.
    fn index(&self, used: &BufferUse) -> Option<usize> {
        let guards = self.guards.guards();
        guards
            .binary_search_by_key(&address(used.buf.resv()), |guard| address(guard.resv()))
            .ok()
    }

    /// Adds to `in_fences` the fences that a job with the uses `uses` has to wait for, and reserves
    /// slots for its own fence. The jobs of a call are prepared in their order.
    ///
    /// `context` is the context of the job's queue. Its fences are skipped, because the jobs of a
    /// queue complete in order. `fence` returns the job's fence, `None` if the job has none.
    /// `scanned` counts the fences that the call has examined.
    ///
    /// Fails as [`InFences::add_pending`] does, and with `ENOMEM`.
    pub(crate) fn prepare(
        &mut self,
        context: u64,
        uses: &BufferUses,
        in_fences: &mut InFences,
        fence: impl Fn() -> Option<NonContainerFence>,
        scanned: &mut usize,
    ) -> Result {
        for used in &uses.0 {
            let resv = self.index(used).ok_or(EINVAL)?;
            if used.waits() {
                let usage = Usage::to_wait_for(used.writes());
                let guards = self.guards.guards().get(resv).into_iter();
                let present = guards.flat_map(|guard| guard.fences(usage));
                for other in present.filter(|other| other.context() != context) {
                    in_fences.add_pending(other, scanned)?;
                }
                let planned = self.planned.iter().filter(|planned| {
                    planned.resv == resv
                        && (planned.writes || used.writes())
                        && planned.fence.fence().context() != context
                });
                for planned in planned {
                    in_fences.add_pending(planned.fence.fence(), scanned)?;
                }
            }
            if !used.adds_fence() {
                continue;
            }
            if let Some(fence) = fence() {
                let planned = PlannedFence {
                    resv,
                    writes: used.writes(),
                    fence,
                };
                self.planned.retain(|earlier| !planned.replaces(earlier));
                self.planned.push(planned, GFP_KERNEL_ACCOUNT)?;
                let same = |planned: &&PlannedFence| planned.resv == resv;
                // CAST: A call has at most `VFENCE_MAX_USES` uses.
                let count = self.planned.iter().filter(same).count() as u32;
                self.guards.reserve(resv, count)?;
            }
        }
        Ok(())
    }

    /// Adds the fences of all prepared jobs to the reservation objects.
    pub(crate) fn add_fences(&mut self) {
        for planned in &self.planned {
            let usage = if planned.writes {
                Usage::Write
            } else {
                Usage::Read
            };
            // `prepare()` has reserved the slot, so this does not fail.
            let _ = self.guards.add(planned.resv, &planned.fence, usage);
        }
    }
}
