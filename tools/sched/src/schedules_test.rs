// SPDX-License-Identifier: GPL-2.0

//! Random schedules: the scheduler ends the jobs as the model says, for any order of events.

use crate::{
    fixtures::{
        add_segment, empty, manual, timed, try_submit, CompletedJob, Data, Scheduler, HISTORY,
    },
    model::{ends, End, Ends, JobEvents},
    sched::{
        fault_plan::{FaultKind, InjectedFaults},
        scheduler::JobSegment,
        timed::TimedJob,
        types::{
            DurationRange, InFencePolicy, InFenceState, JobRecord, JobState, QueuePolicy,
            SchedulerKind, TimeoutPolicy, Totals,
        },
    },
};
use proptest::prelude::*;

/// An event of a queue.
#[derive(Clone, Debug)]
enum Step {
    /// Time passes, in ns.
    Pass(u64),
    /// The timer's interrupt takes the jobs that are due, with `pop_plain()` first if `plain`.
    Interrupt { plain: bool },
    /// User space submits a job.
    Submit(Submit),
    /// The in-fences of a job, pending or not, signalled `late` ns ago.
    Ready { job: usize, error: i32, late: u64 },
    /// User space signals up to a job, pending or not.
    Signal { job: usize, error: i32 },
    /// A waiter sets a deadline `left` ns from now on a job, pending or not.
    Deadline { job: usize, left: u64 },
    /// The worker begins the operations of a job, and ends them if `finish`.
    Operations { finish: bool },
    /// User space resets the queue.
    Reset,
    /// The queue gets a segment for more jobs.
    Grow,
}

#[derive(Clone, Debug)]
struct Submit {
    duration: u64,
    waits: bool,
    in_fence_error: i32,
    error: i32,
    hang: bool,
    delay: u64,
    drop: bool,
    event: bool,
    operations: bool,
}

fn errors() -> impl Strategy<Value = i32> {
    prop_oneof![3 => Just(0), 1 => -200..-190]
}

fn rarely() -> impl Strategy<Value = bool> {
    prop::bool::weighted(0.1)
}

fn submit() -> impl Strategy<Value = Step> {
    let delay = prop_oneof![5 => Just(0u64), 1 => 1..20u64];
    (
        0..30u64,
        any::<bool>(),
        errors(),
        errors(),
        rarely(),
        delay,
        rarely(),
        any::<bool>(),
        prop::bool::weighted(0.2),
    )
        .prop_map(
            |(duration, waits, in_fence_error, error, hang, delay, drop, event, operations)| {
                Step::Submit(Submit {
                    duration,
                    waits,
                    in_fence_error: if waits { in_fence_error } else { 0 },
                    error,
                    hang,
                    delay,
                    drop,
                    event,
                    operations,
                })
            },
        )
}

fn rarely_late() -> impl Strategy<Value = u64> {
    prop_oneof![2 => Just(0), 1 => 1..40u64]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..40u64).prop_map(Step::Pass),
        3 => any::<bool>().prop_map(|plain| Step::Interrupt { plain }),
        5 => submit(),
        4 => (0..40usize, errors(), rarely_late())
            .prop_map(|(job, error, late)| Step::Ready { job, error, late }),
        2 => (0..40usize, errors()).prop_map(|(job, error)| Step::Signal { job, error }),
        2 => (0..40usize, 0..30u64).prop_map(|(job, left)| Step::Deadline { job, left }),
        3 => any::<bool>().prop_map(|finish| Step::Operations { finish }),
        1 => Just(Step::Reset),
        1 => Just(Step::Grow),
    ]
}

