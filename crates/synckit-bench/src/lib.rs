//! Measures what synckit costs against the raw limit of the disk and the wire, in the same run.
//!
//! - [`sample`]: the event that all figures are about
//! - `raw/`: the limits: the same bytes through the same engines, with nothing of synckit between
//! - `rows/`: what is measured of synckit
//! - `measure.rs`: both in turn, round by round
//! - `report.rs`: the table, the files, the comparison with an earlier run
//!
//! [`command`] is the whole program. `cargo bench` also measures the small parts one by one, in `benches/`; the
//! samples and [`PageOfEvents`] are public for it.
#![expect(clippy::print_stdout, reason = "a command speaks to the person who runs it")]

mod measure;
mod raw;
mod report;
mod rows;
pub mod sample;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use measure::{Measured, Row, Scale};
use report::Report;

pub use rows::plan::PageOfEvents;

/// Measure what synckit costs, each row beside its raw limit
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench", bin_name = "cargo xtask bench")]
struct Args {
    /// Measure only the rows whose names have this prefix; may be repeated
    #[arg(long, value_name = "NAME")]
    row: Vec<String>,

    /// How many events the large rows move
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = parse_events)]
    events: usize,

    /// How often each side of a row is measured
    #[arg(long, value_name = "N", default_value_t = 5)]
    rounds: usize,

    /// Compare the ratios with those of this `bench.json`, and fail where one got worse by more than 10 %
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,

    /// Where `bench.json` and `bench.md` are written
    #[arg(long, value_name = "DIRECTORY", default_value = "target")]
    out: PathBuf,

    /// Print the names of the rows, and measure nothing
    #[arg(long)]
    list: bool,

    #[cfg(target_os = "linux")]
    #[command(subcommand)]
    side: Option<rows::process::Side>,
}

fn parse_events(text: &str) -> Result<usize, String> {
    let events: usize = text.parse().map_err(|error| format!("{error}"))?;
    if events < 1_000 { Err("at least 1000, one page".to_owned()) } else { Ok(events) }
}

/// Runs what the command line asks for: `cargo xtask bench`.
pub fn command() -> ExitCode {
    match run(&Args::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Measured<ExitCode> {
    #[cfg(target_os = "linux")]
    if let Some(side) = &args.side {
        side.run()?;
        return Ok(ExitCode::SUCCESS);
    }
    let rows = chosen(args)?;
    if args.list {
        for row in rows {
            say(format_args!("{:<18} {}", row.name, row.about));
        }
        return Ok(ExitCode::SUCCESS);
    }
    // A file that cannot be read or written is found before minutes are spent.
    let baseline = args.baseline.as_deref().map(Report::read).transpose()?;
    std::fs::create_dir_all(&args.out)
        .map_err(|error| format!("{} is not a directory to write to: {error}", args.out.display()))?;
    let scale = Scale { events: args.events, rounds: args.rounds };
    let mut report = Report { events: scale.events, rounds: scale.rounds, figures: Vec::new() };
    for row in rows {
        let figure = row.measure(scale).map_err(|error| format!("{}: {error}", row.name))?;
        say(report::line(&figure));
        report.figures.push(figure);
    }
    report.write(&args.out)?;
    say(format_args!("\nwritten: {0}/bench.json, {0}/bench.md", args.out.display()));
    let Some(baseline) = baseline else { return Ok(ExitCode::SUCCESS) };
    let worse = report.worse_than(&baseline);
    for (figure, before) in &worse {
        say(format_args!("worse: {} {:.2}, was {before:.2}", figure.name, figure.ratio.median));
    }
    Ok(if worse.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Prints a line. If nobody reads the output any more, the measurement continues: its report is a file.
fn say(line: impl std::fmt::Display) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

fn chosen(args: &Args) -> Measured<Vec<&'static Row>> {
    let wanted = |row: &&Row| args.row.is_empty() || args.row.iter().any(|name| row.name.starts_with(name));
    let rows: Vec<_> = rows::ALL.iter().filter(wanted).collect();
    if rows.is_empty() {
        let names: Vec<_> = rows::ALL.iter().map(|row| row.name).collect();
        return Err(format!("no row has this prefix; there are {}", names.join(", ")).into());
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Args::command().debug_assert();
    }
}
