// SPDX-License-Identifier: GPL-2.0

//! Random schedules: whatever happens in whatever order, the machine ends the jobs as the model says.

use crate::{
    model::{ends, End, Ends, History, CANCELED},
    sched::{
        fault_plan::{FaultKind, InjectedFaults},
        scheduler::JobSegment,
        timed::TimedJob,
        types::{
            DurationRange, InFencePolicy, InFenceState, JobRecord, JobState, QueuePolicy,
            SchedulerKind, TimeoutPolicy, Totals,
        },
    },
    setup::{empty, grow, manual, timed, try_submit, CompletedJob, Scheduler, Wanted, HISTORY},
};
use proptest::prelude::*;

/// One thing that happens to a queue.
#[derive(Clone, Debug)]
enum Step {
    /// Time passes.
    Pass(u64),
    /// The timer's interrupt comes, and first takes those jobs quietly that it can take so, or does not.
    Interrupt { quiet: bool },
    /// A job is submitted.
    Submit(Submit),
    /// The in-fences of one of the jobs, ended or not, have signalled.
    Ready { job: usize, error: i32, late: u64 },
    /// User space completes jobs, ended or not, up to one.
    Signal { job: usize, error: i32 },
    /// One of the jobs, ended or not, is wanted so long from now.
    Deadline { job: usize, left: u64 },
    /// Somebody does work, and is done with it or not.
    Work { finish: bool },
    /// User space resets the queue.
    Reset,
    /// RingMemory is made for more jobs.
    Grow,
}

