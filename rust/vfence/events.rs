// SPDX-License-Identifier: GPL-2.0

//! The events of a client, which `read()` on the device returns and `poll()` waits for.
//!
//! Room for an event is reserved when its job is submitted. So no event is lost, and the interrupt
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
        presence::Presence,
        refusal::refuse,
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

/// Most events of a client, reported or reserved.
const MAX_EVENTS: usize = VFENCE_MAX_EVENTS as usize;

/// How many events are copied to user space with the lock taken once. They are on the stack.
const CHUNK: usize = 8;

/// The size of an event, in bytes.
const SIZE: usize = size_of::<vfence_event>();

type UnreadRing = Ring<vfence_event, ChargedMemory>;

/// The data that the lock of a client's events protects.
struct EventState {
    unread: UnreadRing,
    /// The number of events reserved for jobs that are pending or being submitted.
    reserved: usize,
    /// Whether a reader is copying events. They stay in `unread` until they are copied.
    being_read: bool,
}

impl EventState {
    fn readable(&self) -> bool {
        !self.being_read && self.unread.len() > 0
    }
}

/// The events of a client.
#[pin_data]
pub(crate) struct Events {
    #[pin]
    state: SpinLockIrq<EventState>,
    /// The tasks in `read()`, which wait for an event or for another reader.
    #[pin]
    readers: WaitQueue,
    /// The tasks that poll the device, for an event or for a free slot in a queue.
    pub(crate) pollers: PollCondVarBox,
    /// The presence of the device. Once the device is lost, nobody waits here.
    presence: Arc<Presence>,
}

impl Events {
    /// Returns an empty list of events of a device with `presence`. Fails with `ENOMEM`.
    pub(crate) fn new(presence: Arc<Presence>) -> Result<Arc<Self>> {
        let directory = ChargedMemory::directory(UnreadRing::directory_len(MAX_EVENTS))?;
        let state = EventState {
            unread: Ring::new(directory, 0),
            reserved: 0,
            being_read: false,
        };
        Arc::pin_init(
            try_pin_init!(Self {
                state <- new_spinlock_irq!(state),
                readers <- new_wait_queue!("vfence_readers"),
                pollers: PollCondVarBox::new(c"vfence_pollers", kernel::static_lock_class!())?,
                presence,
            }),
            GFP_KERNEL_ACCOUNT,
        )
    }

    /// Returns the presence of the device.
    #[inline]
    pub(crate) fn presence(&self) -> &Presence {
        &self.presence
    }

    /// Returns the number of events that can be read.
    pub(crate) fn unread(&self) -> usize {
        self.state.lock().unread.len()
    }

    /// Begins a reservation for up to `max` events.
    pub(crate) fn reserve(&self, max: usize) -> EventReservation<'_> {
        EventReservation {
            events: self,
            max,
            count: 0,
            spare: 0,
        }
    }

    /// Reports the completion of a job whose event is reserved. [`Events::notify`] must follow.
    /// Takes only spinlocks, so that fences may signal in its context.
    pub(crate) fn report(&self, event: vfence_event) {
        let mut state = self.state.lock();
        state.reserved -= 1;
        // The reservation has allocated its slot.
        let _ = state.unread.push(event);
    }

    /// Wakes readers and pollers after [`Events::report`], in the same contexts, or after the
    /// device was lost.
    pub(crate) fn notify(&self) {
        self.readers.wake_all();
        self.pollers.notify_all();
    }

    /// Moves as many events to user space as fit into `to`; waits for the first one, or fails with
    /// `EAGAIN` if `nonblocking`. Returns the number of bytes.
    ///
    /// Fails with `EINVAL` if no event fits, `ERESTARTSYS`, `EFAULT`, and as [`Presence::check`]
    /// does.
    pub(crate) fn read(&self, nonblocking: bool, to: &mut IovIterDest<'_>) -> Result<usize> {
        let len = to.len();
        if len < SIZE {
            return Err(refuse!(
                EINVAL,
                "read: a buffer of {} bytes is smaller than one event, {}",
                len,
                SIZE
            ));
        }
        loop {
            self.presence.check()?;
            if let Some(reader) = Reader::begin(self) {
                return reader.copy(to);
            }
            if nonblocking {
                return Err(self.would_block());
            }
            wait_until([(&self.readers, 0)], u64::MAX, || {
                self.state.lock().readable() || self.presence.error().is_some()
            })?;
        }
    }

    /// Returns the error of a `read()` that would have to wait.
    #[cold]
    #[inline(never)]
    fn would_block(&self) -> Error {
        if self.unread() > 0 {
            refuse!(EAGAIN, "read: another reader is being served")
        } else {
            refuse!(EAGAIN, "read: there is no event")
        }
    }

    /// Returns copies of the oldest events, at most `max`, and their number.
    fn peek(&self, max: usize) -> ([vfence_event; CHUNK], usize) {
        let mut events = [vfence_event::default(); CHUNK];
        let state = self.state.lock();
        let mut count = 0;
        let first = state.unread.first();
        for (place, index) in events.iter_mut().take(max).zip(first..) {
            let Some(event) = state.unread.get(index) else {
                break;
            };
            *place = *event;
            count += 1;
        }
        (events, count)
    }

    /// Removes the oldest `count` events.
    fn remove(&self, count: usize) {
        for _ in 0..count {
            let removed = self.state.lock().unread.pop();
            // May free a segment, so drop it without the lock.
            drop(removed);
        }
    }
}

