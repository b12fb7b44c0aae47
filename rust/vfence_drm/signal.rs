// SPDX-License-Identifier: GPL-2.0

//! `DRM_IOCTL_VFENCE_SYNCOBJ_SIGNAL`: puts a signalled fence with an error into syncobjs.

use crate::{
    drm::{
        Driver,
        File, //
    },
    drm_uapi::drm_vfence_syncobj_signal,
    kernel_ext::{
        dma_fence::{
            AllocatedFence,
            Context,
            DomainRef,
            DriverTimeline,
            Timeline, //
        },
        dma_fence_chain::NonChainFence,
        timekeeping::ktime_get, //
    },
    vfence::{
        client::Client,
        refusal::{
            must_be_errno,
            must_be_zero,
            refuse, //
        },
        uarg::UserArg, //
    },
    vfence_drm::syncobj::{
        publish_signals,
        DrmHandles,
        SyncobjSignal, //
    },
};
use kernel::{
    error::to_result,
    prelude::*,
    str::CStr, //
};

/// Puts one fence into all syncobjs of the call. Nothing fails after the first of them.
///
/// Fails as `struct drm_vfence_syncobj_signal` describes.
pub(super) fn signal<D: Driver<File = Client>>(file: &File<D>, argument: &UserArg) -> Result {
    let args: drm_vfence_syncobj_signal = argument.read()?;
    must_be_zero!("syncobj_signal: flags", args.flags)?;
    must_be_errno!("syncobj_signal: error", args.error)?;
    if args.error == 0 {
        return Err(refuse!(EINVAL, "syncobj_signal: error is 0"));
    }
    if args.sync_count == 0 {
        return Err(refuse!(EINVAL, "syncobj_signal: sync_count is 0"));
    }
    let mut signals = KVVec::new();
    DrmHandles::new(file).each(args.syncs, args.sync_count, args.sync_size, 0, |sync| {
        let signal = SyncobjSignal::new(file, &sync)?;
        Ok(signals.push(signal, GFP_KERNEL_ACCOUNT)?)
    })?;
    let fence = signalled(file.inner().device().shared().fences().clone(), args.error)?;
    for signal in &mut signals {
        signal.set_fence(fence.clone());
    }
    publish_signals(signals);
    Ok(())
}

/// Returns a new fence that has signalled now with the errno `error`. Fails with `ENOMEM`.
fn signalled(fences: DomainRef, error: i32) -> Result<NonChainFence> {
    // A context of its own: of several fences of one context, only the last counts for a job.
    let (context, data) = (Context::new().into(), Ok(NoWork));
    let timeline = Timeline::new::<Error>(fences, context, data, GFP_KERNEL_ACCOUNT)?;
    let pending = AllocatedFence::new(timeline, GFP_KERNEL_ACCOUNT)?.init();
    let fence = NonChainFence::from(&pending);
    pending.complete(to_result(error), ktime_get());
    Ok(fence)
}

/// The timeline of a fence that stands for no work. The core asks it nothing: the fence is visible
/// only once it has signalled.
struct NoWork;

#[vtable]
impl DriverTimeline for NoWork {
    type Seqno = u64;
    type FenceData = ();

    fn driver_name(&self) -> &CStr {
        crate::NAME
    }

    fn timeline_name(&self) -> &CStr {
        c"signalled"
    }

    fn set_deadline(&self, _data: &(), _seqno: u64, _deadline: i64) {}
}
