// SPDX-License-Identifier: GPL-2.0

//! The handles that jobs name on a DRM node: of syncobjs that they wait for and signal, and of GEM
//! objects that they use.
//!
//! A job waits for the fence that a syncobj has at the time of the call. A job of a batch can also
//! wait for a point that an earlier job of the batch signals. That job is not published yet, so the
//! fence is not in the syncobj: [`BatchWait`] finds it among the earlier jobs.

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
            NonChainFence, //
        }, //
    },
    uapi::vfence_use,
    vfence::{
        client::Client,
        job::{
            handles::{
                HandleLookup,
                JobSyncobjs, //
            },
            in_fences::{
                unwrap_bounded,
                InFences, //
            },
        },
        refusal::{
            must_be_zero,
            refuse, //
        },
        uarg::UserArg, //
    },
};
use core::{
    cell::Cell,
    mem::offset_of, //
};
use kernel::{
    prelude::*,
    sync::aref::ARef, //
};

/// The number of fences that [`RecentFences`] holds. A job waits for one fence of each queue if no
/// more queues than that alternate on a timeline.
const RECENT_FENCES: usize = 8;

/// Among how many later signals of a call that of the same timeline is found. The timeline is
/// walked once in a call if no more timelines than that alternate.
const SIGNALS_AHEAD: usize = 8;

/// Most fences that the waits of one call examine.
const MAX_LINKS: usize = DRM_VFENCE_MAX_LINKS as usize;

/// The handles of an open file. Lives as long as a call, and enforces the limits of a call.
pub(super) struct DrmHandles<'a, D: Driver> {
    file: &'a File<D>,
    /// The number of syncobjs that the call has named, at most `DRM_VFENCE_MAX_SYNCS`.
    syncs: Cell<u32>,
    /// The number of fences that the call has examined, at most `DRM_VFENCE_MAX_LINKS`.
    links: Cell<usize>,
}

impl<'a, D: Driver<File = Client>> DrmHandles<'a, D> {
    /// Returns the handles of `file` for one call.
    pub(super) fn new(file: &'a File<D>) -> Self {
        Self {
            file,
            syncs: Cell::new(0),
            links: Cell::new(0),
        }
    }

    /// Calls `f` with each of the `count` elements of the array at `array` in user space, which
    /// have the size `size`.
    ///
    /// Fails with `EINVAL` for more than `DRM_VFENCE_MAX_SYNCS` in the call or for flags other than
    /// `flags`, with `EFAULT` or `E2BIG` for the array, and as `f` does.
    pub(super) fn each(
        &self,
        array: u64,
        count: u32,
        size: u32,
        flags: u32,
        mut f: impl FnMut(drm_vfence_sync) -> Result,
    ) -> Result {
        let syncs = self.syncs.get().saturating_add(count);
        if syncs > DRM_VFENCE_MAX_SYNCS {
            return Err(refuse!(
                EINVAL,
                "the call names {} syncobjs or more, DRM_VFENCE_MAX_SYNCS is {}",
                syncs,
                DRM_VFENCE_MAX_SYNCS
            ));
        }
        self.syncs.set(syncs);
        for index in 0..count as usize {
            let element = UserArg::element("syncs", array, index, size as usize)?;
            let sync: drm_vfence_sync = element.read()?;
            must_be_zero!("unknown part of the flags of a sync", sync.flags & !flags)?;
            f(sync)?;
        }
        Ok(())
    }

    /// Adds the fences that a job waits for at the syncobj and point of `sync` to `syncobjs`, those
    /// of the job. `earlier` are the syncobjs of the jobs before it in the call.
    ///
    /// Fails as `struct drm_vfence_sync` describes, and with `ENOMEM`.
    fn wait_for(
        &self,
        syncobjs: &mut DrmJobSyncobjs,
        sync: &drm_vfence_sync,
        earlier: &[DrmJobSyncobjs],
    ) -> Result {
        let syncobj = find_syncobj(self.file, sync.handle)?;
        if let Some(mut wait) = BatchWait::find(syncobj, sync.point, earlier)? {
            if let Some(fence) = wait.present.take() {
                self.add_fences(syncobjs, &fence)?;
            }
            return Ok(syncobjs.batch_waits.push(wait, GFP_KERNEL_ACCOUNT)?);
        }
        let find = |wait| {
            find_fence(self.file, sync.handle, sync.point, wait)
                .map_err(|error| no_fence(sync, error))
        };
        let fence = if sync.flags & DRM_VFENCE_SYNC_WAIT_FOR_SUBMIT == 0 {
            find(false)?
        } else {
            // The core sleeps, up to 5 s, until the fence is submitted.
            let client = self.file.inner();
            client.events.presence().interrupt_if_lost(|| find(true))?
        };
        self.add_fences(syncobjs, &fence)
    }

