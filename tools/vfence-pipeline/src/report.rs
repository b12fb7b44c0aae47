// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The report as text: a picture, a line for each frame, tables of stages, and the totals.

use crate::draw::{Axis, Line, Style};
use crate::options::Options;
use crate::timeline::{Frame, Spread, Timeline, LATENCY_FRAMES, STAGES};
use std::fmt::Write;

/// Frames in the picture at the top.
const PICTURE_FRAMES: u64 = 5;
/// Columns of the picture, and of the bars of a frame.
const PICTURE_WIDTH: usize = 90;
const BAR_WIDTH: usize = 50;
/// The limit of failed frames in the table.
const MAX_FAILED_FRAMES: usize = 5;

/// Returns the report.
pub fn text(timeline: &Timeline, options: &Options) -> String {
    let style = if options.ascii {
        Style::ASCII
    } else {
        Style::UNICODE
    };
    let report = Report {
        timeline,
        style,
        ascii: options.ascii,
    };
    let mut parts = vec![
        report.title(options.rate),
        report.picture(),
        report.frames(),
    ];
    if options.table {
        parts.push(report.table("Stage by stage", timeline.frames.iter()));
    } else {
        if let Some(latest) = timeline.latest() {
            parts.push(report.table("The latest frame, stage by stage", [latest].into_iter()));
        }
        let failed: Vec<_> = timeline
            .frames
            .iter()
            .filter(|frame| frame.failed())
            .collect();
        if !failed.is_empty() {
            let shown = failed.iter().copied().take(MAX_FAILED_FRAMES);
            parts.push(report.table("Failed frames, stage by stage", shown));
        }
    }
    parts.push(report.summary());
    parts.push(report.verdict());
    parts.join("\n")
}

struct Report<'a> {
    timeline: &'a Timeline,
    style: Style,
    ascii: bool,
}

