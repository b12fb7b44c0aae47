// SPDX-License-Identifier: GPL-2.0

//! The handles that jobs name: of GEM objects, and of syncobjs that they wait for and signal.

use super::DrmDriver;
use crate::{
    drm::{
        find_fence,
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
        argument::Argument,
        handles::{
            Handles,
            Syncs, //
        },
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
pub(super) struct FileHandles<'a> {
    file: &'a File<DrmDriver>,
    /// How many syncobjs the call has named, and how many links of timelines it has looked at.
    syncs: Cell<u32>,
    links: Cell<u32>,
}

impl<'a> FileHandles<'a> {
    pub(super) fn new(file: &'a File<DrmDriver>) -> Self {
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
            let element = Argument::element(array, index, size as usize)?;
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
        syncs: &mut JobSyncs,
        sync: &drm_vfence_sync,
        earlier: &[JobSyncs],
    ) -> Result {
        let syncobj = Syncobj::find(self.file, sync.handle)?;
        if let Some(submitted) = submitted(&syncobj, sync.point, earlier)? {
            if let (true, Some(fence)) = (submitted.and_before, syncobj.fence()) {
                self.take_apart(syncs, &fence)?;
            }
            for job in submitted.jobs {
                syncs.earlier.push(job, GFP_KERNEL_ACCOUNT)?;
            }
            return Ok(());
        }
        let wait = sync.flags & DRM_VFENCE_SYNC_WAIT_FOR_SUBMIT != 0;
        let fence = find_fence(self.file, sync.handle, sync.point, wait)?;
        self.take_apart(syncs, &fence)
    }

    /// Adds the fences that `fence` stands for to `syncs`. Those of a timeline are found from its end on, and of several of the same
    /// context, the last one signals last.
    fn take_apart(&self, syncs: &mut JobSyncs, fence: &Fence) -> Result {
        let first = syncs.fences.len();
        for fence in unwrap(fence) {
            let links = self.links.get() + 1;
            if links > DRM_VFENCE_MAX_LINKS {
                return Err(ENOSPC);
            }
            self.links.set(links);
            let found = syncs.fences.get(first..).unwrap_or_default();
            if !found
                .iter()
                .rev()
                .take(COMPARED)
                .any(|later| later.is_same_or_later(&fence))
            {
                syncs.fences.push(fence, GFP_KERNEL_ACCOUNT)?;
            }
        }
        Ok(())
    }
}

/// Jobs of the same call that signal a syncobj.
struct Submitted {
    /// Which ones have to be waited for.
    jobs: KVec<usize>,
    /// Whether what was there before the call has to be, too.
    and_before: bool,
}

/// Returns what a job has to wait for that waits for a point of `syncobj`, if `earlier`, the jobs before it in the call, submit that point.
fn submitted(syncobj: &Syncobj, point: u64, earlier: &[JobSyncs]) -> Result<Option<Submitted>> {
    let is_there = |fence: ARef<Fence>| fence.is_chain() && fence.seqno() >= point;
    if point != 0 && syncobj.fence().is_some_and(is_there) {
        return Ok(None);
    }
    let mut found = Submitted {
        jobs: KVec::new(),
        and_before: true,
    };
    let mut complete = false;
    let signals = earlier
        .iter()
        .enumerate()
        .flat_map(|(job, syncs)| syncs.signals.iter().map(move |signal| (job, signal)));
    for (job, signal) in signals.filter(|(_, signal)| core::ptr::eq(&*signal.syncobj, syncobj)) {
        if signal.at.is_none() {
            // It takes the place of all that was there.
            found.jobs.clear();
            found.and_before = false;
        }
        found.jobs.push(job, GFP_KERNEL_ACCOUNT)?;
        complete = match &signal.at {
            Some((_, at)) => *at >= point,
            None => point == 0,
        };
        if complete && point != 0 {
            break;
        }
    }
    Ok(complete.then_some(found))
}

impl Handles for FileHandles<'_> {
    const SMALLEST: usize = size_of::<drm_vfence_submit>();
    const WAITS: bool = true;
    const USE_FLAGS: u32 = DRM_VFENCE_USE_HANDLE;
    type Syncs = JobSyncs;

    fn job(&self, argument: Argument, earlier: &[JobSyncs]) -> Result<(Argument, JobSyncs)> {
        let submit: drm_vfence_submit = argument.read()?;
        let mut syncs = JobSyncs {
            fences: KVec::new(),
            earlier: KVec::new(),
            signals: KVec::new(),
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
                let signal = Signal::new(self.file, &sync)?;
                Ok(syncs.signals.push(signal, GFP_KERNEL_ACCOUNT)?)
            },
        )?;
        let job = Argument::element(submit.job, 0, submit.job_size as usize)?;
        Ok((job, syncs))
    }

    fn buf(&self, used: &vfence_use) -> Result<ARef<DmaBuf>> {
        if used.flags & DRM_VFENCE_USE_HANDLE == 0 {
            return DmaBuf::from_fd(used.fd);
        }
        // CAST: A handle has as many bits.
        let object = Object::lookup(self.file, used.fd as u32)?;
        Ok(object.buf().clone())
    }
}

/// A syncobj that a job signals.
struct Signal {
    syncobj: ARef<Syncobj>,
    /// The point, and the memory for it; none for a binary one.
    at: Option<(AllocatedLink, u64)>,
}

impl Signal {
    /// Fails with `ENOENT`, `ENOMEM`.
    fn new(file: &File<DrmDriver>, sync: &drm_vfence_sync) -> Result<Self> {
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
pub(super) struct JobSyncs {
    /// What it waits for, taken apart.
    fences: KVec<ARef<Fence>>,
    /// Jobs before it in the call that it waits for, by their index.
    earlier: KVec<usize>,
    signals: KVec<Signal>,
    /// Its own, once it is prepared, if there are signals.
    fence: Option<Linkable>,
}

impl Syncs for JobSyncs {
    fn waits(&self) -> bool {
        !self.fences.is_empty() || !self.earlier.is_empty()
    }

    fn in_fences<'a>(&'a self, earlier: &'a [Self]) -> impl Iterator<Item = &'a Fence> {
        let jobs = self.earlier.iter().filter_map(|job| earlier.get(*job));
        let fences = jobs.filter_map(|syncs| syncs.fence.as_ref());
        let known = self.fences.iter().map(|fence| &**fence);
        Iterator::chain(known, fences.map(Linkable::fence))
    }

    fn needs_fence(&self) -> bool {
        !self.signals.is_empty()
    }

    fn keep(&mut self, fence: Linkable) {
        self.fence = Some(fence);
    }

    fn publish(self) {
        let Some(fence) = self.fence else {
            return;
        };
        for Signal { syncobj, at } in self.signals {
            match at {
                None => syncobj.replace_fence(Some(fence.fence())),
                Some((link, point)) => syncobj.add_point(link, &fence, point),
            }
        }
    }
}