fn policies() -> impl Strategy<Value = (SchedulerKind, QueuePolicy)> {
    let kind = prop_oneof![2 => Just(SchedulerKind::Timed), 1 => Just(SchedulerKind::Manual)];
    let timeout = prop_oneof![4 => (30..60u64).prop_map(Some), 1 => Just(None)];
    let in_fence = prop_oneof![
        Just(InFencePolicy::Propagate),
        Just(InFencePolicy::Ignore),
        Just(InFencePolicy::Cancel)
    ];
    let on_timeout = prop_oneof![Just(TimeoutPolicy::Continue), Just(TimeoutPolicy::Cancel)];
    let boost = prop_oneof![Just(100u64), Just(150), Just(400)];
    (kind, timeout, in_fence, on_timeout, boost).prop_map(
        |(kind, timeout, in_fence, on_timeout, boost)| {
            (
                kind,
                QueuePolicy {
                    timeout,
                    on_in_fence_error: in_fence,
                    on_timeout,
                    boost_percent: boost,
                },
            )
        },
    )
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(), 1..150)
}

/// A scheduler, and the events of its queue.
struct Schedule {
    kind: SchedulerKind,
    policy: QueuePolicy,
    scheduler: Scheduler<Data>,
    jobs: Vec<JobEvents>,
    events: Vec<bool>,
    ends: Vec<End>,
    resets: Vec<u64>,
    /// The seqno of the last job that `take_start()` returned.
    last_start: u64,
    now: u64,
    /// The time of the last event.
    last: u64,
    /// How long jobs had run after the last event.
    busy: u64,
    /// The index of the last job whose operations began.
    begun: Option<usize>,
}

impl Schedule {
    fn new(kind: SchedulerKind, policy: QueuePolicy) -> Self {
        Self {
            kind,
            policy,
            scheduler: empty(kind, policy, 0),
            jobs: Vec::new(),
            events: Vec::new(),
            ends: Vec::new(),
            resets: Vec::new(),
            last_start: 0,
            now: 1000,
            last: 0,
            busy: 0,
            begun: None,
        }
    }

    /// Checks a completed job: each job ends once, in the order of submission.
    fn ended(&mut self, ended: CompletedJob<Data>) {
        let index = self.ends.len();
        assert_eq!(ended.data.number, index);
        assert_eq!(ended.seqno, index as u64 + 1);
        assert_eq!(ended.event, self.events[index]);
        if let Some(segment) = ended.segment {
            match segment {
                JobSegment::Timed(segment) => assert!(segment.iter().all(Option::is_none)),
                JobSegment::Manual(segment) => assert!(segment.iter().all(Option::is_none)),
            }
        }
        let record = ended.record;
        assert!(
            record.end <= self.now,
            "the end of the job is in the future"
        );
        assert_eq!(record.submitted, self.jobs[index].submitted);
        let has_result = self.jobs[index].operations_end.is_some() && record.error == 0;
        assert_eq!(record.result, if has_result { 3 * ended.seqno } else { 0 });
        if record.start != 0 {
            assert_eq!(
                self.last_start, ended.seqno,
                "take_start() did not return the job"
            );
        }
        let completed = self.scheduler.state(self.now, ended.seqno);
        assert_eq!(completed, JobState::Completed(record));
        self.ends.push(End {
            start: record.start,
            time: record.end,
            error: record.error,
            deadline: record.deadline,
        });
        self.take_start();
    }

    /// Takes and checks the start of the head.
    fn take_start(&mut self) {
        let Some(jobs) = self.scheduler.timed_mut() else {
            assert_eq!(self.scheduler.running(), self.scheduler.pending());
            return;
        };
        if let Some((seqno, start)) = jobs.take_start() {
            assert!(seqno > self.last_start);
            assert_eq!(seqno, self.scheduler.completed() + 1);
            assert!(start <= self.now);
            self.last_start = seqno;
            assert_eq!(timed(&mut self.scheduler).take_start(), None);
        }
        let has_started = self.last_start == self.scheduler.completed() + 1;
        assert_eq!(self.scheduler.running(), usize::from(has_started));
    }

    fn interrupt(&mut self) {
        while let Some(ended) = self.scheduler.pop_due(self.now) {
            self.ended(ended);
        }
    }