/// The one reader that may remove events. Dropping it lets the next one begin.
///
/// The copy may block indefinitely (userfaultfd, FUSE). Only other readers wait for it,
/// interruptibly.
struct Reader<'a>(&'a Events);

impl<'a> Reader<'a> {
    /// Returns the reader if there is an event and no other reader.
    fn begin(events: &'a Events) -> Option<Self> {
        let mut state = events.state.lock();
        if !state.readable() {
            return None;
        }
        state.being_read = true;
        Some(Self(events))
    }

    /// Moves as many events as fit into `to` and returns the number of bytes. Fails with `EFAULT`
    /// if no event was copied.
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
                return Err(refuse!(
                    EFAULT,
                    "read: no event could be written to the buffer"
                ));
            }
            if copied < count || count == 0 {
                break;
            }
        }
        Ok(read)
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        self.0.state.lock().being_read = false;
        self.0.readers.wake_all();
    }
}

/// Slots for the events of a submission. Dropping it releases them unless they are committed.
pub(crate) struct EventReservation<'a> {
    events: &'a Events,
    /// Most events of the submission.
    max: usize,
    /// The number of jobs that have a slot.
    count: usize,
    /// The number of slots reserved beyond those.
    spare: usize,
}

impl EventReservation<'_> {
    /// Reserves a slot for one more job. Fails with `EAGAIN` if the client has too many events,
    /// `ENOMEM`.
    pub(crate) fn add(&mut self) -> Result {
        if self.spare == 0 {
            self.reserve_slots()?;
        }
        self.spare -= 1;
        self.count += 1;
        Ok(())
    }

    /// Reserves slots for the jobs to come, at least one.
    fn reserve_slots(&mut self) -> Result {
        loop {
            {
                let mut state = self.events.state.lock();
                let allowed = MAX_EVENTS.saturating_sub(state.reserved + state.unread.len());
                if allowed == 0 {
                    drop(state);
                    return Err(too_many_events());
                }
                let room = state.unread.free_slots().saturating_sub(state.reserved);
                if room > 0 {
                    let wanted = self.max.saturating_sub(self.count).max(1);
                    self.spare = room.min(allowed).min(wanted);
                    state.reserved += self.spare;
                    return Ok(());
                }
            }
            let segment = ChargedMemory::segment()?;
            let refused = self.events.state.lock().unread.add_segment(segment);
            // The directory has a place for it: there are fewer than `MAX_EVENTS` events.
            refused.map_err(|_| too_many_events())?;
        }
    }

    /// Passes the slots to the jobs, for [`Events::report`].
    pub(crate) fn commit(&mut self) {
        self.count = 0;
    }
}

impl Drop for EventReservation<'_> {
    fn drop(&mut self) {
        let unused = self.count + self.spare;
        if unused > 0 {
            self.events.state.lock().reserved -= unused;
        }
    }
}

/// Returns the error of a submission beyond [`MAX_EVENTS`].
#[cold]
#[inline(never)]
fn too_many_events() -> Error {
    refuse!(
        EAGAIN,
        "submit: the client has VFENCE_MAX_EVENTS, {}, unread events and events of pending jobs",
        MAX_EVENTS
    )
}
