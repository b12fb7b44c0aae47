// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The examples that the README shows do what they say.

use std::process::Command;
use vfence_selftests::suite;

suite![c_example, rust_example];

fn output(program: &str) -> String {
    let output = Command::new(program).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
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
