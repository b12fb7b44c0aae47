// SPDX-License-Identifier: GPL-2.0

//! Random schedules: whatever happens in whatever order, the machine ends the jobs as the model says.

use crate::{
    machine::{Ended, Job, Kind, Machine, Slot},
    model::{ends, End, History, CANCELED},
};
use proptest::prelude::*;

type Ring = Vec<Option<Slot<usize>>>;

/// One thing that happens to a queue.
#[derive(Clone, Debug)]
enum Step {
    /// Time passes.
    Pass(u64),
    /// The timer's interrupt comes.
    Interrupt,
    /// A job is submitted.
    Submit {
        duration: u64,
        waits: bool,
        error: i32,
    },
    /// The in-fences of one of the jobs, ended or not, have signalled.
    Ready { job: usize, error: i32 },
    /// User space completes jobs, ended or not, up to one.
    Signal { job: usize, error: i32 },
    /// Memory is made for more jobs.
    Grow,
}

fn errors() -> impl Strategy<Value = i32> {
    prop_oneof![3 => Just(0), 1 => -200..-190]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..40u64).prop_map(Step::Pass),
        3 => Just(Step::Interrupt),
        4 => (0..30u64, any::<bool>(), errors())
            .prop_map(|(duration, waits, error)| Step::Submit { duration, waits, error }),
        4 => (0..40usize, errors()).prop_map(|(job, error)| Step::Ready { job, error }),
        2 => (0..40usize, errors()).prop_map(|(job, error)| Step::Signal { job, error }),
        1 => Just(Step::Grow),
    ]
}

fn ring(slots: usize) -> Ring {
    (0..slots).map(|_| None).collect()
}

/// A machine, and what has happened to it.
struct Run {
    kind: Kind,
    watchdog: Option<u64>,
    machine: Machine<usize, Ring>,
    jobs: Vec<History>,
    ends: Vec<End>,
    now: u64,
}

impl Run {
    fn new(kind: Kind, watchdog: Option<u64>) -> Self {
        Self {
            kind,
            watchdog,
            machine: Machine::new(kind, watchdog, ring(0)),
            jobs: Vec::new(),
            ends: Vec::new(),
            now: 1000,
        }
    }

    /// Notes that a job has ended: exactly once, and in the order of submission.
    fn ended(&mut self, ended: Ended<usize>) {
        assert_eq!(ended.payload, self.ends.len());
        assert!(
            ended.timestamp <= self.now,
            "the end of a job lies in the future"
        );
        self.ends.push(End {
            time: ended.timestamp,
            error: ended.error,
        });
    }

