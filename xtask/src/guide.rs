//! `cargo xtask guide`: what the README and the adapter guide tell a newcomer to write, written and run as they say it.
//!
//! A line `` `src/main.rs`: `` names the file that the Rust and TOML blocks after it belong to, until the next such line.
//! The files become a crate outside the workspace. Only `../synckit`, where the pages assume the checkout to be, is
//! replaced. The crate shares the target directory, the versions and the profiles of the workspace, so little is built
//! twice.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::cargo::{self, Cargo};

/// The pages, and the command that each ends with.
const PAGES: [(&str, &str); 2] = [("README.md", "run"), ("docs/writing-an-adapter.md", "test")];

/// Where the pages assume the checkout to be.
const CHECKOUT: &str = "../synckit";

/// Run the quick start and the adapter guide as written, in a crate outside the workspace
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    cargo xtask guide                    both pages\n  \
    cargo xtask guide --page README.md   only this one")]
pub(crate) struct Args {
    /// Run only this page
    #[arg(long, value_name = "PATH")]
    page: Option<String>,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode, String> {
    let root = cargo::root().canonicalize().map_err(|error| format!("there is no checkout: {error}"))?;
    let pages = PAGES.into_iter().filter(|(page, _)| args.page.as_ref().is_none_or(|only| only == page));
    let mut failed = Vec::new();
    for (page, verb) in pages {
        let directory = directory(&root, page);
        write(&root, page, &directory)?;
        let cargo = Cargo::new(&format!("{verb} --quiet"))
            .within(&directory)
            .with_path("--target-dir", &root.join("target"))
            .with_path("--config", Path::new("profiles.toml"));
        println!("{page}: {cargo}");
        if cargo.run()? != 0 {
            failed.push(page);
        }
    }
    match failed.as_slice() {
        [] => Ok(ExitCode::SUCCESS),
        pages => Err(format!("what a reader of {} writes does not work", pages.join(" and "))),
    }
}

/// Returns a directory outside the workspace for what a page says: the same at each run.
fn directory(root: &Path, page: &str) -> PathBuf {
    let mut hasher = DefaultHasher::new();
    (root, page).hash(&mut hasher);
    std::env::temp_dir().join(format!("synckit-guide-{:016x}", hasher.finish()))
}

/// Writes the crate of a page.
fn write(root: &Path, page: &str, directory: &Path) -> Result<(), String> {
    let cannot = |path: &Path, error| format!("{} cannot be read or written: {error}", path.display());
    let read = |path: PathBuf| fs::read_to_string(&path).map_err(|error| cannot(&path, error));
    if directory.exists() {
        fs::remove_dir_all(directory).map_err(|error| cannot(directory, error))?;
    }
    let mut files = files(&read(root.join(page))?);
    if !files.iter().any(|(path, _)| path == "Cargo.toml") {
        return Err(format!("{page} shows no Cargo.toml"));
    }
    for (_, text) in files.iter_mut().filter(|(path, _)| path == "Cargo.toml") {
        *text = text.replace(CHECKOUT, &root.display().to_string());
    }
    files.push(("profiles.toml".to_owned(), profiles(&read(root.join("Cargo.toml"))?)));
    files.push(("Cargo.lock".to_owned(), read(root.join("Cargo.lock"))?));
    for (path, text) in files {
        let path = directory.join(path);
        let parent = path.parent().unwrap_or(directory);
        fs::create_dir_all(parent).map_err(|error| cannot(parent, error))?;
        fs::write(&path, text).map_err(|error| cannot(&path, error))?;
    }
    Ok(())
}

/// Returns the files that a page shows, with the blocks of each in order.
fn files(page: &str) -> Vec<(String, String)> {
    let mut files: Vec<(String, String)> = Vec::new();
    let (mut current, mut lines) = (None, page.lines());
    while let Some(line) = lines.next() {
        if let Some(path) = line.strip_prefix('`').and_then(|rest| rest.strip_suffix("`:")) {
            let known = files.iter().position(|(known, _)| known == path);
            current = known.or_else(|| {
                files.push((path.to_owned(), String::new()));
                Some(files.len() - 1)
            });
        } else if let Some(language) = line.strip_prefix("```") {
            let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            let is_code = matches!(language, "rust" | "rust,no_run" | "toml");
            if let Some(file) = current.filter(|_| is_code) {
                files[file].1 += &(block.join("\n") + "\n\n");
            }
        }
    }
    files
}

/// Returns the profiles of a manifest.
fn profiles(manifest: &str) -> String {
    let mut keep = false;
    let lines = manifest.lines().filter(|line| {
        if line.starts_with('[') {
            keep = line.starts_with("[profile");
        }
        keep
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_belong_to_the_file_that_is_named_before_them() {
        let page = "`Cargo.toml`:\n\n```toml\n[package]\n```\n\n`src/a.rs`:\n\n```rust\nfn a() {}\n```\nand\n\n\
                    ```rust,no_run\nfn b() {}\n```\n```rust,ignore\nno\n```\n```sh\nno\n```\n\n`src/b.rs`:\n\n\
                    ```rust\nmod b;\n```\n\n`src/a.rs`:\n\n```rust\nfn c() {}\n```\n";
        let files = files(page);
        let files: Vec<(&str, &str)> =
            files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        assert_eq!(
            files,
            [
                ("Cargo.toml", "[package]\n\n"),
                ("src/a.rs", "fn a() {}\n\nfn b() {}\n\nfn c() {}\n\n"),
                ("src/b.rs", "mod b;\n\n"),
            ]
        );
    }

    #[test]
    fn only_profiles_are_taken_from_the_manifest() {
        let manifest = "[workspace]\nresolver = \"3\"\n\n[profile.dev]\ndebug = 1\n\n[profile.dev.package]\na = 1\n[x]\n";
        assert_eq!(profiles(manifest), "[profile.dev]\ndebug = 1\n\n[profile.dev.package]\na = 1");
    }

    #[test]
    fn the_pages_show_whole_crates() {
        for (page, _) in PAGES {
            let files = files(&fs::read_to_string(cargo::root().join(page)).expect("it is there"));
            for file in ["Cargo.toml", "src/"] {
                assert!(files.iter().any(|(path, _)| path.starts_with(file)), "{page} shows no {file}");
            }
            assert!(
                files.iter().all(|(_, text)| !text.is_empty()),
                "{page} names a file and shows nothing of it"
            );
        }
    }
}