    /// Takes plain jobs with `pop_plain()`, except those that its caller does not want.
    fn take_plain(&mut self) {
        let wanted = |data: &Data| data.number % 8 != 7;
        while let Some(ended) = self
            .scheduler
            .timed_mut()
            .and_then(|jobs| jobs.pop_plain(self.now, wanted))
        {
            assert!(wanted(&ended.data));
            let state = self.scheduler.state(self.now, ended.seqno);
            let JobState::Completed(record) = state else {
                panic!("job {} is {state:?}", ended.seqno);
            };
            assert_eq!(record.error, 0);
            assert_eq!((record.start, record.end), (ended.start, ended.end));
            self.ended(CompletedJob {
                seqno: ended.seqno,
                record,
                event: false,
                data: ended.data,
                segment: ended.segment.map(JobSegment::Timed),
            });
        }
    }

    fn step(&mut self, step: &Step) {
        self.act(step);
        self.check();
        if !matches!(step, Step::Pass(_)) {
            self.last = self.now;
        }
        // The model requires a different time for each event.
        self.now += 1;
    }

    fn act(&mut self, step: &Step) {
        match step {
            Step::Pass(time) => self.now += time,
            Step::Interrupt { plain } => {
                if *plain {
                    self.take_plain();
                }
                self.interrupt();
            }
            Step::Submit(submit) => self.submit(submit),
            Step::Ready { job, error, late } => self.ready(*job, *error, *late),
            Step::Signal { job, error } => self.signal(*job, *error),
            Step::Deadline { job, left } => self.deadline(*job, *left),
            Step::Operations { finish } => self.operations(*finish),
            Step::Reset => self.reset(),
            Step::Grow => {
                let room = self.scheduler.free_slots();
                if add_segment(&mut self.scheduler) {
                    assert!(self.scheduler.free_slots() > room);
                } else {
                    assert!(room > 200);
                }
            }
        }
    }

    fn submit(&mut self, submit: &Submit) {
        let mut injected = InjectedFaults::default();
        if submit.delay > 0 {
            injected.add(FaultKind::Delay, 0, submit.delay);
        }
        if submit.drop {
            injected.add(FaultKind::DropInterrupt, 0, 0);
        }
        let mut job = TimedJob {
            duration: DurationRange {
                min: submit.duration,
                max: 0,
            },
            in_fences: InFenceState {
                pending: submit.waits,
                error: submit.in_fence_error,
            },
            error: submit.error,
            hang: submit.hang,
            injected,
            event: submit.event,
            operations: submit.operations,
            data: Data::new(self.jobs.len()),
        };
        // The driver refuses the other fields on a manual queue.
        if self.kind == SchedulerKind::Manual {
            job = TimedJob {
                duration: DurationRange { min: 0, max: 0 },
                in_fences: InFenceState::default(),
                hang: false,
                injected: InjectedFaults::default(),
                operations: false,
                ..job
            };
        }
        let job_events = JobEvents {
            submitted: self.now,
            duration: job.duration.min + job.injected.delay,
            hang: job.hang,
            dropped: job.injected.has(FaultKind::DropInterrupt) && self.policy.timeout.is_some(),
            error: job.error,
            ready: (!job.in_fences.pending).then_some(self.now),
            in_fence_error: job.in_fences.error,
            deadlines: Vec::new(),
            operations: job.operations,
            operations_end: None,
            signalled: None,
            closed: None,
        };
        let event = job.event;
        let full = self.scheduler.free_slots() == 0;
        match try_submit(&mut self.scheduler, self.now, job) {
            Err(data) => {
                assert!(full);
                assert_eq!(data.number, self.jobs.len());
            }
            Ok(seqno) => {
                assert!(!full);
                self.jobs.push(job_events);
                self.events.push(event);
                assert_eq!(seqno, self.jobs.len() as u64);
            }
        }
        self.take_start();
    }

