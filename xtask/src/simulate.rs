//! `cargo xtask simulate`: many seeds of the deterministic simulator in `synckit-testkit`.

use std::process::ExitCode;

use crate::cargo::Cargo;

/// Run the deterministic simulator over many seeds
///
/// One seed is one whole history: replicas, a network that loses and repeats, crashes, conflicts.
/// The same seed gives the same history, so a failure is repeated with `--seed`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    cargo xtask simulate --seeds 5000\n  \
    cargo xtask simulate --seeds 5000 --start 5000\n  \
    cargo xtask simulate --seed 1234")]
pub(crate) struct Args {
    /// How many seeds to run, one after the other
    #[arg(long, value_name = "N", default_value_t = 1000)]
    seeds: u64,

    /// The first seed
    #[arg(long, value_name = "S", default_value_t = 0)]
    start: u64,

    /// Run this one seed only
    #[arg(long, value_name = "SEED", conflicts_with_all = ["seeds", "start"])]
    seed: Option<u64>,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode, String> {
    let command = command(args);
    println!("{command}");
    Ok(ExitCode::from(command.run()?))
}

fn command(args: &Args) -> Cargo {
    let range = match args.seed {
        Some(seed) => format!("--seed {seed}"),
        None => format!("--seeds {} --start {}", args.seeds, args.start),
    };
    Cargo::new(&format!("run --release -p synckit-testkit --example simulate -- {range}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_passed_on() {
        let many = Args { seeds: 20, start: 40, seed: None };
        assert!(command(&many).to_string().ends_with("--example simulate -- --seeds 20 --start 40"));
        let one = Args { seed: Some(7), ..many };
        assert!(command(&one).to_string().ends_with("--example simulate -- --seed 7"));
    }
}
