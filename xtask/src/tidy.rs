//! `cargo xtask tidy`: the repository's own rules, by running the test that holds them.

use std::process::ExitCode;

use crate::cargo::Cargo;

/// Check the repository's own rules: crate graph, manifests, module docs, text, sizes
///
/// The rules are the test `xtask/tests/tidy`, so `cargo test` checks them too. This command runs
/// that test alone and shows what it measured.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_: &Args) -> Result<ExitCode, String> {
    let code = Cargo::new("test --quiet -p xtask --test tidy -- --show-output").run()?;
    Ok(ExitCode::from(code))
}