    /// Adds the fences that the container `fence` consists of to `syncobjs`. Those of a timeline
    /// come in descending order.
    ///
    /// Fails with `ENOSPC` if the call has examined more than `DRM_VFENCE_MAX_LINKS`, and as
    /// [`InFences::add`] does.
    fn add_fences(&self, syncobjs: &mut DrmJobSyncobjs, fence: &Fence) -> Result {
        let (mut recent, mut links) = (RecentFences::default(), self.links.get());
        let result = unwrap_bounded(fence, &mut links, MAX_LINKS, too_many_links, |fence| {
            if !recent.insert(&fence) {
                return Ok(());
            }
            syncobjs.in_fences.add(fence)
        });
        self.links.set(links);
        result
    }
}

/// The last fences of a walk from the end of a timeline to its beginning. The walk meets the latest
/// fence of a context first, and a job needs to wait for that one only. The comparison is limited
/// to [`RECENT_FENCES`] fences, which bounds the cost of a step.
#[derive(Default)]
struct RecentFences {
    fences: [Option<ARef<Fence>>; RECENT_FENCES],
    /// The number of insertions. The next one replaces entry `inserted % RECENT_FENCES`.
    inserted: usize,
}

impl RecentFences {
    /// Inserts `fence` and returns true, unless a fence is present that signals no earlier.
    fn insert(&mut self, fence: &ARef<Fence>) -> bool {
        let mut present = self.fences.iter().flatten();
        if present.any(|later| later.is_same_or_later(fence)) {
            return false;
        }
        if let Some(place) = self.fences.get_mut(self.inserted % RECENT_FENCES) {
            *place = Some(fence.clone());
        }
        self.inserted += 1;
        true
    }
}

/// A wait for a point of a syncobj that earlier jobs of the same call signal.
struct BatchWait {
    syncobj: ARef<Syncobj>,
    /// The fence that the syncobj has before the call, if the wait includes it.
    present: Option<ARef<Fence>>,
    /// The indices of the first and the last job of the range in which the wait includes all jobs
    /// that signal the syncobj.
    first: usize,
    last: usize,
}

impl BatchWait {
    /// Returns the wait for `point` of `syncobj`: what `dma_fence_chain_find_seqno()` would find if
    /// all jobs of `earlier` were published. Returns `None` if none of them has to signal for it.
    ///
    /// Fails with `EINVAL` if a job makes the syncobj a binary one and `point` is not 0.
    fn find(
        syncobj: ARef<Syncobj>,
        point: u64,
        earlier: &[DrmJobSyncobjs],
    ) -> Result<Option<Self>> {
        let mut present = syncobj.fence();
        // The seqno of the last link; `None` if the syncobj is no timeline.
        let chain = present.as_ref().filter(|fence| fence.is_chain());
        let mut end = chain.map(|fence| fence.seqno());
        let (mut first, mut last, mut signalled) = (0, None, false);
        for (job, at) in signals(earlier, &syncobj) {
            signalled = true;
            let Some(at) = at else {
                // A binary signal replaces the fence, and with it all earlier points.
                (first, last, end, present) = (job, Some(job), None, None);
                continue;
            };
            // `prev_seqno` and seqno of the new link, as dma_fence_chain_init() sets them.
            let previous = end.filter(|end| at > *end).unwrap_or(0);
            end = Some(end.map_or(at, |end| end.max(at)));
            if point == 0 || previous < point {
                last = Some(job);
            }
        }
        if !signalled {
            return Ok(None);
        }
        let reached = match end {
            Some(end) => end >= point,
            None if point == 0 => true,
            None => {
                return Err(refuse!(
                    EINVAL,
                    "submit: point {} of a syncobj that an earlier job of the call turns into a \
                     binary one",
                    point
                ))
            }
        };
        // Without `last`, the syncobj has reached the point before the call.
        Ok(last.filter(|_| reached).map(|last| Self {
            syncobj,
            present,
            first,
            last,
        }))
    }
}

