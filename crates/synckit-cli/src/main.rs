//! The `synckit` command: records, syncs, serves and shows event logs.
//!
//! - `adapters.rs`: the stores and transports that it was built with
//! - `args.rs`: the command line; the arguments of each command are with the command
//! - `output.rs`: standard output, as text or JSON; `text.rs`: how numbers, times and names are shown
//! - `waiting.rs`: saying what is waited for
//! - `headers.rs`: headers and users for proxies
//! - `tls.rs`: certificates on the command line
//! - `place.rs`: files that are put in their place once they are whole
//! - `failure.rs`: how a command ends if it does not succeed, and the exit codes
//! - `commands/`: one file for each command

mod adapters;
mod args;
mod commands;
mod failure;
mod headers;
mod output;
mod place;
mod text;
mod tls;
mod waiting;

use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use args::Args;
use failure::{Exit, Failure};
use output::Output;

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return args::explain(&error).into(),
    };
    trace(args.verbose);
    let mut output = Output::new(args.json, args.verbose > 0);
    let result = run(args, &mut output).and_then(|exit| output.flush().map(|()| exit));
    match result {
        Ok(exit) => exit.into(),
        Err(failure) => failure.report(&mut output).into(),
    }
}

fn run(args: Args, output: &mut Output) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| failure::system("the runtime cannot be started", error))?;
    let result = runtime.block_on(commands::run(args.command, output));
    // A thread that still waits for input would block the end for ever.
    runtime.shutdown_background();
    result
}

/// Traces on standard error what the libraries do: only which clients of a hub are stuck, their steps, or everything.
fn trace(verbose: u8) {
    let (own, others) = match verbose {
        0 => (LevelFilter::OFF, LevelFilter::OFF),
        1 => (LevelFilter::DEBUG, LevelFilter::WARN),
        _ => (LevelFilter::TRACE, LevelFilter::DEBUG),
    };
    let filter = Targets::new().with_target("synckit", own).with_default(others);
    let filter = filter.with_target("synckit_go", own.max(LevelFilter::WARN));
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    tracing_subscriber::registry().with(filter).with(layer).init();
}
