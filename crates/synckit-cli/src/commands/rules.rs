//! `synckit rules`: checks a file of conflict rules.

use std::fmt;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde::Serialize;
use synckit::{
    Error, FieldMerge, FirstWriteWins, KeepAll, LastWriteWins, ManualReview, RuleResolver,
    conflict::SharedResolver,
};
use synckit_rules::{Format, Mistake, RuleReader};

use crate::failure::{self, Exit, Failure};
use crate::output::Output;
use crate::text;

/// Check the rules that settle conflicts
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Report every mistake in a file of rules, with line and column
    #[command(after_help = "\
        Example: synckit rules check rules.toml\n\n\
        A file of rules ends with .toml, .yaml, .yml or .json, and is given to `synckit sync` and `serve` with \
        --rules:\n\n  \
        fallback = \"last-write-wins\"             # for what no rule matches\n\n  \
        [[rules]]                                  # the first that matches decides\n  \
        name = \"prices\"\n  \
        when = { field_clashes = \"price\" }\n  \
        resolve = \"review\"\n\n  \
        [[rules]]\n  \
        name = \"notes\"\n  \
        when = { aggregate_prefix = \"note-\" }\n  \
        resolve = { use = \"field-merge\", fields = { tags = \"union\" } }\n\n\
        Resolvers: last-write-wins, first-write-wins, keep-all, field-merge, review. Conditions: event_type, \
        aggregate, aggregate_prefix, field_changed, field_clashes, metadata, origin, versions, all, any, not, \
        always. With mistakes the exit code is 1.")]
    Check {
        /// The file
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

#[derive(Debug, Serialize)]
struct Wrong {
    file: String,
    line: usize,
    column: usize,
    message: String,
}

#[derive(Debug, Serialize)]
struct Right {
    file: String,
    mistakes: usize,
}

pub(crate) fn run(args: Args, output: &mut Output) -> Result<Exit, Failure> {
    let Command::Check { file } = args.command;
    let format = Format::of(&file)?;
    let name = file.display().to_string();
    let text = std::fs::read_to_string(&file).map_err(|error| {
        failure::system(format!("the file of rules cannot be read: {}", text::plain(&name)), error)
    })?;
    match reader().read(&text, format) {
        Ok(_) => {
            output.answer(&Right { file: name, mistakes: 0 })?;
            Ok(Exit::Done)
        }
        Err(mistakes) => {
            for Mistake { place, message } in mistakes.list() {
                let (line, column, message) = (place.line, place.column, message.clone());
                output.answer(&Wrong { file: name.clone(), line, column, message })?;
            }
            Ok(Exit::Failed)
        }
    }
}

/// Returns a reader that knows the built-in resolvers.
pub(crate) fn reader() -> RuleReader {
    RuleReader::new()
}

/// Returns the resolver of this name. It decides like every other use of it, so it also writes the same events.
fn named(name: &Path) -> Option<SharedResolver> {
    Some(match name.to_str()? {
        "last-write-wins" => SharedResolver::new(LastWriteWins),
        "first-write-wins" => SharedResolver::new(FirstWriteWins),
        "keep-all" => SharedResolver::new(KeepAll),
        "field-merge" => SharedResolver::new(FieldMerge::new()),
        "review" => SharedResolver::new(ManualReview),
        _ => return None,
    })
}

/// What --rules names: the rules in a file, or one resolver for all conflicts.
#[derive(Clone, Debug)]
pub(crate) struct Chosen {
    pub(crate) resolver: SharedResolver,
    /// The rules of the file, which may be replaced.
    pub(crate) file: Option<RuleResolver>,
}

/// Loads what --rules names.
pub(crate) fn load(path: &Path) -> Result<Chosen, Failure> {
    if let Some(resolver) = named(path) {
        return Ok(Chosen { resolver, file: None });
    }
    let rules = reader().read_file(path).and_then(RuleResolver::new).map_err(|error: Error| {
        Failure::from(error)
            .hint(format!("`synckit rules check {}` reports each mistake on a line", path.display()))
    })?;
    Ok(Chosen { resolver: SharedResolver::new(rules.clone()), file: Some(rules) })
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Wrong { file, line, column, message } = self;
        write!(f, "{}:{line}:{column}: {}", text::plain(file), text::plain(message))
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} has no mistakes", text::plain(&self.file))
    }
}
