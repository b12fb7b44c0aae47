// SPDX-License-Identifier: GPL-2.0

//! The handles that jobs name: of GEM objects, and of syncobjs that they wait for and signal.

use crate::{
    drm::{
        find_fence,
        Driver,
        File,
        Object,
        Syncobj, //
    },
    drm_uapi::{
        drm_vfence_submit,
        drm_vfence_sync,
        DRM_VFENCE_MAX_LINKS,
        DRM_VFENCE_MAX_SYNCS,
        DRM_VFENCE_SYNC_WAIT_FOR_SUBMIT,
        DRM_VFENCE_USE_HANDLE, //
    },
    kernel_ext::{
        dma_buf::DmaBuf,
        dma_fence::Fence,
        dma_fence_chain::{
            AllocatedLink,
            Linkable, //
        },
        dma_fence_unwrap::unwrap, //
    },
    uapi::vfence_use,
    vfence::{
        job::{
            handles::{
                HandleLookup,
                JobSyncobjs, //
            },
            in_fences::InFences, //
        },
        uarg::UserArg, //
    },
};
use core::cell::Cell;
use kernel::{
    prelude::*,
    sync::aref::ARef, //
};

/// How many fences of a timeline, the last ones found, are compared with the next one. More queues than these seldom take turns on a
/// timeline.
const COMPARED: usize = 8;

/// The handles of an open file, during one call.
pub(super) struct DrmHandles<'a, D: Driver> {
    file: &'a File<D>,
    /// How many syncobjs the call has named, and how many links of timelines it has looked at.
    syncs: Cell<u32>,
    links: Cell<u32>,
}

impl<'a, D: Driver> DrmHandles<'a, D> {
    pub(super) fn new(file: &'a File<D>) -> Self {
        Self {
            file,
            syncs: Cell::new(0),
            links: Cell::new(0),
        }
    }

    /// Calls `f` with each element of an array. Fails with `EINVAL` if the call has named too many, for other flags than `flags`, and as `f`
    /// does.
    fn each(
        &self,
        array: u64,
        count: u32,
        size: u32,
        flags: u32,
        mut f: impl FnMut(drm_vfence_sync) -> Result,
    ) -> Result {
        let seen = self.syncs.get().checked_add(count).ok_or(EINVAL)?;
        if seen > DRM_VFENCE_MAX_SYNCS {
            return Err(EINVAL);
        }
        self.syncs.set(seen);
        for index in 0..count as usize {
            let element = UserArg::element(array, index, size as usize)?;
            let sync: drm_vfence_sync = element.read()?;
            if sync.flags & !flags != 0 {
                return Err(EINVAL);
            }
            f(sync)?;
        }
        Ok(())
    }

    /// Adds what a job waits for at a syncobj to `syncs`, whose `earlier` are those of the jobs before it in the call.
    fn wait_for(
        &self,
        syncs: &mut DrmJobSyncobjs,
        sync: &drm_vfence_sync,
        earlier: &[DrmJobSyncobjs],
    ) -> Result {
        let syncobj = Syncobj::find(self.file, sync.handle)?;
        if let Some((within, before)) = BatchWait::find(syncobj, sync.point, earlier)? {
            if let Some(fence) = before {
                self.take_apart(syncs, &fence)?;
            }
            return Ok(syncs.earlier.push(within, GFP_KERNEL_ACCOUNT)?);
        }
        let wait = sync.flags & DRM_VFENCE_SYNC_WAIT_FOR_SUBMIT != 0;
        let fence = find_fence(self.file, sync.handle, sync.point, wait)?;
        self.take_apart(syncs, &fence)
    }

    /// Adds the fences that `fence` stands for to `syncs`. Those of a timeline are found from its end on.
    fn take_apart(&self, syncs: &mut DrmJobSyncobjs, fence: &Fence) -> Result {
        let mut last = RecentFences::default();
        for fence in unwrap(fence) {
            let links = self.links.get() + 1;
            if links > DRM_VFENCE_MAX_LINKS {
                return Err(ENOSPC);
            }
            self.links.set(links);
            if last.is_new(&fence) {
                syncs.fences.add_plain(fence)?;
            }
        }
        Ok(())
    }
}

