// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The output of the example programs.

use std::process::Command;
use std::thread::sleep;
use std::time::Duration;
use vfence_selftests::{kernel_is_slow, skip, suite};

suite![
    c_example_waits_for_its_job,
    tutorial_passes_its_tests,
    rust_example_waits_for_its_jobs,
    explicit_fences_keep_frames_right,
    implicit_fences_keep_frames_right,
    vgem_fences_keep_frames_right,
    camera_without_waiting_is_wrong,
    dma_without_waiting_is_wrong,
    gpu_without_waiting_is_wrong,
    display_without_waiting_is_wrong,
    gpu_ahead_of_the_display_is_wrong,
];

/// The time for which the display shows a frame, in ns.
const REFRESH: i64 = 1_000_000_000 / 60;

/// Returns the output of a program, whose exit status must be `status`.
fn printed(command: &str, status: i32) -> String {
    let mut words = command.split(' ');
    let mut program = Command::new(words.next().unwrap());
    let output = program.args(words).output().unwrap();
    assert_eq!(output.status.code(), Some(status), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn output(program: &str) -> String {
    printed(program, 0)
}

/// Parses a text of `before`, a number, and `after`.
fn between(text: &str, before: &str, after: &str) -> u64 {
    let number = text
        .strip_prefix(before)
        .and_then(|text| text.strip_suffix(after));
    number
        .and_then(|number| number.parse().ok())
        .unwrap_or_else(|| panic!("{text:?}"))
}

fn c_example_waits_for_its_job() {
    let before = vfence::monotonic_ns();
    let text = output("example");
    let time = between(&text, "job 1 signalled at ", " ns, status 1\n");
    assert!(time >= before + 5_000_000);
}

fn tutorial_passes_its_tests() {
    let text = output("tutorial");
    assert!(text.ends_with("\n5 of 5 tests passed\n"), "{text}");
}

fn rust_example_waits_for_its_jobs() {
    let text = output("vfence-example");
    assert!(between(&text, "signalled ", " µs after submission\n") >= 5000);
}

/// Converts milliseconds with six decimals to ns.
fn nanoseconds(milliseconds: &str) -> i64 {
    let (whole, rest) = milliseconds.trim().split_once('.').unwrap();
    assert_eq!(rest.len(), 6);
    format!("{whole}{rest}").parse().unwrap()
}

/// Asserts that frames are shown at 60 Hz. The times, taken from fences, are when each frame was
/// ready, and when it was shown.
fn must_be_shown_at_60_hz(text: &str) {
    let times = text.lines().filter_map(|line| {
        let (_, times) = line.split_once(" ready at ")?;
        let (ready, times) = times.split_once(" ms, shown from ")?;
        let (from, times) = times.split_once(" to ")?;
        let (to, _) = times.split_once(" ms")?;
        Some([ready, from, to].map(nanoseconds))
    });
    let times: Vec<_> = times.collect();
    assert_eq!(times.len(), 15, "{text}");
    for pair in times.windows(2) {
        let ([_, _, last], [ready, from, _]) = (pair[0], pair[1]);
        // The engine keeps its schedule to the nanosecond.
        assert_eq!(from, last.max(ready), "{text}");
    }
    // A frame is shown for a refresh, or for as long as reading it takes if that is longer.
    let shown = times.iter().map(|[_, from, to]| to - from).min().unwrap();
    assert!(shown >= REFRESH, "{text}");
    if !kernel_is_slow() {
        assert_eq!(shown, REFRESH, "{text}");
    }
}

fn must_be_right(mode: &str) {
    let text = output(&format!("pixels {mode}"));
    assert!(text.ends_with("\n15 of 15 frames were right\n"), "{text}");
    must_be_shown_at_60_hz(&text);
}

fn explicit_fences_keep_frames_right() {
    must_be_right("explicit");
}

fn implicit_fences_keep_frames_right() {
    must_be_right("implicit");
}

/// Returns whether the node of vgem exists.
fn vgem_exists() -> bool {
    let cards = std::fs::read_dir("/sys/class/drm").into_iter().flatten();
    cards.flatten().any(|card| {
        let device = card.path().join("device").canonicalize();
        let node = std::path::Path::new("/dev/dri").join(card.file_name());
        device.is_ok_and(|device| device.ends_with("vgem"))
            && card.file_name().to_string_lossy().starts_with("card")
            && node.exists()
    })
}

/// Loads vgem. Returns whether the kernel has it.
fn load_vgem() -> bool {
    let loaded = Command::new("modprobe").arg("vgem").status();
    if loaded.is_ok_and(|status| status.success()) {
        // devtmpfs creates the node after a delay.
        for _ in 0..100 {
            if vgem_exists() {
                return true;
            }
            sleep(Duration::from_millis(50));
        }
    }
    skip("the kernel has no vgem, or no node for it in /dev/dri");
    false
}

fn vgem_fences_keep_frames_right() {
    if load_vgem() {
        must_be_right("vgem");
    }
}

/// Asserts that frames are wrong if `stage` does not wait.
fn must_be_wrong(stage: &str) {
    let vgem = load_vgem();
    let modes = ["explicit", "implicit", "vgem"];
    for mode in modes.iter().take(if vgem { 3 } else { 2 }) {
        printed(&format!("pixels {mode} {stage}"), 1);
    }
}

fn camera_without_waiting_is_wrong() {
    must_be_wrong("camera");
}

fn dma_without_waiting_is_wrong() {
    must_be_wrong("dma");
}

fn gpu_without_waiting_is_wrong() {
    must_be_wrong("gpu");
}

fn display_without_waiting_is_wrong() {
    must_be_wrong("display");
}

fn gpu_ahead_of_the_display_is_wrong() {
    must_be_wrong("tearing");
}
