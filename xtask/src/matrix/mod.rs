//! `cargo xtask matrix`: every store, with every store, over every transport, through every scenario.
//!
//! - [`adapters`]: which stores and transports there are, found in the manifests of the workspace
//! - [`package`]: the package that links them all, written below the target directory
//! - [`plan`]: which runs that makes, which of them are wanted, and which this machine cannot do
//! - [`runner`]: a process for each run, several at a time
//! - [`report`]: the grid, as text, Markdown and JSON

mod adapters;
mod package;
mod plan;
mod report;
mod runner;

use std::fs;
use std::process::ExitCode;
use std::time::Instant;

use crate::cargo;
use plan::{Narrowing, Plan};

/// Run every store × store × transport through the end-to-end scenarios
///
/// A cell is a system: replicas with one store that sync with a hub with another store over a transport. Stores and
/// transports are found, not listed: a package that says `[package.metadata.synckit]` in its manifest takes part.
/// docs/matrix.md explains it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    cargo xtask matrix                                    every cell, every scenario\n  \
    cargo xtask matrix --list                             what there is\n  \
    cargo xtask matrix --store redb --transport http      the cells with redb on either side, over HTTP\n  \
    cargo xtask matrix --scenario faults --seed 7         one scenario in every cell, with other luck\n  \
    cargo xtask matrix --replica redb --hub sqlite --transport http --scenario faults\n\n\
    The grid is printed, and written to target/matrix.md and target/matrix.json. A cell that needs a service which\n\
    is not there is skipped; with --require NAME that is a failure. The exit code is 0 when nothing failed.")]
pub(crate) struct Args {
    /// Only cells with this store on either side; may be repeated
    #[arg(long, value_name = "NAME")]
    store: Vec<String>,

    /// Only cells whose replicas have this store; may be repeated
    #[arg(long, value_name = "NAME")]
    replica: Vec<String>,

    /// Only cells whose hub has this store; may be repeated
    #[arg(long, value_name = "NAME")]
    hub: Vec<String>,

    /// Only cells with this transport; may be repeated
    #[arg(long, value_name = "NAME")]
    transport: Vec<String>,

    /// Only this scenario; may be repeated
    #[arg(long, value_name = "NAME")]
    scenario: Vec<String>,

    /// The first seed, for scenarios in which chance has a part
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,

    /// How many seeds, from the first one on
    #[arg(long, value_name = "N", default_value_t = 1)]
    seeds: u64,

    /// A service that must be there, such as a database; may be repeated
    #[arg(long, value_name = "NAME")]
    require: Vec<String>,

    /// How long one scenario may take in one cell
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    limit: u64,

    /// How many run at the same time [default: as many as there are processors]
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,

    /// Print what there is, and run nothing
    #[arg(long)]
    list: bool,

    /// Print the report as JSON instead of the grid
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode, String> {
    let metadata = cargo::metadata()?;
    let adapters = adapters::all(&metadata)?;
    let program = package::build(&metadata, &adapters)?;
    let scenarios = runner::scenarios(&program)?;
    if args.list {
        print!("{}", report::contents(&adapters, &scenarios));
        return Ok(ExitCode::SUCCESS);
    }
    let seeds = args.seed..args.seed.saturating_add(args.seeds.max(1));
    let narrowing = Narrowing {
        stores: &args.store,
        replicas: &args.replica,
        hubs: &args.hub,
        transports: &args.transport,
        scenarios: &args.scenario,
    };
    let mut plan = Plan::new(&adapters, &scenarios, &narrowing, seeds.clone())?;
    plan.require(&adapters, &args.require, |name| {
        std::env::var_os(name).is_some_and(|value| !value.is_empty())
    })?;
    let started = Instant::now();
    let jobs = args.jobs.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let runs = runner::run(&program, plan, args.limit, jobs);
    let report = report::Report { runs, seeds, seconds: started.elapsed().as_secs_f64() };

    let target = metadata.target_directory.as_std_path();
    let write = |name: &str, text: &str| {
        let path = target.join(name);
        fs::write(&path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))
    };
    let json = report.json();
    write("matrix.json", &json)?;
    write("matrix.md", &report.markdown())?;
    if args.json {
        print!("{json}");
    } else {
        print!("\n{}", report.text());
    }
    Ok(if report.failed() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
