//! How a case runs and how it fails.

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::time::Duration;

use crate::rng::Rng;

/// The time after which a case counts as hanging.
const PATIENCE: Duration = Duration::from_secs(300);

/// The result of a case. A case fails by a panic or by an error it did not expect.
pub type CaseResult = Result<(), Failure>;

/// An error that a case did not expect, and the line where it occurred.
pub struct Failure {
    error: synckit_core::Error,
    location: &'static Location<'static>,
}

impl From<synckit_core::Error> for Failure {
    #[track_caller]
    fn from(error: synckit_core::Error) -> Self {
        Failure { error, location: Location::caller() }
    }
}

impl From<synckit::SyncError> for Failure {
    #[track_caller]
    fn from(failed: synckit::SyncError) -> Self {
        Failure::from(failed.error)
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}: {:?}", self.error, self.location, self.error)
    }
}

tokio::task_local! {
    /// The test that runs the case, under the name that the test binary knows.
    static TEST: &'static str;
}

/// Runs a case on a separate runtime with two workers.
///
/// The test is the one that calls this, with its full path: `concat!(module_path!(), "::", "its_name")`. A case that
/// needs a second process starts this test again there.
///
/// # Panics
/// If the case fails or hangs.
pub fn run(test: &'static str, case: impl Future<Output = CaseResult>) {
    let test = test.split_once("::").map_or(test, |(_crate, path)| path);
    let case = TEST.scope(test, case);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime can be started");
    let result = runtime.block_on(async { tokio::time::timeout(PATIENCE, case).await });
    runtime.shutdown_background();
    result.expect("the case hangs").expect("the case met an error it did not expect");
}

/// Returns the test that runs this case.
pub(crate) fn test() -> &'static str {
    TEST.try_with(|test| *test).expect("a case is run by `run`")
}

/// Returns a source of randomness for a case: the same every time, unless `SYNCKIT_SEED` names another seed. A case
/// that fails shows the seed.
#[expect(clippy::print_stdout, reason = "the output of a failed test is shown")]
pub(crate) fn random() -> Rng {
    let seed = std::env::var("SYNCKIT_SEED").ok();
    let seed = seed.map_or(4_711, |seed| seed.parse().expect("SYNCKIT_SEED is a number"));
    println!("SYNCKIT_SEED={seed}");
    Rng::new(seed)
}

/// Prints to standard output that a case does not apply.
#[expect(clippy::print_stdout, reason = "a skipped case is printed as skipped")]
pub fn skip(case: &str, reason: &str) -> CaseResult {
    println!("skipped: {case}: {reason}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_the_line_that_met_the_error() {
        fn case() -> CaseResult {
            Err(synckit_core::Error::invalid("no"))?;
            Ok(())
        }
        let failure = format!("{:?}", case().expect_err("it fails"));
        assert!(failure.contains("case.rs:"), "{failure}");
    }

    #[test]
    #[should_panic(expected = "did not expect")]
    fn an_error_fails_the_case() {
        run("an_error_fails_the_case", async { Err(synckit_core::Error::invalid("no").into()) });
    }
}
