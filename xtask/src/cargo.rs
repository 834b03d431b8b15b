//! The repository's root, its packages, and commands that can be printed and run.
//!
//! A command prints as the line that repeats it in a shell; it runs in the root, unless told otherwise, with no input,
//! so that nothing waits for an answer.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use cargo_metadata::{Metadata, MetadataCommand};

/// One call of cargo: where, environment, then arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cargo {
    directory: Option<PathBuf>,
    args: Vec<String>,
    env: Vec<(&'static str, &'static str)>,
}

impl Cargo {
    /// `line` holds the arguments, separated by spaces; none of them may contain one.
    pub(crate) fn new(line: &str) -> Self {
        let args = line.split_whitespace().map(str::to_owned).collect();
        Self { directory: None, args, env: Vec::new() }
    }

    /// Adds an option and a path, which may contain spaces.
    pub(crate) fn with_path(mut self, option: &str, path: &Path) -> Self {
        self.args.extend([option.to_owned(), path.display().to_string()]);
        self
    }

    /// Runs it in a directory that is not the root.
    pub(crate) fn within(mut self, directory: &Path) -> Self {
        self.directory = Some(directory.to_owned());
        self
    }

    pub(crate) fn with_env(mut self, name: &'static str, value: &'static str) -> Self {
        self.env.push((name, value));
        self
    }

    /// Runs to the end with our output, and returns the exit code (1 where a signal ended it).
    pub(crate) fn run(&self) -> Result<u8, String> {
        let status = self.command().status().map_err(|error| format!("cannot run `{self}`: {error}"))?;
        Ok(if status.success() {
            0
        } else {
            status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
        })
    }

    /// Whether the command succeeds, its output thrown away.
    pub(crate) fn succeeds(&self) -> bool {
        let status = self.command().stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    }

    fn command(&self) -> Command {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        let directory = self.directory.clone().unwrap_or_else(root);
        command.current_dir(directory).args(&self.args).envs(self.env.iter().copied()).stdin(Stdio::null());
        // `cargo run` describes xtask to us in these. Build scripts that watch them would otherwise
        // run again each time a build changes from xtask to the shell and back.
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
                command.env_remove(&name);
            }
        }
        command
    }
}

impl fmt::Display for Cargo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(directory) = &self.directory {
            write!(f, "cd '{}' && ", directory.display())?;
        }
        for (name, value) in &self.env {
            write!(f, "{name}='{value}' ")?;
        }
        f.write_str("cargo")?;
        self.args.iter().try_for_each(|arg| match arg.contains(' ') {
            true => write!(f, " '{arg}'"),
            false => write!(f, " {arg}"),
        })
    }
}

/// The directory of the workspace: the parent of this package.
pub(crate) fn root() -> PathBuf {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    PathBuf::from(package).join("..")
}

/// The packages of the workspace, as their manifests describe them; nothing is resolved or fetched.
pub(crate) fn metadata() -> Result<Metadata, String> {
    MetadataCommand::new()
        .current_dir(root())
        .no_deps()
        .exec()
        .map_err(|error| format!("cannot read the workspace: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_prints_as_the_line_that_repeats_it() {
        let cargo = Cargo::new("doc --no-deps").with_env("RUSTDOCFLAGS", "-D warnings");
        assert_eq!(cargo.to_string(), "RUSTDOCFLAGS='-D warnings' cargo doc --no-deps");
        let cargo = Cargo::new("build").with_path("--target-dir", Path::new("/a b"));
        assert_eq!(cargo.to_string(), "cargo build --target-dir '/a b'");
        let cargo = Cargo::new("test").within(Path::new("/a b"));
        assert_eq!(cargo.to_string(), "cd '/a b' && cargo test");
    }
}