/// Returns the index of each job that signals `syncobj`, with the point, or `None` for a binary
/// signal.
fn signals<'a>(
    jobs: &'a [DrmJobSyncobjs],
    syncobj: &'a Syncobj,
) -> impl DoubleEndedIterator<Item = (usize, Option<u64>)> + 'a {
    let of_job = move |(job, syncobjs): (usize, &'a DrmJobSyncobjs)| {
        let same = move |signal: &&SyncobjSignal| core::ptr::eq(&*signal.syncobj, syncobj);
        let signals = syncobjs.signals.iter().filter(same);
        signals.map(move |signal| (job, signal.point.as_ref().map(|(_, point)| *point)))
    };
    jobs.iter().enumerate().flat_map(of_job)
}

impl<D: Driver<File = Client>> HandleLookup for DrmHandles<'_, D> {
    // The last field of the first version.
    const MIN_SUBMIT_SIZE: usize = offset_of!(drm_vfence_submit, out_sync_count) + size_of::<u32>();
    const MAY_SLEEP: bool = true;
    const USE_FLAGS: u32 = DRM_VFENCE_USE_HANDLE;
    type Syncobjs = DrmJobSyncobjs;

    fn resolve_job(
        &self,
        argument: UserArg,
        earlier: &[DrmJobSyncobjs],
    ) -> Result<(UserArg, DrmJobSyncobjs)> {
        let submit: drm_vfence_submit = argument.read()?;
        let mut syncobjs = DrmJobSyncobjs {
            wait_count: submit.in_sync_count,
            in_fences: InFences::new(),
            batch_waits: KVVec::new(),
            signals: KVVec::new(),
            fence: None,
        };
        self.each(
            submit.in_syncs,
            submit.in_sync_count,
            submit.sync_size,
            DRM_VFENCE_SYNC_WAIT_FOR_SUBMIT,
            |sync| self.wait_for(&mut syncobjs, &sync, earlier),
        )?;
        self.each(
            submit.out_syncs,
            submit.out_sync_count,
            submit.sync_size,
            0,
            |sync| {
                let signal = SyncobjSignal::new(self.file, &sync)?;
                Ok(syncobjs.signals.push(signal, GFP_KERNEL_ACCOUNT)?)
            },
        )?;
        let job = UserArg::element("submit: job", submit.job, 0, submit.job_size as usize)?;
        Ok((job, syncobjs))
    }

    fn find_buffer(&self, used: &vfence_use) -> Result<ARef<DmaBuf>> {
        if used.flags & DRM_VFENCE_USE_HANDLE == 0 {
            return DmaBuf::from_fd(used.fd);
        }
        // CAST: A handle has 32 bits.
        let object = Object::lookup(self.file, used.fd as u32)?;
        Ok(object.buf().clone())
    }
}

/// Returns the syncobj with the handle `handle`. Fails with `ENOENT`.
fn find_syncobj<D: Driver>(file: &File<D>, handle: u32) -> Result<ARef<Syncobj>> {
    Syncobj::find(file, handle)
        .map_err(|_| refuse!(ENOENT, "{} is not the handle of a syncobj", handle))
}

/// Returns `error`, with which the search for the fence of `sync` has failed.
#[cold]
#[inline(never)]
fn no_fence(sync: &drm_vfence_sync, error: Error) -> Error {
    if error == EINVAL {
        refuse!(
            EINVAL,
            "submit: syncobj {} has no fence at point {}, and no \
             DRM_VFENCE_SYNC_WAIT_FOR_SUBMIT",
            sync.handle,
            sync.point
        )
    } else if error == ETIME {
        refuse!(
            ETIME,
            "submit: no fence was submitted for point {} of syncobj {} within 5 seconds",
            sync.point,
            sync.handle
        )
    } else {
        error
    }
}

/// Returns the error of a call whose waits examine more than [`MAX_LINKS`] fences.
#[cold]
#[inline(never)]
fn too_many_links() -> Error {
    refuse!(
        ENOSPC,
        "submit: the syncobjs that the call waits for have more than DRM_VFENCE_MAX_LINKS, {}, \
         fences, signalled or pending",
        MAX_LINKS
    )
}