impl Report<'_> {
    /// Returns `text` in the character set of the report.
    fn plain(&self, text: &str) -> String {
        if self.ascii {
            text.replace('→', "->").replace('µ', "u")
        } else {
            text.into()
        }
    }

    fn title(&self, rate: f64) -> String {
        let [decode, render, display] = self.timeline.durations_ns.map(milliseconds);
        let bars = self.style.bars;
        self.plain(&format!(
            "{} frames at {rate} Hz on three queues of /dev/vfence; each job waits for the fence \
             of the one before:\n\
             {} decode {decode} ms → {} render {render} ms → {} display {display} ms\n",
            self.timeline.frames.len(),
            bars[0],
            bars[1],
            bars[2],
        ))
    }

    /// Returns an axis from the start of the timeline, `frames` frame times long.
    fn axis(&self, frames: u64, width: usize) -> Axis {
        Axis {
            start: self.timeline.start_ns,
            length: frames * self.timeline.period_ns,
            width,
        }
    }

    /// Returns the scale of an axis: the start of each frame in ms, from 0.
    fn scale(&self, axis: Axis) -> String {
        let mut line = Line::new(axis, self.style);
        let mut offset = 0;
        while offset < axis.length {
            let unit = if offset == 0 { " ms" } else { "" };
            line.text(
                axis.start + offset,
                &format!("{}{unit}", milliseconds(offset)),
            );
            offset += self.timeline.period_ns;
        }
        line.finish()
    }

    /// Returns a picture of the first frames, with a line for each stage.
    fn picture(&self) -> String {
        let shown = PICTURE_FRAMES.min(self.timeline.frames.len() as u64);
        let axis = self.axis(shown + 1, PICTURE_WIDTH);
        let mut text = format!("{:9}{}\n", "", self.scale(axis).trim_end());
        for (stage, name) in STAGES.iter().enumerate() {
            let mut line = Line::new(axis, self.style);
            for frame in &self.timeline.frames {
                let end = frame.jobs[stage].signalled_ns;
                if let Some(start) = self.timeline.started_ns(frame, stage) {
                    if start < axis.start + axis.length {
                        line.span(start, end, self.style.bars[stage]);
                        line.label(start, end, &frame.number.to_string());
                    }
                } else {
                    line.point(end, self.style.failed);
                }
            }
            for offset in 0..=shown {
                line.mark(axis.start + offset * self.timeline.period_ns);
            }
            let _ = writeln!(text, "{name:8} {}", line.finish().trim_end());
        }
        text
    }

    /// Returns a line for each frame, from the time at which it was due.
    fn frames(&self) -> String {
        let total: u64 = self.timeline.durations_ns.iter().sum();
        let frames = LATENCY_FRAMES.max(total / self.timeline.period_ns) + 1;
        let axis = self.axis(frames, BAR_WIDTH);
        let head = format!(
            "Each frame from when it was due; {} is where it is late",
            self.style.mark
        );
        let mut text = format!(
            "{head:57}{:^27}{:>10}\nframe  {}{:>9}{:>9}{:>9}{:>10}\n",
            "fences signalled late by",
            "poll woke",
            self.scale(axis),
            "decode",
            "render",
            "display",
            "after",
        );
        for frame in &self.timeline.frames {
            let _ = writeln!(text, "{}", self.frame(frame, axis));
        }
        text
    }

    fn frame(&self, frame: &Frame, axis: Axis) -> String {
        let axis = Axis {
            start: frame.due_ns,
            ..axis
        };
        let mut line = Line::new(axis, self.style);
        let mut last = frame.due_ns;
        for (stage, job) in frame.jobs.iter().enumerate() {
            match self.timeline.started_ns(frame, stage) {
                Some(start) => {
                    if axis.column(start) > axis.column(last) {
                        line.span(last, start, self.style.waiting);
                    }
                    line.span(start, job.signalled_ns, self.style.bars[stage]);
                }
                None => {
                    if axis.column(job.signalled_ns) > axis.column(last) {
                        line.span(last, job.signalled_ns, self.style.waiting);
                    }
                    line.point(job.signalled_ns, self.style.failed);
                }
            }
            last = job.signalled_ns;
        }
        line.mark(frame.due_ns + self.timeline.latency_ns());
        let mut text = format!("{:5}  {}", frame.number, line.finish());
        let failure = (0..STAGES.len()).find_map(|stage| Some((stage, frame.failure(stage)?)));
        if let Some((stage, words)) = failure {
            let _ = write!(text, "  {} {words}", STAGES[stage]);
            return self.plain(&text);
        }
        for stage in 0..STAGES.len() {
            let lateness = self.timeline.lateness_ns(frame, stage);
            let _ = write!(text, "{:>9}", format!("+{}", short(lateness)));
        }
        let [.., last] = &frame.jobs;
        let _ = write!(text, "{:>10}", format!("+{}", short(last.wake_up_ns())));
        if !self.timeline.in_time(frame) {
            text += "  late";
        }
        self.plain(&text)
    }

    /// Returns a table of the stages of `frames`. Times count from the first frame's due time.
    fn table<'a>(&self, title: &str, frames: impl Iterator<Item = &'a Frame>) -> String {
        let mut text = format!(
            "{title}; ms from when frame 0 was due:\n{:>5}  {:8}{:>12}{:>12}{:>12}{:>12}{:>14}\n",
            "frame", "stage", "submitted", "started", "signalled", "late by", "woke after"
        );
        let start = self.timeline.start_ns;
        let time = |time: u64| format!("{:.3}", time.saturating_sub(start) as f64 / 1e6);
        for frame in frames {
            for (stage, name) in STAGES.iter().enumerate() {
                let job = &frame.jobs[stage];
                let started = self.timeline.started_ns(frame, stage);
                let late = match started {
                    Some(_) => format!("+{}", short(self.timeline.lateness_ns(frame, stage))),
                    None => "-".into(),
                };
                let line = format!(
                    "{:5}  {name:8}{:>12}{:>12}{:>12}{late:>12}{:>14}  {}",
                    frame.number,
                    time(job.submitted_ns),
                    started.map_or("-".into(), time),
                    time(job.signalled_ns),
                    format!("+{}", short(job.wake_up_ns())),
                    frame.failure(stage).unwrap_or_default(),
                );
                let _ = writeln!(text, "{}", line.trim_end());
            }
        }
        self.plain(&text)
    }

    fn summary(&self) -> String {
        let mut text = format!(
            "{:15}{:>36}{:>36}\n{:15}{:>12}{:>12}{:>12}{:>12}{:>12}{:>12}\n",
            "All frames",
            "signalled late by",
            "poll woke after",
            "",
            "min",
            "median",
            "max",
            "min",
            "median",
            "max"
        );
        for (stage, name) in STAGES.iter().enumerate() {
            let late = spread(self.timeline.lateness(stage));
            let woke = spread(self.timeline.wake_up(stage));
            let _ = writeln!(text, "  {name:13}{late}{woke}");
        }
        self.plain(&text)
    }

    fn verdict(&self) -> String {
        let verdict = self.timeline.verdict();
        let total = self.timeline.frames.len();
        format!(
            "{} of {total} frames were displayed in time, at most {} ms after they were due; \
             {} late, {} failed.\n",
            verdict.in_time,
            milliseconds(self.timeline.latency_ns()),
            verdict.late,
            verdict.failed
        )
    }
}

