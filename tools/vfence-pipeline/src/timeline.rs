// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The timeline: frames, the jobs of their stages, and figures from the fences' timestamps.
//!
//! All times are in ns on `CLOCK_MONOTONIC`.

use vfence::Errno;

/// The stages of the pipeline, in order.
pub const STAGES: [&str; 3] = ["decode", "render", "display"];

/// A frame is in time if it is displayed within this many frame times after it was due.
pub const LATENCY_FRAMES: u64 = 2;

/// The result of a run.
#[derive(Clone, Debug)]
pub struct Timeline {
    /// The time at which the first frame was due.
    pub start_ns: u64,
    /// The time from one frame to the next.
    pub period_ns: u64,
    /// The durations of the stages.
    pub durations_ns: [u64; 3],
    /// The frames in the order in which they were due.
    pub frames: Vec<Frame>,
}

/// A frame and its jobs.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The index of the frame, from 0.
    pub number: u32,
    /// The time at which its jobs were due to be submitted.
    pub due_ns: u64,
    /// A job for each stage.
    pub jobs: [Job; 3],
}

/// The job of a stage for a frame.
#[derive(Clone, Copy, Debug)]
pub struct Job {
    /// The time of submission.
    pub submitted_ns: u64,
    /// The timestamp of the out-fence.
    pub signalled_ns: u64,
    /// The time at which poll() returned.
    pub woken_ns: u64,
    /// The error of the out-fence.
    pub error: Option<Errno>,
}

impl Timeline {
    /// Returns the time at which `stage` of `frame` ends if only the jobs take time.
    fn ideal_ns(&self, frame: &Frame, stage: usize) -> u64 {
        frame.due_ns + self.durations_ns[..=stage].iter().sum::<u64>()
    }

    /// Returns the time after the due time within which a frame must be displayed.
    pub fn latency_ns(&self) -> u64 {
        LATENCY_FRAMES * self.period_ns
    }

    /// Returns the start time of the job of a stage; `None` if it failed and may not have started.
    ///
    /// A job runs for exactly its duration.
    pub fn started_ns(&self, frame: &Frame, stage: usize) -> Option<u64> {
        let job = &frame.jobs[stage];
        match job.error {
            None => Some(job.signalled_ns.saturating_sub(self.durations_ns[stage])),
            Some(_) => None,
        }
    }

    /// Returns the time from the ideal end of the job of a stage to its signal.
    pub fn lateness_ns(&self, frame: &Frame, stage: usize) -> u64 {
        frame.jobs[stage]
            .signalled_ns
            .saturating_sub(self.ideal_ns(frame, stage))
    }

    /// Returns whether a frame was displayed in time.
    pub fn in_time(&self, frame: &Frame) -> bool {
        let [.., last] = &frame.jobs;
        last.error.is_none() && last.signalled_ns <= frame.due_ns + self.latency_ns()
    }

    /// Returns the numbers of frames that were in time, late and failed.
    pub fn verdict(&self) -> Verdict {
        let mut verdict = Verdict::default();
        for frame in &self.frames {
            if self.in_time(frame) {
                verdict.in_time += 1;
            } else if frame.failed() {
                verdict.failed += 1;
            } else {
                verdict.late += 1;
            }
        }
        verdict
    }

    /// Returns the lateness of a stage over all frames in which it did not fail.
    pub fn lateness(&self, stage: usize) -> Option<Spread> {
        let ran = self
            .frames
            .iter()
            .filter(|frame| frame.jobs[stage].error.is_none());
        Spread::of(ran.map(|frame| self.lateness_ns(frame, stage)))
    }

    /// Returns the time from the timestamp of a stage's fence to the return of poll(), over all
    /// frames.
    pub fn wake_up(&self, stage: usize) -> Option<Spread> {
        Spread::of(
            self.frames
                .iter()
                .map(|frame| frame.jobs[stage].wake_up_ns()),
        )
    }

    /// Returns the displayed frame with the largest lateness of its last stage.
    pub fn latest(&self) -> Option<&Frame> {
        let displayed = self.frames.iter().filter(|frame| !frame.failed());
        displayed.max_by_key(|frame| self.lateness_ns(frame, STAGES.len() - 1))
    }
}

impl Frame {
    /// Returns whether the frame was not displayed.
    pub fn failed(&self) -> bool {
        let [.., last] = &self.jobs;
        last.error.is_some()
    }

    /// Returns a description of the error of a stage's job, if it failed.
    pub fn failure(&self, stage: usize) -> Option<String> {
        let error = self.jobs[stage].error?;
        let before = stage
            .checked_sub(1)
            .filter(|before| self.jobs[*before].error == Some(error));
        Some(match before {
            Some(before) => format!("did not run, because {} had failed", STAGES[before]),
            None => in_words(error),
        })
    }
}

impl Job {
    /// Returns the time from the timestamp of the fence to the return of poll().
    pub fn wake_up_ns(&self) -> u64 {
        self.woken_ns.saturating_sub(self.signalled_ns)
    }
}

/// The numbers of frames by their outcome.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Verdict {
    /// Displayed in time.
    pub in_time: usize,
    /// Displayed too late.
    pub late: usize,
    /// Not displayed.
    pub failed: usize,
}

