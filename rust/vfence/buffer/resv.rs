// SPDX-License-Identifier: GPL-2.0

//! The buffers that a job uses, and whose fences it waits for and joins: implicit synchronisation.

use crate::{
    kernel_ext::{
        dma_buf::DmaBuf,
        dma_resv::{
            Addable,
            DmaResv,
            LockedAll,
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
        uarg::UserArg, //
    },
};
use kernel::{
    prelude::*,
    sync::aref::ARef, //
};

/// A buffer that a job uses.
struct BufferUse {
    buf: ARef<DmaBuf>,
    flags: u32,
}

impl BufferUse {
    fn writes(&self) -> bool {
        self.flags & VFENCE_USE_WRITE != 0
    }

    fn waits(&self) -> bool {
        self.flags & VFENCE_USE_NO_WAIT == 0
    }

    fn adds(&self) -> bool {
        self.flags & VFENCE_USE_NO_ADD == 0
    }
}

/// The buffers that a job uses.
pub(crate) struct BufferUses(KVec<BufferUse>);

impl BufferUses {
    /// Takes references to the buffers that `submit` names; `seen` is how many the call has named.
    ///
    /// Fails with `EINVAL` for too many and for unknown flags, `EBADF`, `EINVAL` for a file of another kind, `EFAULT`, `E2BIG`, `ENOMEM`.
    pub(crate) fn from_user<H: HandleLookup>(
        handles: &H,
        submit: &vfence_submit,
        seen: &mut u32,
    ) -> Result<Self> {
        const FLAGS: u32 = VFENCE_USE_WRITE | VFENCE_USE_NO_WAIT | VFENCE_USE_NO_ADD;

        let count = submit.use_count;
        *seen = seen.checked_add(count).ok_or(EINVAL)?;
        if *seen > VFENCE_MAX_USES {
            return Err(EINVAL);
        }
        let mut uses = KVec::with_capacity(count as usize, GFP_KERNEL_ACCOUNT)?;
        for index in 0..count as usize {
            let element = UserArg::element(submit.uses, index, submit.use_size as usize)?;
            let from: vfence_use = element.read()?;
            if from.flags & !(FLAGS | H::USE_FLAGS) != 0 {
                return Err(EINVAL);
            }
            let buf = handles.find_buffer(&from)?;
            let flags = from.flags;
            uses.push(BufferUse { buf, flags }, GFP_KERNEL_ACCOUNT)?;
        }
        Ok(Self(uses))
    }

    /// Returns how many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    fn get(&self, index: usize) -> Result<&BufferUse> {
        self.0.get(index).ok_or(EINVAL)
    }

    /// Returns a buffer. Fails with `EINVAL` if there are not as many.
    pub(crate) fn buffer(&self, index: usize) -> Result<&DmaBuf> {
        Ok(&self.get(index)?.buf)
    }

    /// Refuses, with `EINVAL`, a buffer that the job does not say it writes, and with `EACCES` one that the caller may only read.
    pub(crate) fn check_writable(&self, index: usize) -> Result {
        let used = self.get(index)?;
        if !used.writes() {
            return Err(EINVAL);
        }
        if !used.buf.is_writable() {
            return Err(EACCES);
        }
        Ok(())
    }

    /// Refuses, with `EACCES`, a buffer that the caller may only write.
    pub(crate) fn check_readable(&self, index: usize) -> Result {
        if !self.buffer(index)?.is_readable() {
            return Err(EACCES);
        }
        Ok(())
    }

    /// Returns whether two are the same buffer.
    pub(crate) fn is_same(&self, one: usize, other: usize) -> Result<bool> {
        Ok(core::ptr::eq(self.buffer(one)?, self.buffer(other)?))
    }

    /// Returns whether others are to wait for the job.
    pub(crate) fn any_adds_fence(&self) -> bool {
        self.0.iter().any(BufferUse::adds)
    }
}

