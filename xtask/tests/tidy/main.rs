//! The repository's own rules.
//!
//! Each rule is a function from text or names to a list of problems, with a test on made-up input
//! that shows it can fail, and a test that applies it to this repository.
//!
//! - [`graph`]: which package may import which, and what the core may pull in
//! - [`bans`]: which crates may not be in the lock file
//! - [`manifests`]: what every package must declare
//! - [`files`]: what stands at the top level, and what no file may contain
//! - [`examples`]: what has an example in its documentation
//! - [`sizes`]: how large the files and the core may be
//! - [`repository`]: the files and packages the rules are applied to

mod bans;
mod examples;
mod files;
mod graph;
mod language;
mod manifests;
mod paths;
mod repository;
mod sizes;

/// Fails with one problem a line.
#[track_caller]
fn assert_none(problems: &[String]) {
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}
