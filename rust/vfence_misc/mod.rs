// SPDX-License-Identifier: GPL-2.0

//! The misc devices `/dev/vfence` and `/dev/sw_sync`. This file has the ioctls of the former.

#![deny(unsafe_code)]

use crate::{
    kernel_ext::{
        dma_buf::DmaBuf,
        dma_fence_chain::NonChainFence,
        miscdevice::{
            IoctlReturn,
            MiscDevice, //
        },
    },
    uapi::{
        vfence_use,
        VFENCE_IOCTL_TYPE, //
    },
    vfence::{
        client::Client,
        ioctl::{
            self,
            fast,
            submit::EARLIER_SIZES, //
        },
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
use kernel::{
    ioctl::_IO,
    prelude::*,
    sync::aref::ARef, //
};

pub(crate) mod sw_sync;

impl MiscDevice for Client {
    fn ioctl(client: Pin<&Self>, cmd: u32, arg: usize) -> IoctlReturn {
        match cmd {
            SIGNAL_NEXT => fast::signal_next(&client, arg),
            CREATE_FENCE => fast::create_fence(&client, arg),
            _ => ioctl::dispatch(&client, &FdsOnly, cmd, cmd, arg).into(),
        }
    }
}

/// The fast ioctls, whose argument is a number. DRM has none: its core takes every argument for a
/// pointer.
const CREATE_FENCE: u32 = _IO(VFENCE_IOCTL_TYPE, 0x0d);
const SIGNAL_NEXT: u32 = _IO(VFENCE_IOCTL_TYPE, 0x0e);

/// Jobs name objects by file descriptor only.
struct FdsOnly;

/// The syncobjs of a job on `/dev/vfence`: none.
struct NoSyncobjs;

impl HandleLookup for FdsOnly {
    const MIN_SUBMIT_SIZE: usize = EARLIER_SIZES[0];
    const MAY_SLEEP: bool = false;
    const USE_FLAGS: u32 = 0;
    type Syncobjs = NoSyncobjs;

    fn resolve_job(
        &self,
        argument: UserArg,
        _earlier: &[NoSyncobjs],
    ) -> Result<(UserArg, NoSyncobjs)> {
        Ok((argument, NoSyncobjs))
    }

    fn find_buffer(&self, used: &vfence_use) -> Result<ARef<DmaBuf>> {
        DmaBuf::from_fd(used.fd)
    }
}

impl JobSyncobjs for NoSyncobjs {
    fn wait_count(&self) -> u32 {
        0
    }

    fn take_in_fences(&mut self, _earlier: &[Self]) -> Result<InFences> {
        Ok(InFences::new())
    }

    fn needs_fence(&self) -> bool {
        false
    }

    fn set_fence(&mut self, _fence: NonChainFence) {}

    fn publish(_jobs: impl Iterator<Item = Self>) {}
}
