// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Runs a pipeline of three stages on `/dev/vfence` and draws its timeline.

mod draw;
mod json;
mod options;
mod pipeline;
mod report;
mod timeline;

use clap::Parser;
use options::Options;
use std::io::{self, Write};
use std::process::ExitCode;

fn run(options: &Options) -> Result<String, String> {
    let timeline = pipeline::run(options)?;
    Ok(if options.json {
        json::document(&timeline)
    } else {
        report::text(&timeline, options)
    })
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(text) => match io::stdout().write_all(text.as_bytes()) {
            // A closed pipe, as of `head`, is not an error.
            Ok(()) => ExitCode::SUCCESS,
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        },
        Err(message) => {
            eprintln!("vfence-pipeline: {message}");
            ExitCode::FAILURE
        }
    }
}
