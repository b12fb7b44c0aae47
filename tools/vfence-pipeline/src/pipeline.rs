// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Runs the frames on the device.

use crate::options::Options;
use crate::timeline::{Frame, Job, Timeline, STAGES};
use rustix::event::{poll, PollFd, PollFlags, Timespec};
use std::io;
use std::time::Duration;
use vfence::{monotonic_ns, Device, Errno, ManualQueue, Status, SyncFile, TimerQueue};

/// The time before the first frame is due.
const LEAD_NS: u64 = 20_000_000;

/// Runs the pipeline that the options describe, and returns its timeline or an error message.
pub fn run(options: &Options) -> Result<Timeline, String> {
    let device = open(options)?;
    run_on(&device, options).map_err(|error| format!("{}: {error}", options.device.display()))
}

fn open(options: &Options) -> Result<Device, String> {
    let path = options.device.display();
    let device = Device::open_path(&options.device).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            format!("{path} is missing: load the module, with sudo insmod vfence.ko")
        }
        _ => format!("{path}: {error}"),
    })?;
    let watchdog = device
        .capabilities()
        .map_err(|error| format!("{path}: {error}"))?
        .watchdog;
    let longest = Duration::from_nanos(options.durations_ns().into_iter().max().unwrap_or(0));
    match watchdog {
        Some(bound) if longest > bound => Err(format!(
            "no stage may take longer than the watchdog's bound, {} ms",
            bound.as_millis()
        )),
        None if options.hang_frame.is_some() => {
            Err("--hang-frame would never end: the watchdog has been lifted".into())
        }
        _ => Ok(device),
    }
}

/// A submitted job: its frame, its stage and its out-fence.
struct InFlight {
    frame: usize,
    stage: usize,
    fence: SyncFile,
}

/// The queues, the submitted jobs and the timeline so far.
struct PipelineRun<'d> {
    queues: [TimerQueue<'d>; 3],
    /// The queue of the in-fences that fail or never signal.
    faulty: ManualQueue<'d>,
    in_flight: Vec<InFlight>,
    timeline: Timeline,
}

fn run_on(device: &Device, options: &Options) -> io::Result<Timeline> {
    let [decode, render, display] = STAGES;
    let mut run = PipelineRun {
        queues: [
            device.timer_queue(decode)?,
            device.timer_queue(render)?,
            device.timer_queue(display)?,
        ],
        faulty: device.manual_queue("faulty")?,
        in_flight: Vec::new(),
        timeline: Timeline {
            start_ns: monotonic_ns() + LEAD_NS,
            period_ns: options.period_ns(),
            durations_ns: options.durations_ns(),
            frames: Vec::new(),
        },
    };
    for number in 0..options.frames {
        let due_ns = run.timeline.start_ns + u64::from(number) * run.timeline.period_ns;
        while monotonic_ns() < due_ns {
            run.wait(Some(due_ns))?;
        }
        run.submit(number, due_ns, options)?;
    }
    while !run.in_flight.is_empty() {
        run.wait(None)?;
    }
    Ok(run.timeline)
}

impl PipelineRun<'_> {
    /// Submits the jobs of a frame. Each waits for the fence of the one before.
    fn submit(&mut self, number: u32, due_ns: u64, options: &Options) -> io::Result<()> {
        let mut jobs = [Job {
            submitted_ns: 0,
            signalled_ns: 0,
            woken_ns: 0,
            error: None,
        }; 3];
        for (stage, queue) in self.queues.iter().enumerate() {
            let mut in_fences = Vec::new();
            if stage == 0 && options.fail_frame == Some(number) {
                let (seqno, fence) = self.faulty.submit_with_out_fence()?;
                self.faulty.signal_with_error(seqno, Errno::IO)?;
                in_fences.push(fence);
            }
            if stage == 1 && options.hang_frame == Some(number) {
                in_fences.push(self.faulty.submit_with_out_fence()?.1);
            }
            let duration = Duration::from_nanos(self.timeline.durations_ns[stage]);
            let mut job = queue.job(duration).wait_for_all(&in_fences);
            if stage > 0 {
                if let Some(before) = self.in_flight.last() {
                    job = job.wait_for(&before.fence);
                }
            }
            jobs[stage].submitted_ns = monotonic_ns();
            let (_, fence) = job.submit_with_out_fence()?;
            let frame = self.timeline.frames.len();
            self.in_flight.push(InFlight {
                frame,
                stage,
                fence,
            });
        }
        self.timeline.frames.push(Frame {
            number,
            due_ns,
            jobs,
        });
        Ok(())
    }

    /// Waits for a fence, at most until the time `until`, and records the jobs that completed.
    fn wait(&mut self, until: Option<u64>) -> io::Result<()> {
        let left = until.map(|until| Duration::from_nanos(until.saturating_sub(monotonic_ns())));
        let left = left.and_then(|left| Timespec::try_from(left).ok());
        let fences = self.in_flight.iter();
        let mut polled: Vec<_> = fences
            .map(|job| PollFd::new(&job.fence, PollFlags::IN))
            .collect();
        match poll(&mut polled, left.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let woken_ns = monotonic_ns();
        let ready: Vec<bool> = polled
            .iter()
            .map(|file| file.revents().contains(PollFlags::IN))
            .collect();
        let (done, in_flight) = std::mem::take(&mut self.in_flight)
            .into_iter()
            .zip(ready)
            .partition::<Vec<_>, _>(|(_, ready)| *ready);
        self.in_flight = in_flight.into_iter().map(|(job, _)| job).collect();
        for (done, _) in done {
            let info = done.fence.info()?;
            let job = &mut self.timeline.frames[done.frame].jobs[done.stage];
            job.woken_ns = woken_ns;
            job.signalled_ns = info.timestamp_ns().unwrap_or(woken_ns);
            job.error = match info.status {
                Status::Failed(error) => Some(error),
                Status::Pending | Status::Signalled => None,
            };
        }
        Ok(())
    }
}