/// A syncobj that a job, or a call without one, signals.
pub(super) struct SyncobjSignal {
    syncobj: ARef<Syncobj>,
    /// The point of a timeline and its link, `None` for a binary syncobj.
    point: Option<(AllocatedLink, u64)>,
    /// The fence, from [`SyncobjSignal::set_fence`] on.
    fence: Option<NonChainFence>,
}

impl SyncobjSignal {
    /// Fails with `ENOENT` for an unknown handle, `ENOMEM`.
    pub(super) fn new<D: Driver>(file: &File<D>, sync: &drm_vfence_sync) -> Result<Self> {
        Ok(Self {
            syncobj: find_syncobj(file, sync.handle)?,
            fence: None,
            point: match sync.point {
                0 => None,
                point => Some((AllocatedLink::new(GFP_KERNEL_ACCOUNT)?, point)),
            },
        })
    }

    /// Sets the fence that [`publish_signals`] puts into the syncobj.
    pub(super) fn set_fence(&mut self, fence: NonChainFence) {
        self.fence = Some(fence);
    }
}

/// The syncobjs of a job on a DRM node.
pub(super) struct DrmJobSyncobjs {
    wait_count: u32,
    /// The fences that the syncobjs have.
    in_fences: InFences,
    /// The waits for earlier jobs of the call, whose fences do not exist yet.
    batch_waits: KVVec<BatchWait>,
    signals: KVVec<SyncobjSignal>,
    /// The fence of the job, from [`JobSyncobjs::set_fence`] on.
    fence: Option<NonChainFence>,
}

impl JobSyncobjs for DrmJobSyncobjs {
    fn wait_count(&self) -> u32 {
        self.wait_count
    }

    fn take_in_fences(&mut self, earlier: &[Self]) -> Result<InFences> {
        let mut in_fences = core::mem::replace(&mut self.in_fences, InFences::new());
        for wait in &self.batch_waits {
            let jobs = earlier.get(..=wait.last).unwrap_or_default();
            let mut recent = RecentFences::default();
            for (job, _) in signals(jobs, &wait.syncobj).rev() {
                if job < wait.first {
                    break;
                }
                let Some(fence) = jobs.get(job).and_then(|syncobjs| syncobjs.fence.as_ref()) else {
                    continue;
                };
                let fence = fence.fence().into();
                if recent.insert(&fence) {
                    in_fences.add(fence)?;
                }
            }
        }
        Ok(in_fences)
    }

    fn needs_fence(&self) -> bool {
        !self.signals.is_empty()
    }

    fn set_fence(&mut self, fence: NonChainFence) {
        for signal in &mut self.signals {
            signal.set_fence(fence.clone());
        }
        self.fence = Some(fence);
    }

    fn publish(mut jobs: impl Iterator<Item = Self>) {
        let Some(mut signals) = jobs.next().map(|job| job.signals) else {
            return;
        };
        for job in jobs {
            // Without memory, the timelines are walked more often.
            if signals.reserve(job.signals.len(), GFP_KERNEL).is_err() {
                publish_signals(core::mem::replace(&mut signals, job.signals));
                continue;
            }
            for signal in job.signals {
                // There is room, see above.
                let _ = signals.push(signal, GFP_KERNEL);
            }
        }
        publish_signals(signals);
    }
}

/// Puts the fences of `signals` into their syncobjs.
///
/// The core walks a timeline whenever a point is added. So only the last point of a timeline is
/// added this way, or one that no later point of the timeline follows soon.
pub(super) fn publish_signals(mut signals: KVVec<SyncobjSignal>) {
    for index in 0..signals.len() {
        let Some((signal, later)) = signals[index..].split_first_mut() else {
            break;
        };
        let same = |later: &&SyncobjSignal| core::ptr::eq(&*later.syncobj, &*signal.syncobj);
        let next = later.iter().take(SIGNALS_AHEAD).find(same);
        let next = next.and_then(|next| next.point.as_ref().map(|(_, point)| *point));
        let Some(fence) = signal.fence.take() else {
            continue;
        };
        match signal.point.take() {
            None => signal.syncobj.replace_fence(Some(fence.fence())),
            // A waiter for this point must not wait for the next one if that is not later.
            Some((link, point)) if next.is_some_and(|next| next > point) => {
                signal.syncobj.append_point(link, fence, point);
            }
            Some((link, point)) => signal.syncobj.add_point(link, &fence, point),
        }
    }
}
