//! `cargo xtask bench`: what synckit costs, by `synckit-bench` built in release.

use std::process::ExitCode;

use crate::cargo::Cargo;

/// Measure what synckit costs, each row beside its raw limit
///
/// Builds `synckit-bench` in release and runs it. Both sides of a row are measured in turn in the same run; the ratio
/// is what holds from one machine to the next. Writes target/bench.json and target/bench.md.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    cargo xtask bench                                    every row, some minutes\n  \
    cargo xtask bench --row sqlite --rounds 9\n  \
    cp target/bench.json before.json                     then change something\n  \
    cargo xtask bench --row sqlite --baseline before.json")]
pub(crate) struct Args {
    /// Only rows whose names have this prefix; may be repeated
    #[arg(long, value_name = "NAME")]
    row: Vec<String>,

    /// How many events the large rows move; 100,000 unless given
    #[arg(long, value_name = "N")]
    events: Option<usize>,

    /// How often each side of a row is measured; 5 unless given
    #[arg(long, value_name = "N")]
    rounds: Option<usize>,

    /// Compare with this bench.json, and fail where a ratio got worse by more than 10 %
    #[arg(long, value_name = "FILE")]
    baseline: Option<String>,

    /// Print the names of the rows, and measure nothing
    #[arg(long)]
    list: bool,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode, String> {
    let command = command(args);
    println!("{command}");
    Ok(ExitCode::from(command.run()?))
}

fn command(args: &Args) -> Cargo {
    let mut line = "run --release --quiet -p synckit-bench --".to_owned();
    args.row.iter().for_each(|row| line += &format!(" --row {row}"));
    let options = [
        ("events", args.events.map(|number| number.to_string())),
        ("rounds", args.rounds.map(|number| number.to_string())),
        ("baseline", args.baseline.clone()),
    ];
    for (name, value) in options {
        line += &value.map_or_else(String::new, |value| format!(" --{name} {value}"));
    }
    line += if args.list { " --list" } else { "" };
    Cargo::new(&line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_passed_on() {
        let args = Args {
            row: vec!["sqlite".to_owned(), "redb".to_owned()],
            events: Some(5_000),
            rounds: None,
            baseline: Some("before.json".to_owned()),
            list: false,
        };
        let line = command(&args).to_string();
        assert!(line.ends_with("-- --row sqlite --row redb --events 5000 --baseline before.json"), "{line}");
    }
}
