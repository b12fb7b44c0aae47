// SPDX-License-Identifier: GPL-2.0

//! A timeline: a counter, and the fences that signal when it reaches their values.
//!
//! # Locks
//!
//! The lock order is in [`queue`](crate::vfence::queue). A timeline has two locks:
//!
//! - `advancing`, a mutex: the counter advances and the fences that it reaches signal.
//! - `state`, a spinlock: fences enter and leave the tree, and signal.
//!
//! Fences signal with `state` held, so they signal in the order of their values, and a fence that
//! is not in the tree has signalled. No callback of a fence takes `state`: no job waits inside a
//! timeline, and each fence keeps its own deadline. Nothing is allocated under `state`.
//!
//! Pending fences hold references to their timeline. [`SwSyncTimeline::close`] signals them, so a
//! timeline whose last reference is dropped has no pending fence and no armed timer.

use crate::{
    impl_hr_timer_owner,
    kernel_ext::{
        dma_fence::{
            AllocatedFence,
            ContextAllocator,
            DomainRef,
            DriverTimeline,
            Fence,
            FenceBatch,
            PendingFence,
            SignallingSection,
            Timeline,
            TypedContext, //
        },
        hrtimer::HrTimerOwner,
        timekeeping::ktime_get, //
    },
    trace,
    vfence::{
        backlog::{
            Backlog,
            Entry, //
        },
        budget::InterruptBudget,
        refusal::refuse,
        sched::types::NEVER,
        sw_sync::{
            age::{
                place_of,
                Place,
                Watched, //
            },
            counter::{
                value,
                Counter,
                ValueState, //
            },
            deadline::SignedDeadline,
            name::TimelineName,
            ordered_tree::{
                allocate_block,
                OrderedTree,
                BLOCK_LEN, //
            },
        },
    },
};
use core::{
    mem,
    num::NonZeroU32, //
};
use kernel::{
    prelude::*,
    str::CStr,
    sync::{
        aref::ARef,
        new_mutex,
        new_spinlock_irq,
        Arc,
        Mutex,
        SpinLockIrq,
        SpinLockIrqGuard, //
    },
    time::hrtimer::HrTimer, //
};

/// The queue id that trace events and debugfs show: a timeline is the only one of its file.
pub(crate) const ID: u32 = 1;

/// The number of contexts that are allocated at a time. Contexts are part of names, so few unused
/// ones keep the names short.
const CONTEXT_CHUNK: NonZeroU32 = NonZeroU32::new(1024).unwrap();

/// The number of blocks whose fences signal at a time, with interrupts disabled.
const BLOCKS: usize = 8;

/// The number of blocks that a timeline allocates at a time.
const ADDED: usize = 4;

/// The number of unreferenced fences that a full timeline drops at a time.
const DROPPED: usize = 16;

/// The contexts of timelines, which identify the fences of timelines.
pub(crate) type TimelineContexts = ContextAllocator<SwSyncTimeline>;

/// A counted reference to a timeline.
pub(crate) type TimelineRef = ARef<Timeline<SwSyncTimeline>>;

/// A fence in the tree of its timeline.
pub(super) struct PendingValue {
    /// The time from which the watchdog counts: see [`place_of`].
    pub(super) created: u64,
    pub(super) fence: PendingFence<SwSyncTimeline>,
}

impl Watched for PendingValue {
    fn created(&self) -> u64 {
        self.created
    }

    fn is_referenced(&self) -> bool {
        self.fence.is_shared()
    }
}

// A block fits into an object of kmalloc-192, with the links and the key of its node.
const _: () = assert!(BLOCK_LEN * size_of::<Option<PendingValue>>() <= 160);

/// The data that the lock `state` protects.
pub(super) struct TimelineState {
    pub(super) counter: Counter,
    pub(super) pending: OrderedTree<PendingValue>,
    /// The expiry that the timer was started for, or [`NEVER`]. It is not later than the end of the
    /// first fence's time, except for the slack.
    pub(super) armed: u64,
    /// The number of fences that have left the tree and signalled.
    pub(super) completed: u64,
    /// The number of fences that the watchdog has ended.
    pub(super) timeouts: u64,
}

