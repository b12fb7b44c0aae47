// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The report in JSON.

use crate::timeline::{Frame, Spread, Timeline, STAGES};
use serde_json::{json, Value};

/// Returns the report as a JSON document.
pub fn document(timeline: &Timeline) -> String {
    let verdict = timeline.verdict();
    let document = json!({
        "start_ns": timeline.start_ns,
        "period_ns": timeline.period_ns,
        "latency_ns": timeline.latency_ns(),
        "frames": timeline.frames.iter().map(|one| frame(timeline, one)).collect::<Vec<_>>(),
        "stages": STAGES.iter().enumerate().map(|(stage, name)| json!({
            "name": name,
            "duration_ns": timeline.durations_ns[stage],
            "lateness_ns": spread(timeline.lateness(stage)),
            "wake_up_ns": spread(timeline.wake_up(stage)),
        })).collect::<Vec<_>>(),
        "in_time": verdict.in_time,
        "late": verdict.late,
        "failed": verdict.failed,
    });
    format!("{document:#}\n")
}

fn frame(timeline: &Timeline, frame: &Frame) -> Value {
    let stages = STAGES.iter().enumerate().map(|(stage, name)| {
        let job = &frame.jobs[stage];
        json!({
            "name": name,
            "submitted_ns": job.submitted_ns,
            "started_ns": timeline.started_ns(frame, stage),
            "signalled_ns": job.signalled_ns,
            "woken_ns": job.woken_ns,
            "lateness_ns": timeline.lateness_ns(frame, stage),
            "errno": job.error.map(|error| error.raw_os_error()),
            "error": frame.failure(stage),
        })
    });
    json!({
        "frame": frame.number,
        "due_ns": frame.due_ns,
        "in_time": timeline.in_time(frame),
        "stages": stages.collect::<Vec<_>>(),
    })
}

fn spread(spread: Option<Spread>) -> Value {
    spread.map_or(
        Value::Null,
        |Spread { min, median, max }| json!({ "min": min, "median": median, "max": max }),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timeline::tests::hung_example;

    #[test]
    fn error_has_a_number_and_a_description() {
        let document: Value = serde_json::from_str(&document(&hung_example())).unwrap();
        let stages = &document["frames"][1]["stages"];
        assert_eq!(stages[0]["errno"], Value::Null);
        assert_eq!(stages[1]["errno"], 110);
        assert_eq!(stages[1]["error"], "timed out: the watchdog ended it");
        assert_eq!(document["failed"], 1);
    }
}
