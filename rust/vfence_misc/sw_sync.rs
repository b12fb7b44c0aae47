// SPDX-License-Identifier: GPL-2.0

//! `/dev/sw_sync`: the interface of the kernel's sw_sync, as `include/uapi/linux/sw_sync.h`
//! describes it.

use crate::{
    kernel_ext::{
        file_operations::FileOperations,
        miscdevice::{
            IoctlReturn,
            MiscDevice,
            MiscDeviceRegistration, //
        },
        sync_file::{
            self,
            SyncFile, //
        },
        task::current_comm, //
    },
    module_parameters,
    uapi::{
        sw_sync_create_fence_data,
        sw_sync_get_deadline,
        SW_SYNC_IOC_MAGIC, //
    },
    vfence::{
        descriptor,
        device::Device,
        refusal::{
            must_be_zero,
            refuse, //
        },
        sw_sync::{
            name::TimelineName,
            timeline::{
                self,
                SwSyncTimeline,
                TimelineContexts,
                TimelineRef, //
            },
        },
        uarg::UserArg, //
    },
    LocalModule, //
};
use core::mem::offset_of;
use kernel::{
    ioctl::{
        _IOW,
        _IOWR, //
    },
    iov::IovIterDest,
    mm::virt::VmaNew,
    prelude::*,
    seq_file::SeqFile,
    seq_print,
    str::CStr,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Release, //
        },
        Arc, //
    },
};

const NAME: &CStr = c"sw_sync";
const MAGIC: u32 = SW_SYNC_IOC_MAGIC as u32;
const CREATE_FENCE: u32 = _IOWR::<sw_sync_create_fence_data>(MAGIC, 0);
const INC: u32 = _IOW::<u32>(MAGIC, 1);
const GET_DEADLINE: u32 = _IOWR::<sw_sync_get_deadline>(MAGIC, 2);

/// The data that all open files share.
#[pin_data]
pub(crate) struct SwSyncShared {
    /// Set when the module can no longer fail to load. Before, `open()` fails with `ENODEV`.
    live: Atomic<bool>,
    device: Arc<Device>,
    /// The contexts of all timelines, by which `GET_DEADLINE` recognises their fences.
    #[pin]
    contexts: TimelineContexts,
}

/// An open file of the device: a timeline in the list of debugfs.
pub(crate) struct SwSync {
    shared: Arc<SwSyncShared>,
    client: u64,
    timeline: TimelineRef,
}

impl SwSync {
    fn new(shared: &Arc<SwSyncShared>) -> Result<Self> {
        if !shared.live.load(Acquire) {
            return Err(refuse!(ENODEV, "open: the module is still loading"));
        }
        let timeline = SwSyncTimeline::new(
            shared.device.shared().fences().clone(),
            shared.contexts.alloc()?,
            TimelineName::truncated(&current_comm()),
            watchdog(),
            shared.device.limits().max_jobs as usize,
            shared.device.shared().timeline_backlog(),
        )?;
        let client = shared.device.new_client_id();
        let entry = shared.device.new_timeline_listing(client, &timeline)?;
        // Nothing fails from here on, so the timeline will be closed, which releases its place in
        // the backlog.
        SwSyncTimeline::assign_backlog(&timeline);
        shared.device.list(entry);
        Ok(Self {
            shared: shared.clone(),
            client,
            timeline,
        })
    }
}

impl Drop for SwSync {
    fn drop(&mut self) {
        self.shared.device.unlist(self.client, timeline::ID);
        self.timeline.close();
    }
}

/// The device.
pub(crate) struct SwSyncRegistration {
    _device: Pin<KBox<MiscDeviceRegistration<SwSync>>>,
    shared: Arc<SwSyncShared>,
}

impl SwSyncRegistration {
    /// Lets `open()` succeed, and logs which nodes exist. Called when the module can no longer fail
    /// to load.
    pub(crate) fn go_live(&self) {
        if cfg!(CONFIG_SW_SYNC) {
            pr_info!(
                "/dev/sw_sync registered; programs that open /sys/kernel/debug/sync/sw_sync get \
                 the kernel's own sw_sync\n"
            );
        } else {
            pr_info!(
                "/dev/sw_sync registered; this kernel has no /sys/kernel/debug/sync/sw_sync\n"
            );
        }
        if watchdog().is_none() {
            pr_notice!(
                "sw_sync_watchdog_ms=0: the time until a fence of /dev/sw_sync signals is \
                 unbounded\n"
            );
        }
        self.shared.live.store(true, Release);
    }
}