    fn interrupt(&mut self) {
        while let Some(ended) = self.machine.advance(self.now) {
            self.ended(ended);
        }
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Pass(time) => self.now += time,
            Step::Interrupt => self.interrupt(),
            Step::Submit {
                duration,
                waits,
                error,
            } => self.submit(duration, waits, error),
            Step::Ready { job, error } => self.ready(job, error),
            Step::Signal { job, error } => self.signal(job, error),
            Step::Grow => {
                let larger = ring((self.machine.capacity() * 2).max(1));
                let old = self.machine.grow(larger);
                assert!(old.iter().all(Option::is_none));
            }
        }
        self.check();
    }

    fn submit(&mut self, duration: u64, waits: bool, error: i32) {
        // The driver refuses these on a manual queue.
        let (duration, waits, error) = match self.kind {
            Kind::Manual => (0, false, 0),
            Kind::Timer => (duration, waits, error),
        };
        let job = Job {
            duration,
            waits,
            error,
            payload: self.jobs.len(),
        };
        let full = self.machine.pending() == self.machine.capacity();
        match self.machine.submit(self.now, job) {
            Err(job) => {
                assert!(full);
                assert_eq!(job.payload, self.jobs.len());
            }
            Ok(seqno) => {
                assert!(!full);
                self.jobs.push(History {
                    submitted: self.now,
                    duration,
                    ready: (!waits).then_some(self.now),
                    in_error: error,
                    signalled: None,
                    closed: None,
                });
                assert_eq!(seqno, self.jobs.len() as u64);
            }
        }
    }

    fn ready(&mut self, job: usize, error: i32) {
        if self.kind == Kind::Manual {
            return;
        }
        let head = self.ends.len();
        let changed = self.machine.ready(self.now, job as u64 + 1, error);
        if let Some(history) = self.jobs.get_mut(job) {
            if job >= head && history.ready.is_none() {
                history.ready = Some(self.now);
                if history.in_error == 0 {
                    history.in_error = error;
                }
            }
        }
        assert_eq!(changed, job == head && job < self.jobs.len());
    }

    fn signal(&mut self, job: usize, error: i32) {
        if self.kind == Kind::Timer || job >= self.jobs.len() {
            return;
        }
        for history in &mut self.jobs[..=job] {
            history.signalled.get_or_insert((self.now, error));
        }
        while let Some(ended) = self.machine.signal(self.now, job as u64 + 1, error) {
            self.ended(ended);
        }
        assert!(self.ends.len() > job);
    }

    fn close(&mut self) {
        self.interrupt();
        for history in &mut self.jobs[self.ends.len()..] {
            history.closed = Some(self.now);
        }
        while let Some(ended) = self.machine.cancel(self.now) {
            self.ended(ended);
        }
        self.check();
        assert_eq!(self.ends.len(), self.jobs.len());
        assert_eq!(self.machine.next_event(), None);
    }

    /// Checks what must hold after every step.
    fn check(&mut self) {
        assert_eq!(self.machine.submitted(), self.jobs.len() as u64);
        assert_eq!(self.machine.completed(), self.ends.len() as u64);
        assert_eq!(self.machine.pending(), self.jobs.len() - self.ends.len());
        // What has ended is what had to, and the interrupt is asked for when the next one ends.
        let expected = ends(self.kind, self.watchdog, &self.jobs, u64::MAX);
        assert_eq!(
            self.ends,
            expected[..self.ends.len().min(expected.len())],
            "{:?}",
            self.jobs
        );
        assert_eq!(
            self.machine.next_event(),
            expected.get(self.ends.len()).map(|end| end.time)
        );
    }
}

fn kinds() -> impl Strategy<Value = Kind> {
    prop_oneof![Just(Kind::Timer), Just(Kind::Manual)]
}

fn watchdogs() -> impl Strategy<Value = Option<u64>> {
    prop_oneof![4 => (30..60u64).prop_map(Some), 1 => Just(None)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..Default::default() })]

    /// Every job ends exactly once, in order, when and how the model says.
    #[test]
    fn machine_does_what_the_model_says(
        kind in kinds(),
        watchdog in watchdogs(),
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let mut run = Run::new(kind, watchdog);
        for step in &steps {
            run.step(step);
        }
        run.close();
        // Closing once more finds nothing.
        run.close();
    }

    /// No job ends before its in-fences, before its time, or after the watchdog's.
    #[test]
    fn bounds_hold(
        kind in kinds(),
        watchdog in 30..60u64,
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let mut run = Run::new(kind, Some(watchdog));
        for step in &steps {
            run.step(step);
        }
        run.now += 100 * watchdog;
        run.interrupt();
        prop_assert_eq!(run.ends.len(), run.jobs.len(), "the watchdog has ended everything");
        let mut previous = 0;
        for (job, end) in run.jobs.iter().zip(&run.ends) {
            let head = previous.max(job.submitted);
            prop_assert!(end.time >= head);
            let since = if kind == Kind::Timer { head } else { job.submitted };
            prop_assert!(end.time <= since + watchdog);
            if kind == Kind::Timer && end.error == 0 {
                prop_assert_eq!(end.time, job.ready.unwrap().max(head) + job.duration);
            }
            prop_assert_ne!(end.error, CANCELED);
            previous = end.time;
        }
    }

    /// When interrupts come, and how late, changes nothing about when jobs end.
    #[test]
    fn late_interrupts_change_nothing(
        kind in kinds(),
        watchdog in watchdogs(),
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let mut eager = Run::new(kind, watchdog);
        let mut lazy = Run::new(kind, watchdog);
        for run in [&mut eager, &mut lazy] {
            run.machine.grow(ring(128));
        }
        for step in &steps {
            if !matches!(step, Step::Grow) {
                eager.step(step);
                eager.interrupt();
                eager.check();
                if !matches!(step, Step::Interrupt) {
                    lazy.step(step);
                }
                // What happens in the same nanosecond as an interrupt may come before or after it.
                eager.now += 1;
                lazy.now += 1;
            }
        }
        eager.close();
        lazy.close();
        prop_assert_eq!(eager.ends, lazy.ends);
    }
}
