// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The command line.

use clap::Parser;
use std::path::PathBuf;
use std::time::Duration;

/// Runs decode → render → display on three queues of /dev/vfence and draws the timeline.
///
/// Each frame is due at a multiple of the frame time. When a frame is due, all its jobs are
/// submitted: render waits for the fence of decode, display for the fence of render. The report
/// shows the timestamps of the fences.
#[derive(Clone, Debug, Parser)]
#[command(version)]
pub struct Options {
    /// Number of frames
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub frames: u32,
    /// Frames per second
    #[arg(long, default_value_t = 60.0, value_parser = rate)]
    pub rate: f64,
    /// Duration of decoding a frame
    #[arg(long, value_name = "MS", default_value = "8", value_parser = milliseconds)]
    pub decode_ms: Duration,
    /// Duration of rendering a frame
    #[arg(long, value_name = "MS", default_value = "12", value_parser = milliseconds)]
    pub render_ms: Duration,
    /// Duration of displaying a frame
    #[arg(long, value_name = "MS", default_value = "4", value_parser = milliseconds)]
    pub display_ms: Duration,
    /// Frame whose decoding fails; the error propagates to its other stages
    #[arg(long, value_name = "FRAME")]
    pub fail_frame: Option<u32>,
    /// Frame whose rendering waits for a fence that never signals, until the watchdog expires
    #[arg(long, value_name = "FRAME")]
    pub hang_frame: Option<u32>,
    /// Print the times of every stage of every frame
    #[arg(long)]
    pub table: bool,
    /// Draw with ASCII characters only
    #[arg(long)]
    pub ascii: bool,
    /// Print JSON; times are in ns on CLOCK_MONOTONIC
    #[arg(long, conflicts_with_all = ["table", "ascii"])]
    pub json: bool,
    /// Path of the device
    #[arg(long, value_name = "PATH", default_value = vfence::Device::PATH)]
    pub device: PathBuf,
}

impl Options {
    /// Returns the durations of the stages, in ns.
    pub fn durations_ns(&self) -> [u64; 3] {
        [self.decode_ms, self.render_ms, self.display_ms].map(|duration| duration.as_nanos() as u64)
    }

    /// Returns the time from one frame to the next, in ns.
    pub fn period_ns(&self) -> u64 {
        (1e9 / self.rate).round() as u64
    }
}

fn milliseconds(text: &str) -> Result<Duration, String> {
    let ms: f64 = text.parse().map_err(|_| "not a number".to_string())?;
    if !(0.0..=1e9).contains(&ms) {
        return Err("not a time in milliseconds".into());
    }
    Ok(Duration::from_secs_f64(ms / 1e3))
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate) if (0.01..=10_000.0).contains(&rate) => Ok(rate),
        _ => Err("not a rate from 0.01 to 10000".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn command_line_is_consistent() {
        Options::command().debug_assert();
    }

    #[test]
    fn sixty_hertz_for_a_second_is_the_default() {
        let options = Options::parse_from(["vfence-pipeline"]);
        assert_eq!(options.frames, 60);
        assert_eq!(options.period_ns(), 16_666_667);
        assert_eq!(options.durations_ns(), [8_000_000, 12_000_000, 4_000_000]);
    }

    #[test]
    fn milliseconds_may_have_a_fraction() {
        assert_eq!(milliseconds("0.25"), Ok(Duration::from_micros(250)));
        assert!(milliseconds("-1").is_err());
        assert!(milliseconds("NaN").is_err());
    }

    #[test]
    fn rate_of_zero_is_refused() {
        assert!(rate("0").is_err());
        assert_eq!(rate("59.94"), Ok(59.94));
    }
}
