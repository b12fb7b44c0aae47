// SPDX-License-Identifier: GPL-2.0

//! The events of a client: what `read()` and `poll()` on the device tell.
//!
//! The room for an event is made when its job is submitted, so that none is ever lost and the interrupt
//! that reports it allocates nothing.

use crate::{
    kernel_ext::wait::{
        wait_until,
        WaitQueue, //
    },
    new_wait_queue,
    uapi::{
        vfence_event,
        VFENCE_MAX_EVENTS, //
    },
    vfence::{
        charged::ChargedMemory,
        sched::ring::{
            Ring,
            RingMemory, //
        },
    },
};
use kernel::{
    iov::IovIterDest,
    prelude::*,
    sync::{
        new_spinlock_irq,
        poll::PollCondVarBox,
        Arc,
        SpinLockIrq, //
    },
};
use zerocopy::IntoBytes;

const MOST: usize = VFENCE_MAX_EVENTS as usize;

/// How many events are copied to user space at a time.
const CHUNK: usize = 8;

const SIZE: usize = size_of::<vfence_event>();

type Unread = Ring<vfence_event, ChargedMemory>;

struct Pending {
    unread: Unread,
    /// How many events pending jobs will cause.
    expected: usize,
    /// Whether somebody is copying events, which stay until that is done.
    being_read: bool,
}

impl Pending {
    fn readable(&self) -> bool {
        !self.being_read && self.unread.len() > 0
    }
}

/// The events of a client.
#[pin_data]
pub(crate) struct Events {
    #[pin]
    pending: SpinLockIrq<Pending>,
    /// Who waits for events, or for another reader to be done.
    #[pin]
    readers: WaitQueue,
    /// Who polls the device, for events or for room in a queue.
    pub(crate) pollers: PollCondVarBox,
}

impl Events {
    pub(crate) fn new() -> Result<Arc<Self>> {
        let directory = ChargedMemory::directory(Unread::directory_len(MOST))?;
        let pending = Pending {
            unread: Ring::new(directory, 0),
            expected: 0,
            being_read: false,
        };
        Arc::pin_init(
            try_pin_init!(Self {
                pending <- new_spinlock_irq!(pending),
                readers <- new_wait_queue!("vfence_readers"),
                pollers: PollCondVarBox::new(c"vfence_pollers", kernel::static_lock_class!())?,
            }),
            GFP_KERNEL_ACCOUNT,
        )
    }

    /// Returns how many events can be read.
    pub(crate) fn unread(&self) -> usize {
        self.pending.lock().unread.len()
    }

    /// Returns room for no event yet, which will be for `most` at most.
    pub(crate) fn expect(&self, most: usize) -> Expected<'_> {
        Expected {
            events: self,
            most,
            count: 0,
            spare: 0,
        }
    }

    /// Reports the end of a job for which there is room; [`Events::notify`] has to follow. May be called in any context.
    pub(crate) fn report(&self, event: vfence_event) {
        let mut pending = self.pending.lock();
        pending.expected -= 1;
        // `expect()` has made room.
        let _ = pending.unread.push(event);
    }

    /// Tells those who read and those who poll that there are events. May be called in any context.
    pub(crate) fn notify(&self) {
        self.readers.wake_all();
        self.pollers.notify_all();
    }

    /// Moves as many events to user space as fit. Fails with `EINVAL` if none fits, `EAGAIN`, `ERESTARTSYS`, `EFAULT`.
    pub(crate) fn read(&self, nonblocking: bool, to: &mut IovIterDest<'_>) -> Result<usize> {
        if to.len() < SIZE {
            return Err(EINVAL);
        }
        loop {
            if let Some(reading) = Reading::begin(self) {
                return reading.copy(to);
            }
            if nonblocking {
                return Err(EAGAIN);
            }
            wait_until([(&self.readers, 0)], u64::MAX, || {
                self.pending.lock().readable()
            })?;
        }
    }

    /// Returns copies of the oldest events, `most` of them at most, and how many those are.
    fn peek(&self, most: usize) -> ([vfence_event; CHUNK], usize) {
        let mut events = [vfence_event::default(); CHUNK];
        let pending = self.pending.lock();
        let mut count = 0;
        let first = pending.unread.first();
        for (place, index) in events.iter_mut().take(most).zip(first..) {
            let Some(event) = pending.unread.get(index) else {
                break;
            };
            *place = *event;
            count += 1;
        }
        (events, count)
    }

    fn remove(&self, count: usize) {
        for _ in 0..count {
            let removed = self.pending.lock().unread.pop();
            // With it goes a segment, now and then: not under the lock.
            drop(removed);
        }
    }
}

/// The right to take events away, which one reader has at a time. Dropping it gives it to the next.
///
/// Copying may take as long as somebody likes who answers for the reader's memory, so nobody waits for that but other
/// readers, and these can be interrupted.
struct Reading<'a>(&'a Events);

impl<'a> Reading<'a> {
    /// Begins if there is something to be read, and nobody else who does.
    fn begin(events: &'a Events) -> Option<Self> {
        let mut pending = events.pending.lock();
        if !pending.readable() {
            return None;
        }
        pending.being_read = true;
        Some(Self(events))
    }

    /// Moves as many events as fit. Fails with `EFAULT` if that is none.
    fn copy(&self, to: &mut IovIterDest<'_>) -> Result<usize> {
        let mut read = 0;
        while to.len() >= SIZE {
            let (events, count) = self.0.peek(to.len() / SIZE);
            let mut copied = 0;
            for event in &events[..count] {
                if to.copy_to_iter(event.as_bytes()) < SIZE {
                    break;
                }
                copied += 1;
            }
            self.0.remove(copied);
            read += copied * SIZE;
            if copied < count && read == 0 {
                return Err(EFAULT);
            }
            if copied < count || count == 0 {
                break;
            }
        }
        Ok(read)
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.0.pending.lock().being_read = false;
        self.0.readers.wake_all();
    }
}

/// Room for events that will be reported. Dropping it gives up what was not kept.
pub(crate) struct Expected<'a> {
    events: &'a Events,
    most: usize,
    /// For how many jobs there is room.
    count: usize,
    /// For how many more there is.
    spare: usize,
}

impl Expected<'_> {
    /// Makes room for the event of one more job. Fails with `EAGAIN` when there are too many, `ENOMEM`.
    pub(crate) fn one_more(&mut self) -> Result {
        if self.spare == 0 {
            self.find_room()?;
        }
        self.spare -= 1;
        self.count += 1;
        Ok(())
    }

    fn find_room(&mut self) -> Result {
        loop {
            {
                let mut pending = self.events.pending.lock();
                let allowed = MOST.saturating_sub(pending.expected + pending.unread.len());
                if allowed == 0 {
                    return Err(EAGAIN);
                }
                let room = pending.unread.free_slots().saturating_sub(pending.expected);
                if room > 0 {
                    let wanted = self.most.saturating_sub(self.count).max(1);
                    self.spare = room.min(allowed).min(wanted);
                    pending.expected += self.spare;
                    return Ok(());
                }
            }
            let segment = ChargedMemory::segment()?;
            let refused = self.events.pending.lock().unread.add_segment(segment);
            // There is a place for it in the directory as long as there are less than `MOST`.
            refused.map_err(|_| EAGAIN)?;
        }
    }

    /// Leaves the room to the jobs, for [`Events::report`].
    pub(crate) fn keep(&mut self) {
        self.count = 0;
    }
}

impl Drop for Expected<'_> {
    fn drop(&mut self) {
        let unused = self.count + self.spare;
        if unused > 0 {
            self.events.pending.lock().expected -= unused;
        }
    }
}