/// A timeline, which is the data of the [`Timeline`] of its fences.
#[pin_data(PinnedDrop)]
pub(crate) struct SwSyncTimeline {
    #[pin]
    timer: HrTimer<Self>,
    /// The interrupt time of each CPU.
    pub(super) budget: Arc<InterruptBudget>,
    pub(super) backlog: Arc<Entry<TimelineRef>>,
    context: u64,
    name: TimelineName,
    /// The time after which the watchdog ends a fence, in ns, or [`NEVER`].
    pub(super) watchdog: u64,
    /// The maximum number of pending fences.
    max_pending: usize,
    #[pin]
    advancing: Mutex<()>,
    #[pin]
    pub(super) state: SpinLockIrq<TimelineState>,
}

impl_hr_timer_owner! {
    impl HrTimerOwner for SwSyncTimeline { self.timer }
}

#[vtable]
impl DriverTimeline for SwSyncTimeline {
    type Seqno = u32;
    type FenceData = SignedDeadline;

    fn driver_name(&self) -> &CStr {
        c"sw_sync"
    }

    fn timeline_name(&self) -> &CStr {
        self.name.as_c_str()
    }

    fn set_deadline(&self, data: &SignedDeadline, _seqno: u32, deadline: i64) {
        data.record(deadline);
    }
}

/// The numbers that debugfs shows of a timeline.
pub(crate) struct TimelineTotals {
    pub(crate) pending: usize,
    pub(crate) completed: u64,
    pub(crate) timeouts: u64,
}

/// A pending fence as debugfs shows it.
#[derive(Clone, Copy, Default)]
pub(crate) struct FenceInfo {
    pub(crate) value: u32,
    pub(crate) created: u64,
    pub(crate) deadline: Option<i64>,
}

/// The result of [`SwSyncTimeline::place`].
enum PlaceResult {
    /// The fence is pending or has signalled. Another fence may have left the tree for it.
    Done,
    Replaced(PendingFence<SwSyncTimeline>),
    /// A referenced fence of the same value is pending.
    Exists(ARef<Fence>),
    /// The timeline is full.
    Full(PendingFence<SwSyncTimeline>),
    /// The tree has no memory for a block.
    NoBlock(PendingFence<SwSyncTimeline>),
}

/// The fences that may signal next.
enum NextStep {
    Signal,
    TimeOut,
    None,
}

impl SwSyncTimeline {
    /// Creates a timeline with the counter at 0, whose fences have the context `context`.
    ///
    /// `watchdog` bounds how long a fence stays pending, in ns; `None` lifts the bound. Fails with
    /// `ENOMEM`.
    pub(crate) fn new(
        fences: DomainRef,
        context: TypedContext<Self>,
        name: TimelineName,
        watchdog: Option<u64>,
        max_pending: usize,
        backlog: &Arc<Backlog<TimelineRef>>,
    ) -> Result<TimelineRef> {
        let state = TimelineState {
            counter: Counter::default(),
            pending: OrderedTree::new(),
            armed: NEVER,
            completed: 0,
            timeouts: 0,
        };
        let context_id = context.id();
        let timeline = try_pin_init!(Self {
            timer <- HrTimer::new(),
            budget: backlog.budget().clone(),
            backlog: Entry::new(backlog)?,
            context: context_id,
            name,
            watchdog: watchdog.unwrap_or(NEVER),
            max_pending,
            advancing <- new_mutex!((), "sw_sync_advancing"),
            state <- new_spinlock_irq!(state, "sw_sync_state"),
        }? Error);
        Timeline::new(fences, context, timeline, GFP_KERNEL_ACCOUNT)
    }

    /// Lets interrupts put the timeline into the backlog, which may then refer to it until
    /// [`SwSyncTimeline::close`]. Must be called before the first fence.
    pub(crate) fn assign_backlog(timeline: &TimelineRef) {
        timeline.backlog.assign(timeline.clone());
    }

    /// Creates the allocator of the contexts of timelines.
    pub(crate) fn contexts() -> impl PinInit<TimelineContexts> {
        TimelineContexts::new(CONTEXT_CHUNK)
    }

    /// Returns the id of the fences' context.
    pub(crate) fn context_id(&self) -> u64 {
        self.context
    }

    /// Returns the name that the fences show.
    pub(crate) fn name(&self) -> &CStr {
        self.name.as_c_str()
    }

