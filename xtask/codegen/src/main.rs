//! `cargo xtask codegen`: writes the code that comes from `docs/synckit.proto`, or with `--check` only says whether
//! what is committed differs.
//!
//! A package of its own, so that the other commands of xtask do not wait for a protobuf compiler to be built.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// A file made from the proto file: where it stands, below the root of the repository, and what it holds.
struct Output {
    path: &'static str,
    content: Vec<u8>,
}

const PROTO: &str = "docs/synckit.proto";
const HEADER: &str = "// @generated from docs/synckit.proto by `cargo xtask codegen`.\n";

fn main() -> ExitCode {
    let check = match std::env::args().skip(1).collect::<Vec<_>>().as_slice() {
        [] => false,
        [flag] if flag == "--check" => true,
        _ => {
            eprintln!("usage: cargo xtask codegen [--check]");
            return ExitCode::FAILURE;
        }
    };
    let result = generate().and_then(|outputs| if check { compare(&outputs) } else { write(&outputs) });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Compiles the proto file.
fn generate() -> Result<Vec<Output>, String> {
    let root = root();
    let set =
        protox::compile([root.join(PROTO)], [root.join("docs")]).map_err(|error| format!("{error:?}"))?;
    let modules =
        set.file.iter().map(|file| (prost_build::Module::from_protobuf_package_name(file.package()), file));
    let requests = modules.map(|(module, file)| (module, file.clone())).collect();
    let mut config = prost_build::Config::new();
    let sources = config.generate(requests).map_err(|error| error.to_string())?;
    let source: String = sources.into_values().collect();
    let messages = Output {
        path: "crates/synckit-wire/src/protobuf/generated.rs",
        content: format!("{HEADER}{source}").into_bytes(),
    };
    Ok(vec![messages])
}

fn write(outputs: &[Output]) -> Result<(), String> {
    for Output { path, content } in outputs {
        fs::write(root().join(path), content).map_err(|error| format!("{path}: {error}"))?;
    }
    Ok(())
}

/// Fails, naming the files, when what is committed is not what the proto file gives.
fn compare(outputs: &[Output]) -> Result<(), String> {
    let differs =
        |output: &&Output| fs::read(root().join(output.path)).ok().as_ref() != Some(&output.content);
    let stale: Vec<_> = outputs.iter().filter(differs).map(|output| output.path).collect();
    if stale.is_empty() {
        return Ok(());
    }
    Err(format!("{} is not what {PROTO} gives; run `cargo xtask codegen`", stale.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_code_is_what_the_proto_file_gives() {
        let outputs = generate().expect("the proto file compiles");
        assert_eq!(compare(&outputs), Ok(()));
    }

    #[test]
    fn other_code_is_found() {
        let mut outputs = generate().expect("the proto file compiles");
        outputs[0].content.push(b'\n');
        let error = compare(&outputs).expect_err("it differs");
        assert!(error.starts_with("crates/synckit-wire/src/protobuf/generated.rs is not"), "{error}");
    }
}