#[derive(Clone, Debug)]
struct Submit {
    duration: u64,
    waits: bool,
    in_error: i32,
    error: i32,
    hang: bool,
    delay: u64,
    drop: bool,
    event: bool,
    work: bool,
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
            |(duration, waits, in_error, error, hang, delay, drop, event, work)| {
                Step::Submit(Submit {
                    duration,
                    waits,
                    in_error: if waits { in_error } else { 0 },
                    error,
                    hang,
                    delay,
                    drop,
                    event,
                    work,
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
        3 => any::<bool>().prop_map(|quiet| Step::Interrupt { quiet }),
        5 => submit(),
        4 => (0..40usize, errors(), rarely_late()).prop_map(|(job, error, late)| Step::Ready { job, error, late }),
        2 => (0..40usize, errors()).prop_map(|(job, error)| Step::Signal { job, error }),
        2 => (0..40usize, 0..30u64).prop_map(|(job, left)| Step::Deadline { job, left }),
        3 => any::<bool>().prop_map(|finish| Step::Work { finish }),
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

/// A machine, and what has happened to it.
struct Run {
    kind: SchedulerKind,
    policy: QueuePolicy,
    machine: Scheduler<Wanted>,
    jobs: Vec<History>,
    events: Vec<bool>,
    ends: Vec<End>,
    resets: Vec<u64>,
    /// The last job that was told to have started.
    told: u64,
    now: u64,
    /// When something happened last.
    last: u64,
    /// The last job whose work was begun.
    begun: Option<usize>,
}

impl Run {
    fn new(kind: SchedulerKind, policy: QueuePolicy) -> Self {
        Self {
            kind,
            policy,
            machine: empty(kind, policy, 0),
            jobs: Vec::new(),
            events: Vec::new(),
            ends: Vec::new(),
            resets: Vec::new(),
            told: 0,
            now: 1000,
            last: 0,
            begun: None,
        }
    }

    /// Notes that a job has ended: exactly once, and in the order of submission.
    fn ended(&mut self, ended: CompletedJob<Wanted>) {
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
            "the end of a job lies in the future"
        );
        assert_eq!(record.submitted, self.jobs[index].submitted);
        let worked = self.jobs[index].worked.is_some() && record.error == 0;
        assert_eq!(record.result, if worked { 3 * ended.seqno } else { 0 });
        if record.start != 0 {
            assert_eq!(
                self.told, ended.seqno,
                "the job has started, but was not told"
            );
        }
        let completed = self.machine.state(self.now, ended.seqno);
        assert_eq!(completed, JobState::Completed(record));
        self.ends.push(End {
            start: record.start,
            time: record.end,
            error: record.error,
            deadline: record.deadline,
        });
        self.tell();
    }

    /// Asks who has started.
    fn tell(&mut self) {
        let Some(jobs) = self.machine.timed_mut() else {
            return;
        };
        if let Some((seqno, start)) = jobs.take_start() {
            assert!(seqno > self.told);
            assert_eq!(seqno, self.machine.completed() + 1);
            assert!(start <= self.now);
            self.told = seqno;
            assert_eq!(timed(&mut self.machine).take_start(), None);
        }
    }

    fn interrupt(&mut self) {
        while let Some(ended) = self.machine.pop_due(self.now) {
            self.ended(ended);
        }
    }

    /// Takes jobs that have ended well, unless user space wants to be told, or the caller does not want them.
    fn quiet_interrupt(&mut self) {
        let wanted = |data: &Wanted| data.number % 8 != 7;
        while let Some(ended) = self
            .machine
            .timed_mut()
            .and_then(|jobs| jobs.pop_plain(self.now, wanted))
        {
            assert!(wanted(&ended.data));
            let state = self.machine.state(self.now, ended.seqno);
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
        // What happens from outside happens at different times.
        self.now += 1;
    }

    fn act(&mut self, step: &Step) {
        match step {
            Step::Pass(time) => self.now += time,
            Step::Interrupt { quiet } => {
                if *quiet {
                    self.quiet_interrupt();
                }
                self.interrupt();
            }
            Step::Submit(submit) => self.submit(submit),
            Step::Ready { job, error, late } => self.ready(*job, *error, *late),
            Step::Signal { job, error } => self.signal(*job, *error),
            Step::Deadline { job, left } => self.deadline(*job, *left),
            Step::Work { finish } => self.work(*finish),
            Step::Reset => self.reset(),
            Step::Grow => {
                let room = self.machine.free_slots();
                if grow(&mut self.machine) {
                    assert!(self.machine.free_slots() > room);
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
                error: submit.in_error,
            },
            error: submit.error,
            hang: submit.hang,
            injected,
            event: submit.event,
            operations: submit.work,
            data: Wanted::new(self.jobs.len()),
        };
        // The driver refuses these on a manual queue.
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
        let history = History {
            submitted: self.now,
            duration: job.duration.min + job.injected.delay,
            hang: job.hang,
            dropped: job.injected.has(FaultKind::DropInterrupt) && self.policy.timeout.is_some(),
            error: job.error,
            ready: (!job.in_fences.pending).then_some(self.now),
            in_error: job.in_fences.error,
            deadlines: Vec::new(),
            work: job.operations,
            worked: None,
            signalled: None,
            closed: None,
        };
        let event = job.event;
        let full = self.machine.free_slots() == 0;
        match try_submit(&mut self.machine, self.now, job) {
            Err(data) => {
                assert!(full);
                assert_eq!(data.number, self.jobs.len());
            }
            Ok(seqno) => {
                assert!(!full);
                self.jobs.push(history);
                self.events.push(event);
                assert_eq!(seqno, self.jobs.len() as u64);
            }
        }
        self.tell();
    }

    /// The in-fences of a job have signalled, and that is known only now, `late` after it.
    fn ready(&mut self, job: usize, error: i32, late: u64) {
        if self.kind == SchedulerKind::Manual {
            return;
        }
        let head = self.ends.len();
        // Not before something else has happened: the machine has seen that it had not signalled.
        let when = (self.now - late).max(self.last + 1);
        let changed = timed(&mut self.machine).ready(when, job as u64 + 1, error);
        if let Some(history) = self.jobs.get_mut(job) {
            if job >= head && history.ready.is_none() {
                history.ready = Some(when);
                if history.in_error == 0 {
                    history.in_error = error;
                }
            }
        }
        assert_eq!(changed, job == head && job < self.jobs.len());
        self.tell();
    }

    fn signal(&mut self, job: usize, error: i32) {
        if self.kind == SchedulerKind::Timed || job >= self.jobs.len() {
            return;
        }
        for history in &mut self.jobs[..=job] {
            history.signalled.get_or_insert((self.now, error));
        }
        while let Some(ended) = manual(&mut self.machine).signal(self.now, job as u64 + 1, error) {
            self.ended(CompletedJob::from_manual(ended));
        }
        assert!(self.ends.len() > job);
    }

    /// Returns when the head has started, if it has work that is not done.
    fn works(&self) -> Option<u64> {
        let head = self.ends.len();
        let job = self.jobs.get(head)?;
        let works = job.work && job.worked.is_none() && !job.hang;
        match self.machine.state(self.now, head as u64 + 1) {
            JobState::Running(record) if works => Some(record.start),
            _ => None,
        }
    }

    fn work(&mut self, finish: bool) {
        // Jobs of a manual queue have no operations.
        if self.kind == SchedulerKind::Manual {
            return;
        }
        let (head, works) = (self.ends.len(), self.works().is_some());
        let seqno = head as u64 + 1;
        assert_eq!(
            timed(&mut self.machine).begin_operations(),
            works.then_some(seqno)
        );
        if works {
            self.begun = Some(head);
        }
        if finish {
            // That of another job is none.
            assert!(!timed(&mut self.machine).operations_done(self.now, seqno + 1, 7));
            assert_eq!(
                timed(&mut self.machine).operations_done(self.now, seqno, 3 * seqno),
                works
            );
            if works {
                self.jobs[head].worked = Some(self.now);
            }
            assert!(!timed(&mut self.machine).operations_done(self.now, seqno, 7));
        }
    }

    fn deadline(&mut self, job: usize, left: u64) {
        // Else a job may not be known to be the head.
        self.interrupt();
        let head = self.ends.len();
        let deadline = self.now + left;
        let seqno = job as u64 + 1;
        let pending = job >= head && job < self.jobs.len();
        if pending {
            self.jobs[job].deadlines.push((self.now, deadline));
        }
        match self.machine.timed_mut() {
            Some(jobs) => {
                let changed = jobs.set_deadline(self.now, seqno, deadline);
                assert_eq!(changed, pending && job == head);
            }
            // The fence of a manual job keeps its deadline.
            None if pending => {
                let fence = self.machine.fence_mut(seqno).expect("it is pending");
                fence.deadline = fence.deadline.min(deadline);
            }
            None => {}
        }
    }

    fn reset(&mut self) {
        self.resets.push(self.now);
        while let Some(ended) = self.machine.pop_ended(self.now) {
            self.ended(ended);
        }
        if let Some(ended) = self.machine.reset(self.now) {
            self.ended(ended);
        }
        self.tell();
        assert!(!self.machine.stopped());
    }

    fn close(&mut self) {
        while let Some(ended) = self.machine.pop_ended(self.now) {
            self.ended(ended);
        }
        for history in &mut self.jobs[self.ends.len()..] {
            history.closed = Some(self.now);
        }
        while let Some(ended) = self.machine.cancel(self.now, CANCELED) {
            self.ended(ended);
        }
        self.check();
        assert_eq!(self.ends.len(), self.jobs.len());
        assert_eq!(self.machine.next_event(), None);
    }

    /// Returns what the model says.
    fn expected(&self) -> Ends {
        ends(self.kind, &self.policy, &self.jobs, &self.resets)
    }

    /// Checks what must hold after every step.
    fn check(&mut self) {
        assert_eq!(self.machine.submitted(), self.jobs.len() as u64);
        assert_eq!(self.machine.completed(), self.ends.len() as u64);
        assert_eq!(self.machine.pending(), self.jobs.len() - self.ends.len());
        // What has ended is what had to, and the interrupt is asked for when the next one ends.
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
        let begins = self.works().filter(|_| self.begun != Some(count));
        assert_eq!(
            self.machine.next_event(),
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
        } = *self.machine.totals();
        let failed = self.ends.iter().filter(|end| end.error != 0).count() as u64;
        assert_eq!(errors, failed);
        let out_of_time = match self.ends.len() {
            0 => 0,
            count => expected.timeouts[count - 1],
        };
        assert_eq!(timeouts, out_of_time);
        let by_itself = match self.policy.on_timeout {
            TimeoutPolicy::Continue => timeouts,
            TimeoutPolicy::Cancel => 0,
        };
        assert_eq!(resets, self.resets.len() as u64 + by_itself);
        let dropped = self.jobs.iter().filter(|job| job.dropped).count() as u64;
        assert_eq!(faults[FaultKind::DropInterrupt as usize], dropped);
        assert_eq!(faults[FaultKind::Hang as usize], 0);
    }

    /// Checks what the machine says about each job.
    fn check_states(&self, expected: &Ends) {
        assert_eq!(self.machine.state(self.now, 0), JobState::Unknown);
        let next = self.jobs.len() as u64 + 1;
        assert_eq!(self.machine.state(self.now, next), JobState::Unknown);
        for (index, job) in self.jobs.iter().enumerate() {
            let head = self.ends.len();
            let record = match self.machine.state(self.now, index as u64 + 1) {
                JobState::Unknown => panic!("job {index} is not known"),
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
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..Default::default() })]

    /// Every job ends exactly once, in order, when and how the model says.
    #[test]
    fn machine_does_what_the_model_says((kind, policy) in policies(), steps in steps()) {
        let mut run = Run::new(kind, policy);
        run.step(&Step::Grow);
        for step in &steps {
            run.step(step);
        }
        run.close();
        // Closing once more finds nothing.
        run.close();
    }

    /// No job ends before its in-fences, before its time unless it is wanted, or after its timeout.
    #[test]
    fn bounds_hold((kind, policy) in policies(), timeout in 30..60u64, steps in steps()) {
        let policy = QueuePolicy { timeout: Some(timeout), ..policy };
        let mut run = Run::new(kind, policy);
        run.step(&Step::Grow);
        for step in &steps {
            run.step(step);
        }
        run.now += 200 * timeout;
        run.interrupt();
        prop_assert_eq!(run.ends.len(), run.jobs.len(), "the timeout has ended everything");
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
                if let Some(worked) = job.worked {
                    prop_assert!(end.time >= worked);
                    previous = end.time;
                    continue;
                }
                let run = end.time - end.start;
                prop_assert!(run <= job.duration);
                prop_assert!(run * policy.boost_percent >= job.duration * 100 || run == job.duration);
                if job.deadlines.is_empty() {
                    prop_assert_eq!(run, job.duration);
                }
            }
            previous = end.time;
        }
    }

    /// When interrupts come, and how late, changes nothing about when jobs end.
    #[test]
    fn late_interrupts_change_nothing((kind, policy) in policies(), steps in steps()) {
        let mut eager = Run::new(kind, policy);
        let mut lazy = Run::new(kind, policy);
        for run in [&mut eager, &mut lazy] {
            for _ in 0..3 {
                prop_assert!(grow(&mut run.machine));
            }
        }
        for step in &steps {
            match step {
                // Deadlines hold from when a job is known to be the head.
                Step::Grow | Step::Deadline { .. } => {}
                // What is known late may be too late: what has timed out by then has.
                Step::Ready { late: 1.., .. } => {}
                // It is begun by who is told by an interrupt that it can be.
                Step::Submit(Submit { work: true, .. }) | Step::Work { .. } => {}
                Step::Interrupt { .. } => {
                    eager.step(step);
                    lazy.step(&Step::Pass(0));
                }
                _ => {
                    eager.act(step);
                    eager.step(&Step::Interrupt { quiet: true });
                    lazy.step(step);
                }
            }
        }
        eager.close();
        lazy.close();
        prop_assert_eq!(eager.ends, lazy.ends);
    }
}