    /// Makes a job ready whose in-fences signalled `late` ns ago.
    fn ready(&mut self, job: usize, error: i32, late: u64) {
        if self.kind == SchedulerKind::Manual {
            return;
        }
        let head = self.ends.len();
        // Not before the last event: at that time, the scheduler knew them to be pending.
        let when = (self.now - late).max(self.last + 1);
        let changed = timed(&mut self.scheduler).ready(when, job as u64 + 1, error);
        if let Some(job_events) = self.jobs.get_mut(job) {
            if job >= head && job_events.ready.is_none() {
                job_events.ready = Some(when);
                if job_events.in_fence_error == 0 {
                    job_events.in_fence_error = error;
                }
            }
        }
        assert_eq!(changed, job == head && job < self.jobs.len());
        self.take_start();
    }

    fn signal(&mut self, job: usize, error: i32) {
        if self.kind == SchedulerKind::Timed || job >= self.jobs.len() {
            return;
        }
        for job_events in &mut self.jobs[..=job] {
            job_events.signalled.get_or_insert((self.now, error));
        }
        while let Some(ended) = manual(&mut self.scheduler).signal(self.now, job as u64 + 1, error)
        {
            self.ended(CompletedJob::from_manual(ended));
        }
        assert!(self.ends.len() > job);
    }

    /// Returns the start of the head if its operations have started and not ended.
    fn running_operations(&self) -> Option<u64> {
        let head = self.ends.len();
        let job = self.jobs.get(head)?;
        let unfinished = job.operations && job.operations_end.is_none() && !job.hang;
        match self.scheduler.state(self.now, head as u64 + 1) {
            JobState::Running(record) if unfinished => Some(record.start),
            _ => None,
        }
    }

    fn operations(&mut self, finish: bool) {
        // Jobs of a manual queue have no operations.
        if self.kind == SchedulerKind::Manual {
            return;
        }
        let (head, runs) = (self.ends.len(), self.running_operations().is_some());
        let seqno = head as u64 + 1;
        assert_eq!(
            timed(&mut self.scheduler).begin_operations(),
            runs.then_some(seqno)
        );
        if runs {
            self.begun = Some(head);
        }
        if finish {
            // The operations of another job do not run.
            assert!(!timed(&mut self.scheduler).operations_done(self.now, seqno + 1, 7));
            assert_eq!(
                timed(&mut self.scheduler).operations_done(self.now, seqno, 3 * seqno),
                runs
            );
            if runs {
                self.jobs[head].operations_end = Some(self.now);
            }
            assert!(!timed(&mut self.scheduler).operations_done(self.now, seqno, 7));
        }
    }

    fn deadline(&mut self, job: usize, left: u64) {
        // Otherwise the scheduler may not know that the job is the head.
        self.interrupt();
        let head = self.ends.len();
        let deadline = self.now + left;
        let seqno = job as u64 + 1;
        let pending = job >= head && job < self.jobs.len();
        if pending {
            self.jobs[job].deadlines.push((self.now, deadline));
        }
        match self.scheduler.timed_mut() {
            Some(jobs) => {
                let changed = jobs.set_deadline(self.now, seqno, deadline);
                assert_eq!(changed, pending && job == head);
            }
            // The fence of a manual job keeps its deadline.
            None if pending => {
                let fence = self.scheduler.fence_mut(seqno).expect("the job is pending");
                fence.deadline = fence.deadline.min(deadline);
            }
            None => {}
        }
    }

    fn reset(&mut self) {
        self.resets.push(self.now);
        while let Some(ended) = self.scheduler.pop_ended(self.now) {
            self.ended(ended);
        }
        if let Some(ended) = self.scheduler.reset(self.now) {
            self.ended(ended);
        }
        self.take_start();
        assert!(!self.scheduler.stopped());
    }