/// Returns what reservation objects are ordered by.
fn address(resv: &DmaResv) -> *const DmaResv {
    resv
}

/// A job of the same call that others may have to wait for, and that uses a reservation object.
struct PlannedFence {
    /// Where the reservation object is among those that are locked.
    resv: usize,
    writes: bool,
    fence: Addable,
}

impl PlannedFence {
    /// Returns whether nobody has to wait for `other` any more who waits for this, which comes after it: as the core does when it
    /// adds a fence.
    fn replaces(&self, other: &Self) -> bool {
        other.resv == self.resv
            && other.fence.fence().context() == self.fence.fence().context()
            && (self.writes || !other.writes)
    }
}

/// The reservation objects of all buffers that the jobs of a call use, locked. Dropping it unlocks them.
pub(crate) struct LockedBuffers<'a> {
    all: LockedAll<'a>,
    /// Of the jobs that have been seen, for each queue and reservation object the last one that writes and the last one that reads.
    earlier: KVVec<PlannedFence>,
}

impl<'a> LockedBuffers<'a> {
    /// Locks what is used. Fails with `ERESTARTSYS` when a signal comes before, `ENOMEM`.
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
        let all = LockedAll::new(&resvs, GFP_KERNEL_ACCOUNT).map_err(|error| {
            if error == EINTR {
                ERESTARTSYS
            } else {
                error
            }
        })?;
        Ok(Self {
            all,
            earlier: KVVec::new(),
        })
    }

    /// Returns where what is used is among those that are locked.
    fn place(&self, used: &BufferUse) -> Option<usize> {
        let guards = self.all.guards();
        guards
            .binary_search_by_key(&address(used.buf.resv()), |guard| address(guard.resv()))
            .ok()
    }

    /// Has `in_fences` wait for what a job has to wait for before it uses `uses`, and makes room for its own
    /// fence, which is `fence` unless nobody is to wait for it. Jobs come in their order.
    ///
    /// Fails with `ENOSPC` for too many fences, `ENOMEM`.
    pub(crate) fn prepare(
        &mut self,
        context: u64,
        uses: &BufferUses,
        in_fences: &mut InFences,
        fence: impl Fn() -> Option<Addable>,
        seen: &mut usize,
    ) -> Result {
        for used in &uses.0 {
            let place = self.place(used).ok_or(EINVAL)?;
            if used.waits() {
                let usage = Usage::to_wait_for(used.writes());
                // Those of the same queue end before it anyhow.
                let fences = self.all.guards().get(place).into_iter();
                let fences = fences.flat_map(|guard| guard.fences(usage));
                for other in fences.filter(|other| other.context() != context) {
                    in_fences.add_pending(other, seen)?;
                }
                let earlier = self.earlier.iter().filter(|earlier| {
                    earlier.resv == place
                        && (earlier.writes || used.writes())
                        && earlier.fence.fence().context() != context
                });
                for earlier in earlier {
                    in_fences.add_pending(earlier.fence.fence(), seen)?;
                }
            }
            if !used.adds() {
                continue;
            }
            if let Some(fence) = fence() {
                let earlier = PlannedFence {
                    resv: place,
                    writes: used.writes(),
                    fence,
                };
                self.earlier.retain(|other| !earlier.replaces(other));
                self.earlier.push(earlier, GFP_KERNEL_ACCOUNT)?;
                let same = |earlier: &&PlannedFence| earlier.resv == place;
                // CAST: A call has no more than `VFENCE_MAX_USES`.
                let count = self.earlier.iter().filter(same).count() as u32;
                self.all.reserve(place, count)?;
            }
        }
        Ok(())
    }

    /// Adds the jobs' fences to what they use, for which there is room.
    pub(crate) fn add_fences(&mut self) {
        for earlier in &self.earlier {
            let usage = if earlier.writes {
                Usage::Write
            } else {
                Usage::Read
            };
            // `prepare()` has made room.
            let _ = self.all.add(earlier.resv, &earlier.fence, usage);
        }
    }
}
