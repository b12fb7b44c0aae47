// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What the user can ask for.

use clap::Parser;
use std::path::PathBuf;
use std::time::Duration;

/// Runs decode → render → display on three queues of /dev/vfence and draws what happened when.
///
/// Each frame is due at a multiple of the frame time. When it is due, all its jobs are submitted:
/// render waits for the fence of decode, display for that of render. What is reported are the fences'
/// own timestamps.
#[derive(Clone, Debug, Parser)]
#[command(version)]
pub struct Options {
    /// How many frames
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub frames: u32,
    /// Frames per second
    #[arg(long, default_value_t = 60.0, value_parser = rate)]
    pub rate: f64,
    /// How long decoding a frame takes
    #[arg(long, value_name = "MS", default_value = "8", value_parser = milliseconds)]
    pub decode_ms: Duration,
    /// How long rendering a frame takes
    #[arg(long, value_name = "MS", default_value = "12", value_parser = milliseconds)]
    pub render_ms: Duration,
    /// How long displaying a frame takes
    #[arg(long, value_name = "MS", default_value = "4", value_parser = milliseconds)]
    pub display_ms: Duration,
    /// A frame whose decoding fails, to see an error pass through
    #[arg(long, value_name = "FRAME")]
    pub fail_frame: Option<u32>,
    /// A frame whose rendering waits for a fence that never comes, to see the watchdog
    #[arg(long, value_name = "FRAME")]
    pub hang_frame: Option<u32>,
    /// Every stage of every frame in figures
    #[arg(long)]
    pub table: bool,
    /// Draw with ASCII characters only
    #[arg(long)]
    pub ascii: bool,
    /// Print JSON instead; times are in ns on CLOCK_MONOTONIC
    #[arg(long, conflicts_with_all = ["table", "ascii"])]
    pub json: bool,
    /// The device
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
    fn the_command_line_makes_sense() {
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
    fn a_rate_is_not_zero() {
        assert!(rate("0").is_err());
        assert_eq!(rate("59.94"), Ok(59.94));
    }
}
