//! A process for each run, several at a time.
//!
//! The process ends by itself when its time is up, and says in one line of JSON how the run ended. One that dies
//! without a word has failed.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use serde::Deserialize;
use serde_json::Value;

use super::plan::{Outcome, Plan, Run, Scenario};

/// A run, how it ended, and how long it took.
#[derive(Clone, Debug)]
pub(super) struct Ran {
    pub(super) run: Run,
    pub(super) outcome: Outcome,
    pub(super) seconds: f64,
}

/// The scenarios of a program.
pub(super) fn scenarios(program: &Path) -> Result<Vec<Scenario>, String> {
    let output = command(program).output().map_err(|error| format!("cannot run the matrix: {error}"))?;
    let contents: Result<Contents, _> = serde_json::from_slice(&output.stdout);
    let unreadable = |error| format!("the program of the matrix does not say what it has: {error}");
    Ok(contents.map_err(unreadable)?.scenarios)
}

/// What a program says that it has.
#[derive(Deserialize)]
struct Contents {
    scenarios: Vec<Scenario>,
}

/// Runs a plan with at most `jobs` processes at a time, and reports progress on standard error.
pub(super) fn run(program: &Path, plan: Plan, limit: u64, jobs: usize) -> Vec<Ran> {
    let count = plan.runs.len();
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let finished: Mutex<Vec<(usize, Ran)>> = Mutex::new(Vec::with_capacity(count));
    let work = || {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(run) = plan.runs.get(at) else { return };
            let ran = one(program, run, limit);
            let number = done.fetch_add(1, Ordering::Relaxed) + 1;
            if run.outcome.is_none() {
                let word = match ran.outcome {
                    Outcome::Passed => "pass",
                    Outcome::Failed(_) => "FAIL",
                    Outcome::Skipped(_) => "skip",
                };
                eprintln!("[{number:>3}/{count}] {word} {:>5.1}s  {run}", ran.seconds);
            }
            if let Ok(mut finished) = finished.lock() {
                finished.push((at, ran));
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..jobs.clamp(1, count.max(1)) {
            scope.spawn(work);
        }
    });
    let mut finished = finished.into_inner().unwrap_or_default();
    finished.sort_by_key(|(at, _)| *at);
    finished.into_iter().map(|(_, ran)| ran).collect()
}

fn one(program: &Path, run: &Run, limit: u64) -> Ran {
    let started = Instant::now();
    let outcome = run.outcome.clone().unwrap_or_else(|| {
        let mut command = command(program);
        command.args([&run.replica, &run.hub, &run.transport, &run.scenario]);
        command.args([run.seed.to_string(), limit.to_string()]);
        match command.output() {
            Ok(output) => outcome(&output),
            Err(error) => Outcome::Failed(format!("it cannot be started: {error}")),
        }
    });
    Ran { run: run.clone(), outcome, seconds: started.elapsed().as_secs_f64() }
}

fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// What a process has said with its last line, or what it died of.
fn outcome(output: &Output) -> Outcome {
    let said = String::from_utf8_lossy(&output.stdout);
    let answer: Value =
        said.lines().last().and_then(|line| serde_json::from_str(line).ok()).unwrap_or_default();
    let message = answer["message"].as_str().unwrap_or_default().to_owned();
    match answer["outcome"].as_str() {
        Some("passed") if output.status.success() => Outcome::Passed,
        Some("skipped") if output.status.success() => Outcome::Skipped(message),
        Some("failed") => Outcome::Failed(message),
        _ => {
            let errors = String::from_utf8_lossy(&output.stderr);
            let last: Vec<&str> = errors.lines().rev().take(20).collect();
            let last: Vec<&str> = last.into_iter().rev().collect();
            let why = answer["error"].as_str().unwrap_or("it died without a word");
            Outcome::Failed(format!("{why} ({})\n{}", output.status, last.join("\n")).trim_end().to_owned())
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    use super::*;

    fn ended(status: i32, stdout: &str) -> Outcome {
        let status = ExitStatus::from_raw(status);
        outcome(&Output { status, stdout: stdout.into(), stderr: b"thread 'x' panicked\n".to_vec() })
    }

    #[test]
    fn a_run_ends_as_its_process_says() {
        assert_eq!(ended(0, "noise\n{\"outcome\":\"passed\"}\n"), Outcome::Passed);
        let skipped = ended(0, "{\"outcome\":\"skipped\",\"message\":\"no copies\"}\n");
        assert_eq!(skipped, Outcome::Skipped("no copies".to_owned()));
        let failed = ended(1 << 8, "{\"outcome\":\"failed\",\"message\":\"P2: lost\"}\n");
        assert_eq!(failed, Outcome::Failed("P2: lost".to_owned()));
    }

    #[test]
    fn a_process_that_dies_has_failed_whatever_it_said() {
        for (status, stdout, wanted) in [
            (6, "", "signal: 6"),
            (6, "{\"outcome\":\"passed\"}\n", "signal: 6"),
            (0, "", "without a word"),
            (2 << 8, "{\"error\":\"`x` is not in this matrix\"}\n", "`x` is not in this matrix"),
        ] {
            match ended(status, stdout) {
                Outcome::Failed(message) => {
                    assert!(message.contains(wanted) && message.contains("panicked"), "{message}");
                }
                other => panic!("{other:?}"),
            }
        }
    }
}