    /// Creates a fence that signals when the counter reaches `value`. `prepare` runs before the
    /// fence can signal, and its result is returned.
    ///
    /// If a fence of this value is pending and referenced, `prepare` is called again, for that
    /// fence. Fails with `ENOSPC` if the timeline is full, with `ENOMEM`, and with the errors of
    /// `prepare`.
    pub(crate) fn create<R>(
        timeline: &TimelineRef,
        value: u32,
        mut prepare: impl FnMut(&Fence) -> Result<R>,
    ) -> Result<R> {
        let fence = AllocatedFence::new(timeline.clone(), GFP_KERNEL_ACCOUNT)?;
        let mut fence = fence.init_at(value);
        let prepared = prepare(fence.fence())?;
        loop {
            match timeline.place(value, fence) {
                PlaceResult::Done => return Ok(prepared),
                // The fence is unreferenced, so its `-ECANCELED` is not visible.
                PlaceResult::Replaced(_unreferenced) => return Ok(prepared),
                PlaceResult::Exists(existing) => return prepare(&existing),
                PlaceResult::Full(refused) => {
                    if !timeline.drop_unreferenced() {
                        return Err(refuse!(
                            ENOSPC,
                            "create_fence: the timeline has max_jobs, {}, pending fences",
                            timeline.max_pending
                        ));
                    }
                    fence = refused;
                }
                PlaceResult::NoBlock(refused) => {
                    timeline.add_blocks()?;
                    fence = refused;
                }
            }
        }
    }

    /// Adds memory for [`ADDED`] blocks to the tree. Fails with `ENOMEM`.
    fn add_blocks(&self) -> Result {
        let mut blocks = [const { None }; ADDED];
        for place in &mut blocks {
            *place = Some(allocate_block(GFP_KERNEL_ACCOUNT)?);
        }
        let mut state = self.state.lock();
        for place in &mut blocks {
            // A block that another thread has made superfluous is freed with the lock released.
            *place = place.take().and_then(|block| state.pending.add(block));
        }
        Ok(())
    }

    /// Makes a fence pending, or signals it if its value is reached or given up.
    fn place(&self, value: u32, fence: PendingFence<Self>) -> PlaceResult {
        let _section = SignallingSection::begin();
        let mut guard = self.state.lock();
        let TimelineState {
            counter,
            pending,
            armed,
            ..
        } = &mut *guard;
        if !pending.has_spare() {
            return PlaceResult::NoBlock(fence);
        }
        let now = ktime_get();
        let key = counter.key(value);
        let (created, present) = match place_of(pending, key, now) {
            Place::Vacant(created) => (created, None),
            Place::Unreferenced(created) => (created, pending.get_mut(key)),
            Place::Taken => {
                if let Some(existing) = pending.get_mut(key) {
                    return PlaceResult::Exists(existing.fence.fence().into());
                }
                (now, None)
            }
        };
        if let Some(unreferenced) = present {
            unreferenced.created = created;
            return PlaceResult::Replaced(mem::replace(&mut unreferenced.fence, fence));
        }
        let state = counter.state(key);
        // While an earlier fence is pending, another thread is signalling the fences up to the
        // counter. That thread also signals this fence.
        if state != ValueState::Pending && pending.first().is_none_or(|(first, _)| key < first) {
            let result = match state {
                ValueState::GivenUp => Err(ETIMEDOUT),
                ValueState::Reached | ValueState::Pending => Ok(()),
            };
            let signalled = fence.complete_with(&guard, result, now);
            drop(guard);
            drop(signalled);
            return PlaceResult::Done;
        }
        if pending.len() >= self.max_pending {
            return PlaceResult::Full(fence);
        }
        if let Err(refused) = pending.insert(key, PendingValue { created, fence }) {
            return PlaceResult::NoBlock(refused.fence);
        }
        trace::job_submit(|event| event(self.context, u64::from(value), ID, 0, 0));
        // Otherwise, the timer is armed for the first fence, which does not time out later.
        if pending.len() == 1 {
            self.arm(armed, self.expiry(created));
        }
        PlaceResult::Done
    }