/// Registers the device if the module parameter `sw_sync` is 1.
///
/// Fails with `EINVAL` if the parameter is neither 0 nor 1, and with the errors of the
/// registration.
pub(crate) fn register(device: &Arc<Device>) -> Result<Option<SwSyncRegistration>> {
    match *module_parameters::sw_sync.value_ref() {
        0 => return Ok(None),
        1 => {}
        value => {
            pr_err!("sw_sync={}: must be 0 or 1\n", value);
            return Err(EINVAL);
        }
    }
    let shared = Arc::pin_init(
        pin_init!(SwSyncShared {
            live: Atomic::new(false),
            device: device.clone(),
            contexts <- SwSyncTimeline::contexts(),
        }),
        GFP_KERNEL,
    )?;
    let registration = MiscDeviceRegistration::register(NAME, Ok(shared.clone()));
    let device = KBox::pin_init(registration, GFP_KERNEL)?;
    Ok(Some(SwSyncRegistration {
        _device: device,
        shared,
    }))
}

/// Returns the bound on the time that a fence stays pending, in ns; `None` if there is no bound.
fn watchdog() -> Option<u64> {
    match *module_parameters::sw_sync_watchdog_ms.value_ref() {
        0 => None,
        ms => Some(u64::from(ms) * 1_000_000),
    }
}

#[vtable]
impl FileOperations for SwSync {
    type OwnerModule = LocalModule;
    type Data = Arc<SwSyncShared>;

    fn open(shared: &Arc<SwSyncShared>, _id: Option<u64>) -> Result<Pin<KBox<Self>>> {
        Ok(KBox::pin(Self::new(shared)?, GFP_KERNEL_ACCOUNT)?)
    }

    fn release(_this: Pin<KBox<Self>>) {}

    fn read(_this: Pin<&Self>, _nonblocking: bool, _to: &mut IovIterDest<'_>) -> Result<usize> {
        Err(refuse!(EINVAL, "read: a timeline of sw_sync has no events"))
    }

    fn mmap(_this: Pin<&Self>, _page: usize, _vma: &VmaNew) -> Result {
        Err(refuse!(ENODEV, "mmap: a timeline of sw_sync has no memory"))
    }

    fn show_fdinfo(this: Pin<&Self>, seq: &SeqFile) {
        seq_print!(seq, "vfence-jobs:\t{}\n", this.timeline.pending());
    }
}

impl MiscDevice for SwSync {
    fn ioctl(this: Pin<&Self>, cmd: u32, arg: usize) -> IoctlReturn {
        let argument = UserArg::new(cmd, arg);
        match cmd {
            CREATE_FENCE => this.create_fence(&argument),
            INC => this.increment(&argument),
            GET_DEADLINE => this.get_deadline(&argument),
            _ => Err(refuse!(ENOTTY, "no such ioctl: {:#x}", cmd)),
        }
        .into()
    }
}

impl SwSync {
    fn create_fence(&self, argument: &UserArg) -> Result {
        let fd = descriptor::reserve()?;
        // `name` is not used.
        let value = argument.read_field(offset_of!(sw_sync_create_fence_data, value))?;
        // If the reply cannot be written, the file and its reference to the fence are dropped.
        let file = SwSyncTimeline::create(&self.timeline, value, SyncFile::create)?;
        // CAST: Descriptors fit.
        let number = fd.reserved_fd() as i32;
        argument.write_field(offset_of!(sw_sync_create_fence_data, fence), &number)?;
        file.install(fd);
        Ok(())
    }

    fn increment(&self, argument: &UserArg) -> Result {
        self.timeline.advance(argument.read()?);
        Ok(())
    }

    fn get_deadline(&self, argument: &UserArg) -> Result {
        let mut data: sw_sync_get_deadline = argument.read()?;
        must_be_zero!("get_deadline: pad", data.pad)?;
        must_be_zero!("get_deadline: deadline_ns", data.deadline_ns)?;
        let fd = data.fence_fd;
        let fence = sync_file::get_fence(fd)
            .map_err(|_| refuse!(EINVAL, "get_deadline: fence_fd {} is not a sync_file", fd))?;
        let deadline = self.shared.contexts.data_of(&fence).ok_or_else(|| {
            refuse!(
                EINVAL,
                "get_deadline: fence_fd {} is not a sync_file with one fence of this node",
                fd
            )
        })?;
        let earliest = deadline.earliest();
        // CAST: User space set an unsigned time.
        data.deadline_ns =
            earliest.ok_or_else(|| refuse!(ENOENT, "get_deadline: the fence has none"))? as u64;
        argument.write(&data)
    }
}