/// The fences that were found last, going back in time. Of several of the same context the one that was found first signals last, and is
/// the only one that has to be waited for.
#[derive(Default)]
struct RecentFences {
    fences: [Option<ARef<Fence>>; COMPARED],
    next: usize,
}

impl RecentFences {
    /// Returns whether a fence has to be waited for, and takes note of it then.
    fn is_new(&mut self, fence: &ARef<Fence>) -> bool {
        let mut found = self.fences.iter().flatten();
        if found.any(|later| later.is_same_or_later(fence)) {
            return false;
        }
        if let Some(place) = self.fences.get_mut(self.next % COMPARED) {
            *place = Some(fence.clone());
        }
        self.next += 1;
        true
    }
}

/// Jobs of the same call that a job waits for at a syncobj: those that signal it, from the first one to the last one, by index.
struct BatchWait {
    syncobj: ARef<Syncobj>,
    first: usize,
    last: usize,
}

impl BatchWait {
    /// Finds what the jobs `earlier`, which are before it in the call, put into `syncobj` for one that waits for `point`, and what
    /// was there and has to be waited for as well. Returns `None` if they do not put that there.
    ///
    /// It is what `dma_fence_chain_find_seqno()` would find if all of them had been published. Fails with `EINVAL` if that were no timeline
    /// any more.
    #[allow(clippy::type_complexity)]
    fn find(
        syncobj: ARef<Syncobj>,
        point: u64,
        earlier: &[DrmJobSyncobjs],
    ) -> Result<Option<(Self, Option<ARef<Fence>>)>> {
        let mut before = syncobj.fence();
        // The number of the timeline's last link, if it is one.
        let chain = before.as_ref().filter(|fence| fence.is_chain());
        let mut end = chain.map(|fence| fence.seqno());
        // From where on jobs count, and the one whose link is found.
        let (mut first, mut last, mut any) = (0, None, false);
        for (job, at) in signals(earlier, &syncobj) {
            any = true;
            let Some(at) = at else {
                // It takes the place of all that was there.
                (first, last, end, before) = (job, Some(job), None, None);
                continue;
            };
            // A link that does not come after the last one begins a timeline anew, which counts on from there.
            let previous = end.filter(|end| at > *end).unwrap_or(0);
            end = Some(end.map_or(at, |end| end.max(at)));
            if point == 0 || previous < point {
                last = Some(job);
            }
        }
        let reached = match end {
            _ if !any => return Ok(None),
            Some(end) => end >= point,
            None if point == 0 => true,
            None => return Err(EINVAL),
        };
        Ok(match last {
            Some(last) if reached => {
                let within = Self {
                    syncobj,
                    first,
                    last,
                };
                Some((within, before))
            }
            // They do not reach it, or it was there before them.
            _ => None,
        })
    }
}

/// Returns which of `jobs` signal a syncobj, and at which points; none for a binary one.
fn signals<'a>(
    jobs: &'a [DrmJobSyncobjs],
    syncobj: &'a Syncobj,
) -> impl DoubleEndedIterator<Item = (usize, Option<u64>)> + 'a {
    let of = move |(job, syncs): (usize, &'a DrmJobSyncobjs)| {
        let found = move |signal: &&SyncobjSignal| core::ptr::eq(&*signal.syncobj, syncobj);
        let signals = syncs.signals.iter().filter(found);
        signals.map(move |signal| (job, signal.at.as_ref().map(|(_, at)| *at)))
    };
    jobs.iter().enumerate().flat_map(of)
}