    fn close(&mut self) {
        while let Some(ended) = self.scheduler.pop_ended(self.now) {
            self.ended(ended);
        }
        for job_events in &mut self.jobs[self.ends.len()..] {
            job_events.closed = Some(self.now);
        }
        while let Some(ended) = self.scheduler.cancel(self.now) {
            self.ended(ended);
        }
        self.check();
        assert_eq!(self.ends.len(), self.jobs.len());
        assert_eq!(self.scheduler.next_event(), None);
    }

    /// Returns the ends according to the model.
    fn expected(&self) -> Ends {
        ends(self.kind, &self.policy, &self.jobs, &self.resets)
    }

    /// Checks how long jobs have run: the time of those that have ended, and not less than before.
    fn check_busy(&mut self) {
        let ran = self.ends.iter().filter(|end| end.start != 0);
        let ended: u64 = ran.map(|end| end.time - end.start).sum();
        assert_eq!(self.scheduler.busy(0), ended);
        let busy = self.scheduler.busy(self.now);
        assert!(busy >= self.busy);
        match self.scheduler.state(self.now, self.ends.len() as u64 + 1) {
            JobState::Running(record) => assert!(busy - ended <= self.now - record.start),
            _ => assert_eq!(busy, ended),
        }
        self.busy = busy;
    }

    /// Checks the scheduler after an event.
    fn check(&mut self) {
        self.check_busy();
        assert_eq!(self.scheduler.submitted(), self.jobs.len() as u64);
        assert_eq!(self.scheduler.completed(), self.ends.len() as u64);
        assert_eq!(self.scheduler.pending(), self.jobs.len() - self.ends.len());
        // The jobs that have ended are those that must have, and the next event is the begin of the
        // next job's operations or its end.
        let expected = self.expected();
        let count = self.ends.len();
        assert_eq!(
            self.ends,
            expected.ends[..count.min(expected.ends.len())],
            "{:?} {:?} {:?}",
            self.policy,
            self.jobs,
            self.resets
        );
        let begins = self
            .running_operations()
            .filter(|_| self.begun != Some(count));
        assert_eq!(
            self.scheduler.next_event(),
            begins.or(expected.due.get(count).copied()),
            "{:?} {:?} {:?}",
            self.policy,
            self.jobs,
            self.resets
        );
        self.check_counts(&expected);
        self.check_states(&expected);
    }

    fn check_counts(&self, expected: &Ends) {
        let Totals {
            errors,
            timeouts,
            resets,
            faults,
        } = *self.scheduler.totals();
        let failed = self.ends.iter().filter(|end| end.error != 0).count() as u64;
        assert_eq!(errors, failed);
        let timed_out = match self.ends.len() {
            0 => 0,
            count => expected.timeouts[count - 1],
        };
        assert_eq!(timeouts, timed_out);
        let implied = match self.policy.on_timeout {
            TimeoutPolicy::Continue => timeouts,
            TimeoutPolicy::Cancel => 0,
        };
        assert_eq!(resets, self.resets.len() as u64 + implied);
        let dropped = self.jobs.iter().filter(|job| job.dropped).count() as u64;
        assert_eq!(faults[FaultKind::DropInterrupt as usize], dropped);
        assert_eq!(faults[FaultKind::Hang as usize], 0);
    }

    /// Checks the state of each job.
    fn check_states(&self, expected: &Ends) {
        assert_eq!(self.scheduler.state(self.now, 0), JobState::Unknown);
        let next = self.jobs.len() as u64 + 1;
        assert_eq!(self.scheduler.state(self.now, next), JobState::Unknown);
        for (index, job) in self.jobs.iter().enumerate() {
            let head = self.ends.len();
            let record = match self.scheduler.state(self.now, index as u64 + 1) {
                JobState::Unknown => panic!("job {index} is unknown"),
                JobState::Forgotten => {
                    assert!(index + HISTORY < head);
                    continue;
                }
                JobState::Completed(record) => {
                    assert!(index < head && index + HISTORY >= head);
                    record
                }
                JobState::Pending(record) => {
                    assert!(index >= head);
                    assert_eq!(record.start, 0);
                    record
                }
                JobState::Running(record) => {
                    assert_eq!(index, head);
                    assert!(record.start > 0 && record.start <= self.now);
                    if let Some(end) = expected.ends.get(index).filter(|end| end.start != 0) {
                        assert_eq!(record.start, end.start);
                    }
                    record
                }
            };
            if index >= head {
                let earliest = job.deadlines.iter().map(|(_, deadline)| *deadline).min();
                let plain = JobRecord {
                    submitted: job.submitted,
                    start: record.start,
                    end: 0,
                    deadline: earliest.unwrap_or(0),
                    error: 0,
                    faults: record.faults,
                    result: 0,
                };
                assert_eq!(record, plain);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 1000,
        failure_persistence: None,
        ..Default::default()
    })]

