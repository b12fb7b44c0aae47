// SPDX-License-Identifier: GPL-2.0

//! The file operations of a client other than ioctls, which are the same on all device nodes.

use crate::{
    kernel_ext::file_operations::{
        FileOperations,
        HUNG_UP,
        READABLE,
        WRITABLE, //
    },
    vfence::{
        client::Client,
        device::NodeData,
        refusal::refuse, //
    },
    LocalModule, //
};
use kernel::{
    fs::File,
    iov::IovIterDest,
    mm::virt::VmaNew,
    page::PAGE_SIZE,
    prelude::*,
    seq_file::SeqFile,
    seq_print,
    sync::poll::PollTable, //
};

#[vtable]
impl FileOperations for Client {
    type OwnerModule = LocalModule;
    type Data = NodeData;

    fn open(node: &NodeData, id: Option<u64>) -> Result<Pin<KBox<Self>>> {
        let id = id.unwrap_or_else(|| node.device.new_client_id());
        let client = KBox::pin_init(Client::new(id, node), GFP_KERNEL_ACCOUNT)?;
        client.list()?;
        Ok(client)
    }

    fn release(client: Pin<KBox<Self>>) {
        client.close();
    }

    fn read(client: Pin<&Self>, nonblocking: bool, to: &mut IovIterDest<'_>) -> Result<usize> {
        client.events.read(nonblocking, to)
    }

    fn poll(client: Pin<&Self>, file: &File, table: &PollTable<'_>) -> u32 {
        table.register_wait(file, &client.events.pollers);
        if client.events.presence().error().is_some() {
            return HUNG_UP;
        }
        let mut events = 0;
        if client.events.unread() > 0 {
            events |= READABLE;
        }
        if client.poll_free_slot() {
            events |= WRITABLE;
        }
        events
    }

    fn mmap(client: Pin<&Self>, page: usize, vma: &VmaNew) -> Result {
        let queue = u32::try_from(page)
            .ok()
            .and_then(|id| client.find_queue(id));
        let queue = queue.ok_or_else(|| {
            let offset = (page as u64).wrapping_mul(PAGE_SIZE as u64);
            refuse!(
                EINVAL,
                "mmap: {:#x} is not the counters_offset of a queue of the client",
                offset
            )
        })?;
        let mapped = queue.map_counters(vma);
        mapped.map_err(|error| {
            let length = vma.end() - vma.start();
            if error == EACCES {
                refuse!(EACCES, "mmap: counters are read-only: PROT_WRITE")
            } else if length != PAGE_SIZE {
                refuse!(
                    error,
                    "mmap: counters are one page, {} bytes, not {}",
                    PAGE_SIZE,
                    length
                )
            } else {
                refuse!(error, "mmap: counters cannot be executed: PROT_EXEC")
            }
        })
    }

    fn show_fdinfo(client: Pin<&Self>, seq: &SeqFile) {
        let (mut queues, mut jobs) = (0, 0);
        client.for_each_queue(|queue| {
            queues += 1;
            jobs += queue.pending();
        });
        seq_print!(seq, "vfence-queues:\t{}\n", queues);
        seq_print!(seq, "vfence-jobs:\t{}\n", jobs);
        seq_print!(seq, "vfence-events:\t{}\n", client.events.unread());
        // The core's keys, which identify the client, are missing too.
        if client.events.presence().error() == Some(ENODEV) {
            return;
        }
        client.for_each_engine(|name, queues, busy| {
            seq_print!(seq, "{}-engine-{}:\t{} ns\n", crate::FDINFO, name, busy);
            if queues > 1 {
                seq_print!(
                    seq,
                    "{}-engine-capacity-{}:\t{}\n",
                    crate::FDINFO,
                    name,
                    queues
                );
            }
        });
    }
}
