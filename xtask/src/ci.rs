//! `cargo xtask ci`: runs the steps of [`crate::steps`], one after the other, and sums them up.

use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use crate::cargo::{self, Cargo};
use crate::steps::{self, Group, Release, Step};

/// Run every check a change must pass
///
/// Each step prints the command it runs; a step that fails can be repeated with that command
/// alone. The first failure ends the run.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    cargo xtask ci                            everything\n  \
    cargo xtask ci --list                     the commands, without running them\n  \
    cargo xtask ci --step fmt --step clippy   only these\n\n\
    The packages under examples/ are run without input and must end by themselves.")]
pub(crate) struct Args {
    /// Run only the steps of this name; may be repeated
    #[arg(long, value_name = "NAME")]
    step: Vec<Group>,

    /// Print the steps and their commands, and run nothing
    #[arg(long)]
    list: bool,

    /// Go on after a failure, and report all failures at the end
    #[arg(long)]
    keep_going: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Passed,
    Failed,
    /// The step cannot run here, for this reason.
    Skipped(&'static str),
    /// A step before it failed.
    NotRun,
}

/// A step, how it ended, and how long it took.
#[derive(Debug)]
struct Report {
    step: Step,
    outcome: Outcome,
    duration: Duration,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode, String> {
    let release = release();
    let mut steps = steps::all(&cargo::metadata()?, release.as_ref());
    steps.retain(|step| args.step.is_empty() || args.step.contains(&step.group));
    if args.list {
        for step in &steps {
            println!("{:<12}{}", step.group.name(), step.cargo);
        }
        return Ok(ExitCode::SUCCESS);
    }

    let count = steps.len();
    let mut reports: Vec<Report> = Vec::new();
    for (index, step) in steps.into_iter().enumerate() {
        let started = Instant::now();
        let stop = !args.keep_going && failures(&reports).next().is_some();
        let outcome = if stop {
            Outcome::NotRun
        } else {
            let (number, name) = (index + 1, step.group.name());
            println!("\n[{number}/{count}] {name}: {}", step.cargo);
            run_step(&step, release.as_ref())?
        };
        let duration = started.elapsed();
        if !stop {
            println!("[{}/{count}] {}", index + 1, line(outcome, duration));
        }
        reports.push(Report { step, outcome, duration });
    }

    println!("\n{}{}", summary(&reports), skips(&reports));
    if failures(&reports).next().is_none() {
        return Ok(ExitCode::SUCCESS);
    }
    println!("\nFailed; to repeat:");
    for step in failures(&reports) {
        println!("  {}", step.cargo);
    }
    Ok(ExitCode::FAILURE)
}

fn run_step(step: &Step, release: Option<&Release>) -> Result<Outcome, String> {
    if let Some(missing) = missing(step.group, release) {
        println!("{missing}");
        return Ok(Outcome::Skipped(missing));
    }
    let passed = step.cargo.run()? == 0;
    Ok(if passed { Outcome::Passed } else { Outcome::Failed })
}

/// What is missing here for the steps of a group: they are skipped, and this is printed.
fn missing(group: Group, release: Option<&Release>) -> Option<&'static str> {
    match group {
        Group::Deny | Group::Advisories if !Cargo::new("deny --version").succeeds() => {
            Some("cargo-deny is not installed; to install it: cargo install --locked cargo-deny")
        }
        Group::Advisories if !Cargo::new("deny fetch db").succeeds() => {
            Some("the database of advisories cannot be fetched; `cargo deny fetch db` says why")
        }
        Group::Semver if !Cargo::new("semver-checks --version").succeeds() => Some(
            "cargo-semver-checks is not installed; to install it: cargo install --locked cargo-semver-checks",
        ),
        Group::Semver if release.is_none_or(|release| release.manifests.is_empty()) => {
            Some("there is no tag of a release (v*) to compare with")
        }
        _ => None,
    }
}

/// The latest release before this commit, when there is one. Its tag is `v` and a version.
fn release() -> Option<Release> {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").current_dir(cargo::root()).args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let tag = git(&["describe", "--tags", "--abbrev=0", "--match", "v[0-9]*"])?;
    let files = git(&["ls-tree", "-r", "--name-only", &tag, "crates"])?;
    let manifests = files.lines().filter(|path| path.ends_with("/Cargo.toml")).map(str::to_owned).collect();
    Some(Release { tag, manifests })
}

fn failures(reports: &[Report]) -> impl Iterator<Item = &Step> {
    let failed = reports.iter().filter(|report| report.outcome == Outcome::Failed);
    failed.map(|report| &report.step)
}

fn line(outcome: Outcome, duration: Duration) -> String {
    let word = match outcome {
        Outcome::Passed => "passed",
        Outcome::Failed => "FAILED",
        Outcome::Skipped(_) => return "skipped".to_owned(),
        Outcome::NotRun => return "not run".to_owned(),
    };
    format!("{word} {:>7.1}s", duration.as_secs_f64())
}

/// A table with one line for each step, and the total time.
fn summary(reports: &[Report]) -> String {
    let mut table = String::new();
    for Report { step, outcome, duration } in reports {
        let line = line(*outcome, *duration);
        table += &format!("{:<12}{line:<17}{}\n", step.group.name(), step.cargo);
    }
    let total: Duration = reports.iter().map(|report| report.duration).sum();
    table + &format!("{:<12}{:>14.1}s", "total", total.as_secs_f64())
}

/// What was not checked, and why: a line for each step.
fn skips(reports: &[Report]) -> String {
    let mut text = String::new();
    for Report { step, outcome, .. } in reports {
        if let Outcome::Skipped(reason) = outcome {
            text += &format!("\nskipped {}: {reason}", step.group.name());
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_has_a_line_for_each_step_and_failures_are_named() {
        let report = |group, line, outcome, millis| Report {
            step: Step { group, cargo: Cargo::new(line) },
            outcome,
            duration: Duration::from_millis(millis),
        };
        let reports = [
            report(Group::Fmt, "fmt", Outcome::Passed, 1_500),
            report(Group::Test, "test", Outcome::Failed, 60_000),
            report(Group::Deny, "deny", Outcome::Skipped("no deny"), 0),
        ];
        let table = summary(&reports);
        let lines: Vec<_> = table.lines().collect();
        assert_eq!(lines[0], "fmt         passed     1.5s  cargo fmt");
        assert_eq!(lines[1], "test        FAILED    60.0s  cargo test");
        assert_eq!(lines[2], "deny        skipped          cargo deny");
        assert_eq!(lines[3], "total                 61.5s");
        let failed: Vec<_> = failures(&reports).map(|step| step.cargo.to_string()).collect();
        assert_eq!(failed, ["cargo test"]);
        assert_eq!(skips(&reports), "\nskipped deny: no deny");
    }
}
