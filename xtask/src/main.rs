//! The one front door to the automation of this repository: `cargo xtask <command>`.
//!
//! - [`ci`]: every check a change must pass, in order; [`steps`] says which they are
//! - [`tidy`]: the repository's own rules, which are the test `xtask/tests/tidy`
//! - [`mod@bench`]: what synckit costs, each row beside its raw limit
//! - [`codegen`]: the code that comes from the proto file
//! - [`guide`]: the quick start and the adapter guide, run as they are written
//! - [`matrix`]: every store, with every store, over every transport, through every scenario
//! - [`simulate`]: many seeds of the deterministic simulator
//! - [`cargo`]: the repository's root, and commands that can be printed and run

#![expect(clippy::print_stdout, reason = "a command speaks to the person who runs it")]

mod bench;
mod cargo;
mod ci;
mod codegen;
mod guide;
mod matrix;
mod simulate;
mod steps;
mod tidy;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Automation of the synckit repository.
#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    arg_required_else_help = true,
    after_help = "Before you send a change:  cargo xtask ci\n\
                  While you work on it:      cargo xtask ci --step clippy --step test"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Bench(bench::Args),
    Ci(ci::Args),
    Tidy(tidy::Args),
    Codegen(codegen::Args),
    Guide(guide::Args),
    Matrix(matrix::Args),
    Simulate(simulate::Args),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Bench(args) => bench::run(&args),
        Command::Ci(args) => ci::run(&args),
        Command::Tidy(args) => tidy::run(&args),
        Command::Codegen(args) => codegen::run(&args),
        Command::Guide(args) => guide::run(&args),
        Command::Matrix(args) => matrix::run(&args),
        Command::Simulate(args) => simulate::run(&args),
    };
    result.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        ExitCode::FAILURE
    })
}
