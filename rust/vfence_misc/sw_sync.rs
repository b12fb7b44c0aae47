// SPDX-License-Identifier: GPL-2.0

//! `/dev/sw_sync`: the interface of the kernel's sw_sync, as `include/uapi/linux/sw_sync.h` describes it.

use crate::{
    kernel_ext::{
        file_operations::FileOperations,
        miscdevice::{
            MiscDevice,
            MiscDeviceRegistration,
            Returned, //
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
        device::Device,
        sw_sync::timeline::{
            Shared,
            Values, //
        },
        uarg::{
            must_be_zero,
            UserArg, //
        },
    },
};
use core::mem::offset_of;
use kernel::{
    fs::file::{
        flags::O_CLOEXEC,
        FileDescriptorReservation, //
    },
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
    sync::Arc, //
};

const NAME: &CStr = c"sw_sync";
const MAGIC: u32 = SW_SYNC_IOC_MAGIC as u32;
const CREATE_FENCE: u32 = _IOWR::<sw_sync_create_fence_data>(MAGIC, 0);
const INC: u32 = _IOW::<u32>(MAGIC, 1);
const GET_DEADLINE: u32 = _IOWR::<sw_sync_get_deadline>(MAGIC, 2);

/// An open file of the device: a timeline.
#[pin_data]
pub(crate) struct SwSync {
    #[pin]
    values: Values,
}

/// The device.
pub(crate) struct Registration {
    _device: Pin<KBox<MiscDeviceRegistration<SwSync>>>,
    shared: Arc<Shared>,
}

impl Registration {
    /// Lets it be opened, and says what that means; to be called when the module cannot fail to load any more.
    pub(crate) fn go_live(&self) {
        if cfg!(CONFIG_SW_SYNC) {
            pr_info!("/dev/sw_sync is ours, /sys/kernel/debug/sync/sw_sync is the kernel's own: a program that looks there finds that\n");
        } else {
            pr_info!("/dev/sw_sync is ours; this kernel has no /sys/kernel/debug/sync/sw_sync\n");
        }
        if watchdog().is_none() {
            pr_notice!(
                "sw_sync_watchdog_ms=0: fences of /dev/sw_sync may stay unsignalled for ever\n"
            );
        }
        self.shared.go_live();
    }
}

/// Registers the device if the module was asked for it. Fails as the registration does, and with `EINVAL` if the
/// parameter is neither 0 nor 1.
pub(crate) fn register(device: &Arc<Device>) -> Result<Option<Registration>> {
    match *module_parameters::sw_sync.value_ref() {
        0 => return Ok(None),
        1 => {}
        _ => {
            pr_err!("sw_sync must be 0 or 1\n");
            return Err(EINVAL);
        }
    }
    let shared = Arc::pin_init(Shared::new(device.clone()), GFP_KERNEL)?;
    let registration = MiscDeviceRegistration::register(NAME, Ok(shared.clone()));
    let device = KBox::pin_init(registration, GFP_KERNEL)?;
    Ok(Some(Registration {
        _device: device,
        shared,
    }))
}

/// Returns for how long fences may be pending, in ns; `None` when that was lifted.
fn watchdog() -> Option<u64> {
    match *module_parameters::sw_sync_watchdog_ms.value_ref() {
        0 => None,
        ms => Some(u64::from(ms) * 1_000_000),
    }
}

#[vtable]
impl FileOperations for SwSync {
    type Data = Arc<Shared>;

    fn open(shared: &Arc<Shared>) -> Result<Pin<KBox<Self>>> {
        let values = Values::new(shared.clone(), &current_comm(), watchdog());
        KBox::pin_init(try_pin_init!(Self { values <- values }), GFP_KERNEL_ACCOUNT)
    }

    fn release(_this: Pin<KBox<Self>>) {}

    fn read(_this: Pin<&Self>, _nonblocking: bool, _to: &mut IovIterDest<'_>) -> Result<usize> {
        Err(EINVAL)
    }

    fn mmap(_this: Pin<&Self>, _page: usize, _vma: &VmaNew) -> Result {
        Err(ENODEV)
    }

    fn show_fdinfo(this: Pin<&Self>, seq: &SeqFile) {
        seq_print!(seq, "vfence-jobs:\t{}\n", this.values.pending());
    }
}

impl MiscDevice for SwSync {
    fn ioctl(this: Pin<&Self>, cmd: u32, arg: usize) -> Returned {
        let argument = UserArg::new(cmd, arg);
        match cmd {
            CREATE_FENCE => this.create_fence(&argument),
            INC => this.increment(&argument),
            GET_DEADLINE => this.get_deadline(&argument),
            _ => Err(ENOTTY),
        }
        .into()
    }
}

impl SwSync {
    fn create_fence(&self, argument: &UserArg) -> Result {
        let fd = FileDescriptorReservation::get_unused_fd_flags(O_CLOEXEC)?;
        // The name is for nobody.
        let value = argument.read_field(offset_of!(sw_sync_create_fence_data, value))?;
        // When the reply cannot be written, nobody has the fence, which is as good as none.
        let file = self.values.create(value, SyncFile::create)?;
        // CAST: Descriptors fit.
        let number = fd.reserved_fd() as i32;
        argument.write_field(offset_of!(sw_sync_create_fence_data, fence), &number)?;
        file.install(fd);
        Ok(())
    }

    fn increment(&self, argument: &UserArg) -> Result {
        self.values.advance(argument.read()?);
        Ok(())
    }

    fn get_deadline(&self, argument: &UserArg) -> Result {
        let mut data: sw_sync_get_deadline = argument.read()?;
        must_be_zero(data.pad)?;
        if data.deadline_ns != 0 {
            return Err(EINVAL);
        }
        let fence = sync_file::get_fence(data.fence_fd).map_err(|_| EINVAL)?;
        // CAST: What looks negative is given back as it came.
        data.deadline_ns = self.values.deadline(&fence)? as u64;
        argument.write(&data)
    }
}
