// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The examples do what they say.

use std::process::Command;
use std::thread::sleep;
use std::time::Duration;
use vfence_selftests::{kernel_is_slow, skip, suite};

suite![
    c_example,
    rust_example,
    pixels_explicit,
    pixels_implicit,
    pixels_vgem,
    careless_camera,
    careless_dma,
    careless_gpu,
    careless_display,
    tearing,
];

/// What a display shows a frame for, in ns.
const REFRESH: i64 = 1_000_000_000 / 60;

/// Returns what a program prints that is to end with `status`.
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

/// Returns the number between two pieces of text, which are all there is besides.
fn between(text: &str, before: &str, after: &str) -> u64 {
    let number = text
        .strip_prefix(before)
        .and_then(|text| text.strip_suffix(after));
    number
        .and_then(|number| number.parse().ok())
        .unwrap_or_else(|| panic!("{text:?}"))
}

fn c_example() {
    let before = vfence::monotonic_ns();
    let text = output("example");
    let time = between(&text, "job 1 signalled at ", " ns, status 1\n");
    assert!(time >= before + 5_000_000);
}

fn rust_example() {
    let text = output("vfence-example");
    assert!(between(&text, "signalled ", " µs after submission\n") >= 5000);
}

/// Returns what a number of milliseconds is in ns.
fn nanoseconds(milliseconds: &str) -> i64 {
    let (whole, rest) = milliseconds.trim().split_once('.').unwrap();
    assert_eq!(rest.len(), 6);
    format!("{whole}{rest}").parse().unwrap()
}

/// Looks at the times of frames, which are those of the fences: when each was ready, and from when to when it was shown.
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
        // To the nanosecond: neither early nor late.
        assert_eq!(from, last.max(ready), "{text}");
    }
    // It takes a refresh, or as long as it takes to read the frame if that is more.
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

fn pixels_explicit() {
    must_be_right("explicit");
}

fn pixels_implicit() {
    must_be_right("implicit");
}

/// Returns whether the other driver's node is there.
fn vgem_is_there() -> bool {
    let cards = std::fs::read_dir("/sys/class/drm").into_iter().flatten();
    cards.flatten().any(|card| {
        let device = card.path().join("device").canonicalize();
        let node = std::path::Path::new("/dev/dri").join(card.file_name());
        device.is_ok_and(|device| device.ends_with("vgem"))
            && card.file_name().to_string_lossy().starts_with("card")
            && node.exists()
    })
}

/// Loads the other driver. Returns whether there is one.
fn load_vgem() -> bool {
    let loaded = Command::new("modprobe").arg("vgem").status();
    if loaded.is_ok_and(|status| status.success()) {
        // udev makes the node when it gets to it.
        for _ in 0..100 {
            if vgem_is_there() {
                return true;
            }
            sleep(Duration::from_millis(50));
        }
    }
    skip("the kernel has no vgem, or no node for it in /dev/dri");
    false
}

fn pixels_vgem() {
    if load_vgem() {
        must_be_right("vgem");
    }
}

/// Asserts that frames are wrong when a stage does not wait.
fn must_be_wrong(stage: &str) {
    let vgem = load_vgem();
    let modes = ["explicit", "implicit", "vgem"];
    for mode in modes.iter().take(if vgem { 3 } else { 2 }) {
        printed(&format!("pixels {mode} {stage}"), 1);
    }
}

fn careless_camera() {
    must_be_wrong("camera");
}

fn careless_dma() {
    must_be_wrong("dma");
}

fn careless_gpu() {
    must_be_wrong("gpu");
}

fn careless_display() {
    must_be_wrong("display");
}

fn tearing() {
    must_be_wrong("tearing");
}
