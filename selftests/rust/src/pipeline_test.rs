// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The reports of `vfence-pipeline`.

use serde_json::Value;
use std::process::{Command, Output};
use vfence_selftests::suite;

suite![
    stages_run_in_order,
    error_propagates_along_the_stages,
    watchdog_ends_a_hang,
    ascii_output_has_a_line_for_each_frame,
    missing_device_is_explained,
    duration_beyond_the_watchdog_is_explained,
];

const IO: u64 = 5;
const TIMEDOUT: u64 = 110;

fn pipeline(arguments: &[&str]) -> Output {
    Command::new("vfence-pipeline")
        .args(arguments)
        .output()
        .unwrap()
}

fn report(arguments: &[&str]) -> Value {
    let output = pipeline(&[&["--json"], arguments].concat());
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn time(stage: &Value, name: &str) -> u64 {
    stage[name]
        .as_u64()
        .unwrap_or_else(|| panic!("{name} of {stage}"))
}

fn stages(frame: &Value) -> &[Value] {
    frame["stages"].as_array().unwrap()
}

fn stages_run_in_order() {
    let report = report(&["--frames", "10", "--rate", "20"]);
    let frames = report["frames"].as_array().unwrap();
    assert_eq!(frames.len(), 10);
    let mut ends = [0; 3];
    for frame in frames {
        let mut last = time(frame, "due_ns");
        for (stage, end) in stages(frame).iter().zip(&mut ends) {
            assert_eq!(stage["error"], Value::Null);
            let started = time(stage, "started_ns");
            assert!(started >= time(stage, "submitted_ns"));
            // After its in-fence, and after the previous job of its queue.
            assert!(started >= last && started >= *end);
            last = time(stage, "signalled_ns");
            assert!(last >= started && time(stage, "woken_ns") >= last);
            *end = last;
        }
    }
}

fn error_propagates_along_the_stages() {
    let report = report(&["--frames", "3", "--rate", "20", "--fail-frame", "1"]);
    for (number, frame) in report["frames"].as_array().unwrap().iter().enumerate() {
        for stage in stages(frame) {
            let expected = if number == 1 { IO.into() } else { Value::Null };
            assert_eq!(stage["errno"], expected);
        }
    }
    assert_eq!(report["failed"], 1);
}

fn watchdog_ends_a_hang() {
    let report = report(&["--frames", "2", "--rate", "20", "--hang-frame", "0"]);
    let frames = report["frames"].as_array().unwrap();
    let errors: Vec<&Value> = stages(&frames[0])
        .iter()
        .map(|stage| &stage["errno"])
        .collect();
    assert_eq!(errors, [&Value::Null, &TIMEDOUT.into(), &TIMEDOUT.into()]);
    // The queues continue.
    assert!(stages(&frames[1])
        .iter()
        .all(|stage| stage["errno"].is_null()));
}

fn ascii_output_has_a_line_for_each_frame() {
    let output = pipeline(&["--frames", "4", "--ascii"]);
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    for number in 0..4 {
        let start = format!("    {number}  ");
        assert!(text.lines().any(|line| line.starts_with(&start)), "{text}");
    }
    assert!(
        text.lines().last().unwrap().contains("of 4 frames"),
        "{text}"
    );
}

fn missing_device_is_explained() {
    let output = pipeline(&["--device", "/dev/vfence-is-not-here"]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.contains("sudo insmod vfence.ko"), "{text}");
}

fn duration_beyond_the_watchdog_is_explained() {
    let output = pipeline(&["--render-ms", "2001"]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("2000 ms"), "{text}");
}