    /// Each job ends once, in order, at the time and with the error that the model says.
    #[test]
    fn scheduler_does_what_the_model_says((kind, policy) in policies(), steps in steps()) {
        let mut run = Schedule::new(kind, policy);
        run.step(&Step::Grow);
        for step in &steps {
            run.step(step);
        }
        run.close();
        // A closed queue has no jobs.
        run.close();
    }

    /// No job ends before its in-fences, before its duration without a deadline, or after its
    /// timeout.
    #[test]
    fn jobs_end_within_their_bounds(
        (kind, policy) in policies(),
        timeout in 30..60u64,
        steps in steps(),
    ) {
        let policy = QueuePolicy { timeout: Some(timeout), ..policy };
        let mut run = Schedule::new(kind, policy);
        run.step(&Step::Grow);
        for step in &steps {
            run.step(step);
        }
        run.now += 200 * timeout;
        run.interrupt();
        prop_assert_eq!(run.ends.len(), run.jobs.len(), "the timeout has ended all jobs");
        let mut previous = 0;
        for (job, end) in run.jobs.iter().zip(&run.ends) {
            let head = previous.max(job.submitted);
            prop_assert!(end.time >= head);
            let since = if kind == SchedulerKind::Timed { head } else { job.submitted };
            prop_assert!(end.time <= since.max(head) + timeout);
            if end.start != 0 {
                prop_assert!(end.start >= job.ready.unwrap().max(head));
            }
            if kind == SchedulerKind::Timed && end.error == 0 {
                if let Some(operations_end) = job.operations_end {
                    prop_assert!(end.time >= operations_end);
                    previous = end.time;
                    continue;
                }
                let run = end.time - end.start;
                prop_assert!(run <= job.duration);
                prop_assert!(
                    run * policy.boost_percent >= job.duration * 100 || run == job.duration
                );
                if job.deadlines.is_empty() {
                    prop_assert_eq!(run, job.duration);
                }
            }
            previous = end.time;
        }
    }

    /// The times of interrupts, and their lateness, do not change the ends of jobs.
    #[test]
    fn late_interrupts_do_not_change_ends((kind, policy) in policies(), steps in steps()) {
        let mut eager = Schedule::new(kind, policy);
        let mut lazy = Schedule::new(kind, policy);
        for run in [&mut eager, &mut lazy] {
            for _ in 0..3 {
                prop_assert!(add_segment(&mut run.scheduler));
            }
        }
        for step in &steps {
            match step {
                // A deadline applies from when the scheduler knows the job to be the head.
                Step::Grow | Step::Deadline { .. } => {}
                // A late report can come after the timeout of the job.
                Step::Ready { late: 1.., .. } => {}
                // The worker begins operations after an interrupt.
                Step::Submit(Submit { operations: true, .. }) | Step::Operations { .. } => {}
                Step::Interrupt { .. } => {
                    eager.step(step);
                    lazy.step(&Step::Pass(0));
                }
                _ => {
                    eager.act(step);
                    eager.step(&Step::Interrupt { plain: true });
                    lazy.step(step);
                }
            }
        }
        eager.close();
        lazy.close();
        prop_assert_eq!(eager.ends, lazy.ends);
    }
}