    /// Removes up to [`DROPPED`] unreferenced fences. Returns whether there were any.
    fn drop_unreferenced(&self) -> bool {
        let mut from = Some(0);
        while let Some(key) = from {
            let mut fences = [const { None }; DROPPED];
            let mut blocks = [const { None }; DROPPED];
            let (mut free_fences, mut free_blocks) = (fences.iter_mut(), blocks.iter_mut());
            from = self.state.lock().pending.remove_unused(
                key,
                DROPPED,
                |pending| !pending.fence.is_shared(),
                |pending| {
                    if let Some(place) = free_fences.next() {
                        *place = Some(pending.fence);
                    }
                },
                |block| {
                    if let Some(place) = free_blocks.next() {
                        *place = Some(block);
                    }
                },
            );
            if fences.iter().any(Option::is_some) {
                return true;
            }
        }
        false
    }

    /// Adds `step` to the counter, and signals the fences that it reaches.
    ///
    /// Pending values stay within 2³¹ of the counter: it advances in steps of at most `i32::MAX`,
    /// each after the fences of the previous one have signalled.
    pub(crate) fn advance(&self, mut step: u32) {
        const MAX: u32 = i32::MAX as u32;

        let _advancing = self.advancing.lock();
        while step > MAX {
            self.advance_by(MAX);
            step -= MAX;
        }
        self.advance_by(step);
    }

    fn advance_by(&self, step: u32) {
        let _section = SignallingSection::begin();
        let mut state = self.state.lock();
        state.counter.advance(step);
        let reached = state.counter.reached();
        self.signal(state, reached, Ok(()));
    }

    /// Signals the pending fences up to the key `last` with `result`, those that have timed out
    /// with `-ETIMEDOUT`.
    fn signal<'a>(
        &'a self,
        mut state: SpinLockIrqGuard<'a, TimelineState>,
        last: u64,
        result: Result,
    ) {
        loop {
            match self.signal_some(state, last, result) {
                NextStep::None => return,
                NextStep::Signal => {}
                NextStep::TimeOut => {
                    self.time_out_some(self.state.lock());
                }
            }
            state = self.state.lock();
        }
    }

    /// Signals fences of up to [`BLOCKS`] blocks, up to the key `last` and up to the first fence
    /// that has timed out.
    fn signal_some(
        &self,
        mut guard: SpinLockIrqGuard<'_, TimelineState>,
        last: u64,
        result: Result,
    ) -> NextStep {
        let mut emptied = [const { None }; BLOCKS];
        let now = ktime_get();
        let error = result.map_or_else(|error| error.to_errno(), |()| 0);
        let mut batch = FenceBatch::<_, { BLOCKS * BLOCK_LEN }>::new(result, now);
        let TimelineState {
            pending, completed, ..
        } = &mut *guard;
        pending.remove_first(
            &mut emptied,
            |key, value| key <= last && !self.has_timed_out(value, now),
            |key, pending| {
                *completed += 1;
                let value = u64::from(value(key));
                trace::job_complete(|event| event(self.context, value, ID, error, 0, now));
                batch.push(pending.fence);
            },
        );
        let next = match pending.first() {
            Some((key, value)) if key <= last => {
                if self.has_timed_out(value, now) {
                    NextStep::TimeOut
                } else {
                    NextStep::Signal
                }
            }
            _ => NextStep::None,
        };
        batch.complete_with(&guard);
        drop(guard);
        next
    }

    /// Signals the pending fences with `-ENOENT`. The caller must not create another one.
    pub(crate) fn close(&self) {
        {
            let _section = SignallingSection::begin();
            self.signal(self.state.lock(), u64::MAX, Err(ENOENT));
        }
        // No fence is pending, so no thread starts the timer again.
        self.cancel_timer();
        self.backlog.release();
    }

    /// Returns the number of pending fences.
    pub(crate) fn pending(&self) -> usize {
        self.state.lock().pending.len()
    }

    /// Returns the numbers for debugfs, and fills `infos` with the first pending fences.
    pub(crate) fn inspect(&self, infos: &mut [FenceInfo]) -> TimelineTotals {
        let mut state = self.state.lock();
        let mut places = infos.iter_mut();
        // No fence has the key 0.
        state.pending.find_map_from(0, |key, pending| {
            let Some(place) = places.next() else {
                return Some(());
            };
            *place = FenceInfo {
                value: value(key),
                created: pending.created,
                deadline: pending.fence.data().earliest(),
            };
            None
        });
        TimelineTotals {
            pending: state.pending.len(),
            completed: state.completed,
            timeouts: state.timeouts,
        }
    }
}