impl<D: Driver> HandleLookup for DrmHandles<'_, D> {
    const MIN_SUBMIT_SIZE: usize = 40;
    const MAY_SLEEP: bool = true;
    const USE_FLAGS: u32 = DRM_VFENCE_USE_HANDLE;
    type Syncobjs = DrmJobSyncobjs;

    fn resolve_job(
        &self,
        argument: UserArg,
        earlier: &[DrmJobSyncobjs],
    ) -> Result<(UserArg, DrmJobSyncobjs)> {
        let submit: drm_vfence_submit = argument.read()?;
        let mut syncs = DrmJobSyncobjs {
            waits: submit.in_sync_count != 0,
            fences: InFences::none(),
            earlier: KVVec::new(),
            signals: KVVec::new(),
            fence: None,
        };
        self.each(
            submit.in_syncs,
            submit.in_sync_count,
            submit.sync_size,
            DRM_VFENCE_SYNC_WAIT_FOR_SUBMIT,
            |sync| self.wait_for(&mut syncs, &sync, earlier),
        )?;
        self.each(
            submit.out_syncs,
            submit.out_sync_count,
            submit.sync_size,
            0,
            |sync| {
                let signal = SyncobjSignal::new(self.file, &sync)?;
                Ok(syncs.signals.push(signal, GFP_KERNEL_ACCOUNT)?)
            },
        )?;
        let job = UserArg::element(submit.job, 0, submit.job_size as usize)?;
        Ok((job, syncs))
    }

    fn find_buffer(&self, used: &vfence_use) -> Result<ARef<DmaBuf>> {
        if used.flags & DRM_VFENCE_USE_HANDLE == 0 {
            return DmaBuf::from_fd(used.fd);
        }
        // CAST: A handle has as many bits.
        let object = Object::lookup(self.file, used.fd as u32)?;
        Ok(object.buf().clone())
    }
}

/// A syncobj that a job signals.
struct SyncobjSignal {
    syncobj: ARef<Syncobj>,
    /// The point, and the memory for it; none for a binary one.
    at: Option<(AllocatedLink, u64)>,
}

impl SyncobjSignal {
    /// Fails with `ENOENT`, `ENOMEM`.
    fn new<D: Driver>(file: &File<D>, sync: &drm_vfence_sync) -> Result<Self> {
        Ok(Self {
            syncobj: Syncobj::find(file, sync.handle)?,
            at: match sync.point {
                0 => None,
                point => Some((AllocatedLink::new(GFP_KERNEL_ACCOUNT)?, point)),
            },
        })
    }
}

/// What a job waits for and signals by handles.
pub(super) struct DrmJobSyncobjs {
    /// Whether it waits for anything, if only for what has signalled.
    waits: bool,
    /// What it waits for, taken apart.
    fences: InFences,
    /// Jobs before it in the call that it waits for.
    earlier: KVVec<BatchWait>,
    signals: KVVec<SyncobjSignal>,
    /// Its own, once it is prepared, if there are signals.
    fence: Option<Linkable>,
}

impl JobSyncobjs for DrmJobSyncobjs {
    fn has_waits(&self) -> bool {
        self.waits
    }

    fn take_in_fences(&mut self, earlier: &[Self]) -> Result<InFences> {
        let mut fences = core::mem::replace(&mut self.fences, InFences::none());
        for within in &self.earlier {
            let jobs = earlier.get(..=within.last).unwrap_or_default();
            let mut last = RecentFences::default();
            for (job, _) in signals(jobs, &within.syncobj).rev() {
                if job < within.first {
                    break;
                }
                let Some(fence) = jobs.get(job).and_then(|syncs| syncs.fence.as_ref()) else {
                    continue;
                };
                let fence = fence.fence().into();
                if last.is_new(&fence) {
                    fences.add_plain(fence)?;
                }
            }
        }
        Ok(fences)
    }

    fn needs_fence(&self) -> bool {
        !self.signals.is_empty()
    }

    fn set_fence(&mut self, fence: Linkable) {
        self.fence = Some(fence);
    }

    fn publish(self) {
        let Some(fence) = self.fence else {
            return;
        };
        for SyncobjSignal { syncobj, at } in self.signals {
            match at {
                None => syncobj.replace_fence(Some(fence.fence())),
                Some((link, point)) => syncobj.add_point(link, &fence, point),
            }
        }
    }
}
