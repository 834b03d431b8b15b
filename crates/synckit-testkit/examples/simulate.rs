//! Runs the simulator over a range of seeds: `--seeds N --start S`, or one with `--seed S`.

use std::io::Write;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use synckit_testkit::sim;

fn main() -> ExitCode {
    let (mut first, mut count) = (0, 1_000);
    let mut args = std::env::args().skip(1);
    while let Some(name) = args.next() {
        let number = args.next().and_then(|text| text.parse().ok());
        match (name.as_str(), number) {
            ("--seeds", Some(number)) => count = number,
            ("--start", Some(number)) => first = number,
            ("--seed", Some(number)) => (first, count) = (number, 1),
            _ => return say("usage: simulate [--seeds N] [--start S] [--seed S]", ExitCode::from(2)),
        }
    }
    let started = Instant::now();
    let (next, done) = (AtomicU64::new(first), AtomicU64::new(0));
    let last = first.saturating_add(count);
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= last {
                return Ok(());
            }
            if count == 1 {
                let (summary, trace) = sim::replay(seed)?;
                trace.iter().for_each(|step| say(step, ()));
                say(&format!("{summary:?}"), ());
            } else {
                sim::run(seed)?;
            }
            let done = done.fetch_add(1, Ordering::Relaxed) + 1;
            if done % 10_000 == 0 {
                say(&format!("{done} of {count} seeds"), ());
            }
        }
    };
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let failures: Vec<Box<sim::Failure>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        threads.into_iter().filter_map(|thread| thread.join().ok()?.err()).collect()
    });
    match failures.iter().min_by_key(|failure| failure.seed) {
        Some(failure) => say(&failure.to_string(), ExitCode::FAILURE),
        None => say(
            &format!(
                "{count} seeds from {first}: every promise kept, in {:.1} s",
                started.elapsed().as_secs_f64()
            ),
            ExitCode::SUCCESS,
        ),
    }
}

/// Prints a line; it does not matter if nobody reads it any more.
fn say<T>(line: &str, then: T) -> T {
    let _closed = writeln!(std::io::stdout(), "{line}");
    then
}
