//! The command line.

use clap::{Parser, Subcommand};

use crate::commands::{
    aggregates, backup, conflicts, demo, digest, doctor, explain, export, history, import, log, record,
    refused, reidentify, restore, rules, serve, show, status, sync, wait,
};
use crate::failure::Exit;
use crate::output;

const EXAMPLES: &str = "\
Examples:
  synckit demo                                     see three replicas edit offline, crash, sync and agree
  synckit record --db a.db --node a --type NoteEdited --aggregate note-1 --data '{\"text\":\"hello\"}'
  synckit serve --db hub.db --listen 127.0.0.1:8080
  synckit sync --db a.db http://127.0.0.1:8080     exchange events with the hub
  synckit sync --db a.db --live http://127.0.0.1:8080     stay together with it
  synckit wait --db a.db                           until the hub has everything
  synckit log --db a.db --follow                   watch them arrive
  synckit conflicts --db a.db                      conflicts that wait for a person
  synckit digest --db a.db                         the same on all replicas that agree
  synckit reidentify --db copy.db                  make a copied file a replica of its own
  synckit doctor --db a.db                         who this replica is, and what is wrong with it
  synckit export --db a.db                         every event, as JSON lines
  synckit backup --db a.db monday.db               a copy of a replica in use; `restore` puts it in place

Exit codes:
  0  done
  1  failed; the reason is on standard error (import: some lines could not be recorded; demo: a check failed;
     rules check: the file has mistakes; doctor: the store is damaged)
  2  the command line is wrong, or has an option that would do nothing
  3  synced, but some events were refused; `synckit refused` lists them
  4  no answer, a timeout, or busy; nothing is lost and the same command may succeed later";

/// Event logs that go on without a network and agree again when it is back
///
/// Each replica keeps its own log of events in one file and writes to it at any time. `sync` exchanges events with
/// a hub, which `serve` runs. Nothing recorded is ever lost, all replicas end with the same events, and an edit
/// made in two places at once is found and settled.
#[derive(Debug, Parser)]
#[command(name = "synckit", version, after_help = EXAMPLES, max_term_width = 110)]
pub(crate) struct Args {
    /// Print JSON on standard output; an error is an object there too
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// Report progress on standard error; twice for more
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Demo(demo::Args),
    Serve(serve::Args),
    Record(record::Args),
    Import(import::Args),
    Export(export::Args),
    Sync(sync::Args),
    Wait(wait::Args),
    Log(log::Args),
    Aggregates(aggregates::Args),
    Show(show::Args),
    History(history::Args),
    Status(status::Args),
    Digest(digest::Args),
    Backup(backup::Args),
    Restore(restore::Args),
    Doctor(doctor::Args),
    Reidentify(reidentify::Args),
    Refused(refused::Args),
    Conflicts(conflicts::Args),
    Explain(explain::Args),
    Rules(rules::Args),
}

/// Prints help, the version, or what is wrong with the command line.
pub(crate) fn explain(error: &clap::Error) -> Exit {
    // If the reader has gone, there is nothing left to do.
    let _ = error.print();
    if !error.use_stderr() {
        return Exit::Done;
    }
    if std::env::args_os().any(|arg| arg == "--json") {
        output::usage_object(&error.to_string());
    }
    Exit::Usage
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Args::command().debug_assert();
    }
}