/// The minimum, median and maximum of some values.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Spread {
    /// The minimum.
    pub min: u64,
    /// The median; of an even number of values, the lower of the middle two.
    pub median: u64,
    /// The maximum.
    pub max: u64,
}

impl Spread {
    fn of(values: impl Iterator<Item = u64>) -> Option<Self> {
        let mut values: Vec<u64> = values.collect();
        values.sort_unstable();
        Some(Self {
            min: *values.first()?,
            median: values[(values.len() - 1) / 2],
            max: *values.last()?,
        })
    }
}

/// Returns a description of a fence's error.
pub fn in_words(error: Errno) -> String {
    match error {
        Errno::TIMEDOUT => "timed out: the watchdog ended it".into(),
        Errno::CANCELED => "cancelled: its queue was closed".into(),
        _ => {
            let text = std::io::Error::from(error).to_string();
            let text = text.split(" (os error").next().unwrap_or_default();
            format!("failed: {text}")
        }
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn job(submitted_ns: u64, signalled_ns: u64) -> Job {
        Job {
            submitted_ns,
            signalled_ns,
            woken_ns: signalled_ns + 50_000,
            error: None,
        }
    }

    /// Two frames of 60 Hz: the first 0.1 ms late, the second 20 ms.
    pub fn example() -> Timeline {
        let start_ns = 1000 * MS;
        let period_ns = 16_666_667;
        let late = [MS / 10, 20 * MS];
        let frames = late.iter().enumerate().map(|(number, late)| {
            let due_ns = start_ns + number as u64 * period_ns;
            let ends = [8, 20, 24].map(|ms| job(due_ns + late, due_ns + late + ms * MS));
            Frame {
                number: number as u32,
                due_ns,
                jobs: ends,
            }
        });
        Timeline {
            start_ns,
            period_ns,
            durations_ns: [8 * MS, 12 * MS, 4 * MS],
            frames: frames.collect(),
        }
    }

    /// Like [`example`], but the watchdog ends the render job of the second frame.
    pub fn hung_example() -> Timeline {
        let mut timeline = example();
        for job in &mut timeline.frames[1].jobs[1..] {
            job.signalled_ns += 2000 * MS;
            job.woken_ns += 2000 * MS;
            job.error = Some(Errno::TIMEDOUT);
        }
        timeline
    }

    #[test]
    fn job_starts_its_duration_before_it_ends() {
        let timeline = example();
        let frame = &timeline.frames[0];
        assert_eq!(
            timeline.started_ns(frame, 1),
            Some(timeline.start_ns + 8 * MS + MS / 10)
        );
    }

    #[test]
    fn start_of_a_failed_job_is_unknown() {
        let timeline = hung_example();
        assert_eq!(timeline.started_ns(&timeline.frames[1], 1), None);
        assert!(timeline.started_ns(&timeline.frames[1], 0).is_some());
    }

    #[test]
    fn lateness_counts_from_the_due_time() {
        let timeline = example();
        for stage in 0..3 {
            assert_eq!(timeline.lateness_ns(&timeline.frames[0], stage), MS / 10);
            assert_eq!(timeline.lateness_ns(&timeline.frames[1], stage), 20 * MS);
        }
    }

    #[test]
    fn frame_is_late_after_two_frame_times() {
        let timeline = example();
        assert!(timeline.in_time(&timeline.frames[0]));
        assert!(!timeline.in_time(&timeline.frames[1]));
        let expected = Verdict {
            in_time: 1,
            late: 1,
            failed: 0,
        };
        assert_eq!(timeline.verdict(), expected);
    }

    #[test]
    fn frame_with_an_error_is_failed_not_late() {
        let expected = Verdict {
            in_time: 1,
            late: 0,
            failed: 1,
        };
        assert_eq!(hung_example().verdict(), expected);
    }

    #[test]
    fn failed_jobs_do_not_count_as_late() {
        let lateness = hung_example().lateness(1).unwrap();
        assert_eq!(lateness.max, MS / 10);
    }

    #[test]
    fn latest_frame_was_displayed() {
        assert_eq!(example().latest().unwrap().number, 1);
        assert_eq!(hung_example().latest().unwrap().number, 0);
    }

    #[test]
    fn error_of_a_stage_is_the_cause_for_the_next() {
        let timeline = hung_example();
        let frame = &timeline.frames[1];
        assert_eq!(frame.failure(0), None);
        assert_eq!(
            frame.failure(1).unwrap(),
            "timed out: the watchdog ended it"
        );
        assert_eq!(
            frame.failure(2).unwrap(),
            "did not run, because render had failed"
        );
    }

    #[test]
    fn other_error_has_the_text_of_the_system() {
        assert_eq!(in_words(Errno::IO), "failed: Input/output error");
    }

    #[test]
    fn spread_of_unordered_values() {
        let spread = Spread::of([5, 1, 9, 3].into_iter());
        assert_eq!(
            spread,
            Some(Spread {
                min: 1,
                median: 3,
                max: 9
            })
        );
        assert_eq!(Spread::of(std::iter::empty()), None);
    }
}
