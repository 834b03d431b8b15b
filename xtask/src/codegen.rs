//! `cargo xtask codegen`: the code that comes from `docs/synckit.proto`, by the package that has the compiler.

use std::process::ExitCode;

use crate::cargo::Cargo;

/// Write the code that comes from docs/synckit.proto
///
/// Needs no protoc. The code is committed; a test fails when it is not what the proto file gives.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Write nothing, and fail when what is committed differs
    #[arg(long)]
    check: bool,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode, String> {
    let check = if args.check { " -- --check" } else { "" };
    let code = Cargo::new(&format!("run --quiet -p xtask-codegen{check}")).run()?;
    Ok(ExitCode::from(code))
}