/// Returns the three columns of a spread.
fn spread(spread: Option<Spread>) -> String {
    match spread {
        Some(Spread { min, median, max }) => [min, median, max]
            .map(|value| format!("{:>12}", short(value)))
            .concat(),
        None => format!("{:>12}{:>12}{:>12}", "-", "-", "-"),
    }
}

/// Returns a time in ms, with a digit after the point unless it is 0.
fn milliseconds(ns: u64) -> String {
    let text = format!("{:.1}", ns as f64 / 1e6);
    text.strip_suffix(".0").unwrap_or(&text).into()
}

/// Returns a time below 10 ms in µs, a longer one in ms.
fn short(ns: u64) -> String {
    match ns {
        0..10_000_000 => format!("{} µs", ns / 1000),
        _ => format!("{} ms", ns / 1_000_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timeline::tests::{example, hung_example};
    use clap::Parser;

    fn report(timeline: &Timeline, arguments: &[&str]) -> String {
        let program = ["vfence-pipeline"];
        let options = Options::parse_from(program.iter().chain(arguments));
        text(timeline, &options)
    }

    fn line<'a>(text: &'a str, start: &str) -> &'a str {
        text.lines().find(|line| line.starts_with(start)).unwrap()
    }

    #[test]
    fn frame_is_a_row_of_bars_and_figures() {
        let text = report(&example(), &["--ascii"]);
        assert_eq!(
            line(&text, "    0  -"),
            concat!(
                "    0  --------============####         |                ",
                "  +100 us  +100 us  +100 us    +50 us"
            )
        );
    }

    #[test]
    fn late_frame_is_marked() {
        let text = report(&example(), &["--ascii"]);
        let row = line(&text, "    1  .");
        assert!(row.ends_with("late"), "{row}");
        assert!(row.contains("+20 ms"), "{row}");
    }

    #[test]
    fn error_is_described_in_words() {
        let text = report(&hung_example(), &[]);
        let row = line(&text, "    1  ·");
        assert!(
            row.ends_with("render timed out: the watchdog ended it"),
            "{row}"
        );
        assert!(row.contains('»'), "{row}");
        assert!(
            text.contains("did not run, because render had failed"),
            "{text}"
        );
    }

    #[test]
    fn ascii_report_has_only_ascii_characters() {
        for timeline in [example(), hung_example()] {
            assert!(report(&timeline, &["--ascii"]).is_ascii());
            assert!(report(&timeline, &["--ascii", "--table"]).is_ascii());
        }
    }

    #[test]
    fn row_fits_a_terminal_of_100_columns() {
        for line in report(&example(), &["--table"]).lines().skip(1) {
            assert!(line.chars().count() <= 100, "{line}");
        }
    }

    #[test]
    fn table_has_every_stage_of_every_frame() {
        let text = report(&example(), &["--table"]);
        for row in ["    0  decode", "    0  render", "    1  display"] {
            let found = text.lines().filter(|line| line.starts_with(row));
            assert_eq!(found.count(), 1);
        }
    }

    #[test]
    fn last_line_is_the_verdict() {
        let text = report(&hung_example(), &[]);
        assert_eq!(
            text.lines().last().unwrap(),
            "1 of 2 frames were displayed in time, at most 33.3 ms after they were due; \
             0 late, 1 failed."
        );
    }

    #[test]
    fn times_are_short() {
        assert_eq!(short(999), "0 µs");
        assert_eq!(short(9_999_999), "9999 µs");
        assert_eq!(short(2_000_000_000), "2000 ms");
        assert_eq!(milliseconds(16_666_667), "16.7");
        assert_eq!(milliseconds(8_000_000), "8");
    }
}
