//! `synckit sync`: exchanges events with a hub. `progress.rs` has what is said meanwhile, `unseen.rs` what happens to
//! conflicts without rules, `live.rs` what stays with a hub.

mod live;
mod progress;
mod unseen;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;
use synckit::{
    BoxStore, BoxTransport, Direction, Error, ErrorKind, Filter, RefusedBy, SyncManager, SyncReport,
    Transport, observe::Notice, store::Renewal,
};

use crate::adapters::transports;
use crate::commands::rules::{self, Chosen};
use crate::commands::{Replica, clock, closing};
use crate::failure::{Exit, Failure, is_of_peer};
use crate::headers::Headers;
use crate::output::{self, Output, Progress};
use crate::text;
use crate::tls::ClientCertificates;
use progress::Watching;
use unseen::Unseen;

/// Exchange events with a hub: pull, settle conflicts, push
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    synckit sync --db a.db http://127.0.0.1:8080\n  \
    synckit sync --db new.db --node b http://127.0.0.1:8080      a new replica: created, then filled\n  \
    synckit sync --db a.db URL --pull-only --type NoteEdited --prefix note-\n  \
    synckit sync --db a.db https://hub.example --user @password-file      through a proxy that asks who calls\n  \
    synckit sync --db a.db --live URL          stay together: what either side records is at the other at once\n\n\
    A sync that breaks off keeps what was done, and the next one continues from there. Events that are refused \
    never block the others: they are reported, and `synckit refused` lists them.\n\n\
    If two edits of one thing were made without knowledge of each other, --rules decide. Without them the later one \
    stands, but only if this sync is the first to see both; any other conflict may have been left for a person by \
    somebody's rules, and stays open. What lost stays in the log.\n\n\
    --live waits where there is no network, and goes on by itself. It shows each change of its state in a line, with \
    --json as an object, and ends with Ctrl-C. Other commands can use the database meanwhile. Without --rules it \
    leaves every conflict open.\n\n\
    Several --type, --aggregate and --prefix are alternatives.")]
pub(crate) struct Args {
    #[command(flatten)]
    replica: Replica,

    /// The hub: http://HOST:PORT, or https://, grpc://, grpcs://; with --live, one or several
    #[arg(value_name = "URL", required = true)]
    urls: Vec<String>,

    /// Stay together with the hub until Ctrl-C
    #[arg(long, conflicts_with = "timeout")]
    live: bool,

    /// Send events only
    #[arg(long, conflicts_with = "pull_only")]
    push_only: bool,

    /// Fetch events only
    #[arg(long)]
    pull_only: bool,

    /// Only events of this type; may be repeated
    #[arg(long = "type", value_name = "TYPE")]
    types: Vec<String>,

    /// Only events of this aggregate; may be repeated
    #[arg(long, value_name = "ID")]
    aggregate: Vec<String>,

    /// Only events of aggregates whose id has this prefix; may be repeated
    #[arg(long, value_name = "TEXT")]
    prefix: Vec<String>,

    /// Send or fetch at most N events in one request
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    batch: Option<u32>,

    /// The time limit of the whole sync, in seconds
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    timeout: Option<u32>,

    #[command(flatten)]
    certificates: ClientCertificates,

    #[command(flatten)]
    headers: Headers,

    /// Settle all conflicts by the rules in this file: .toml, .yaml or .json; or by one rule for all: last-write-wins,
    /// first-write-wins, keep-all, field-merge, review
    #[arg(long, value_name = "FILE|RULE")]
    rules: Option<PathBuf>,

    /// Try again what was refused before
    #[arg(long)]
    retry_refused: bool,
}

#[derive(Debug, Serialize)]
struct Answer {
    url: String,
    #[serde(flatten)]
    report: SyncReport,
}

pub(crate) async fn run(args: Args, output: &mut Output) -> Result<Exit, Failure> {
    // A wrong address or filter must not create a file.
    let filter = args.filter()?;
    if let (Some(second), false) = (args.urls.get(1), args.live) {
        let message = format!("a second hub: {}", text::plain(second));
        return Err(Failure::usage(
            message,
            "sync with one after the other, or stay with all of them: --live",
        ));
    }
    let mut transports = Vec::new();
    for url in &args.urls {
        transports.push(connect(url, &args)?);
    }
    let rules = args.rules.as_deref().map(rules::load).transpose()?;
    let store = args.replica.open().await?;
    if args.live {
        let stayed = live::stay(&store, &transports, &filter, rules, &args, output).await;
        return closing(&store, stayed).await;
    }
    let (url, transport) = (args.urls[0].clone(), transports.remove(0));
    let synced = sync(&store, (&url, transport), filter, rules, output.progress(), &args).await;
    let report = closing(&store, synced).await?;
    let exit = match report.refused_count + report.refused_before {
        0 if report.held_back_count == 0 && report.gaps.is_empty() => Exit::Done,
        0 => Exit::Later,
        _ => Exit::Refused,
    };
    output.answer(&Answer { url, report })?;
    Ok(exit)
}

/// Connects to a hub.
fn connect(url: &str, args: &Args) -> Result<BoxTransport, Failure> {
    let certificates = &args.certificates;
    let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
    if let (Some(option), "http" | "grpc") = (certificates.given(), scheme) {
        let message = format!("{option} has no effect on {scheme}://, where everything is sent in clear");
        return Err(Failure::usage(message, format!("write {scheme}s://, or leave {option} out")));
    }
    let headers = args.headers.read()?;
    let here = ["127.0.0.1", "localhost", "[::1]"];
    let near = url.split_once("://").is_some_and(|(_, rest)| here.iter().any(|here| rest.starts_with(here)));
    if !headers.is_empty() && matches!(scheme, "http" | "grpc") && !near {
        output::message(format_args!(
            "warning: headers and passwords go to {} in clear; write {scheme}s:// if it can be",
            text::plain(url)
        ));
    }
    transports(certificates.read()?, headers).connect(url).map_err(|error| {
        Failure::from(error).hint("write it as http://HOST:PORT, such as http://127.0.0.1:8080")
    })
}

async fn sync(
    store: &BoxStore,
    (url, transport): (&str, BoxTransport),
    filter: Filter,
    rules: Option<Chosen>,
    form: Progress,
    args: &Args,
) -> Result<SyncReport, Failure> {
    let watching = Watching::new(store, url, &filter, form).await?;
    let shown = watching.clone();
    let builder = synckit::Replica::builder(store.clone());
    let replica = match rules {
        Some(rules) => builder.with_resolver(rules.resolver).build(),
        None => builder.with_resolver(Unseen::of(store).await?).build(),
    };
    let mut builder = SyncManager::builder(replica.clone(), transport.clone())
        .with_direction(args.direction())
        .with_filter(filter)
        .with_address(url)
        .with_observer(move |notice: &Notice<'_>| {
            if let Notice::Progress(report) = notice {
                shown.moved(report);
            }
        });
    if let Some(batch) = args.batch {
        builder = builder.with_batch_size(batch as usize);
    }
    if let Some(seconds) = args.timeout {
        builder = builder.with_sync_timeout(Duration::from_secs(seconds.into()));
    }
    let manager = builder.build();
    if args.retry_refused {
        replica.retry_refused().await?;
    }
    let synced = watching.until_done(manager.sync()).await;
    let closed = transport.close().await;
    let report = synced.map_err(|failed| {
        let hint = hint(&failed.error);
        let failure = Failure::from(failed.error).after(*failed.report);
        hint.into_iter().fold(failure, Failure::hint)
    })?;
    closed?;
    Ok(report)
}

fn hint(error: &Error) -> Option<&'static str> {
    Some(match error.kind() {
        ErrorKind::Unavailable | ErrorKind::Internal | ErrorKind::Corrupt if is_of_peer(error) => {
            "this is for whoever runs the hub to mend; nothing is lost here, sync again then"
        }
        ErrorKind::Unavailable => {
            "`synckit serve --db hub.db` runs a hub; nothing is lost, sync again when it answers"
        }
        ErrorKind::Timeout | ErrorKind::Busy => "sync again: it continues where it was",
        _ => return None,
    })
}

impl Args {
    fn direction(&self) -> Direction {
        match (self.push_only, self.pull_only) {
            (true, _) => Direction::PushOnly,
            (_, true) => Direction::PullOnly,
            _ => Direction::Both,
        }
    }

    fn filter(&self) -> Result<Filter, Error> {
        let filter = self.types.iter().try_fold(Filter::new(), Filter::with_type)?;
        let filter = self.aggregate.iter().try_fold(filter, Filter::with_aggregate)?;
        self.prefix.iter().try_fold(filter, Filter::with_aggregate_prefix)
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = &self.report;
        let peer = report.peer.as_ref().map_or(self.url.as_str(), |peer| peer.as_str());
        let [pulled, pushed] = [report.pulled, report.pushed].map(text::number);
        write!(f, "synced with {}: {pulled} pulled, {pushed} pushed", text::plain(peer))?;
        if report.duplicates > 0 {
            write!(f, ", {} known already", text::number(report.duplicates))?;
        }
        let conflicts = &report.conflicts;
        if conflicts.found + conflicts.settled + conflicts.left > 0 {
            let [found, settled, left] =
                [conflicts.found, conflicts.settled, conflicts.left].map(text::number);
            write!(f, "\nconflicts: {found} found, {settled} settled, {left} left")?;
            if conflicts.left > 0 {
                f.write_str("; `synckit conflicts` shows them, `sync --rules` settles them")?;
            }
        }
        for left in conflicts.open.iter().filter(|left| left.failed) {
            let (aggregate, reason) = (text::plain(left.aggregate.as_str()), left.reason.as_deref());
            write!(f, "\n  {aggregate}: {}", text::plain(reason.unwrap_or("the resolver failed")))?;
        }
        if report.mended > 0 {
            let mended = text::count(report.mended, "damaged row");
            write!(f, "\n{mended} of the local log replaced by good copies")?;
        }
        let recovery = &report.recovery;
        if recovery.peer_was_reset {
            write!(f, "\nthe hub had lost events; everything it lacked was offered again")?;
        }
        if let Some(why) = recovery.renewed {
            f.write_str(match why {
                Renewal::CopyInUse => "\nanother copy of this database is in use",
                Renewal::NameTaken => "\nthe name of this replica belongs to another device",
                _ => {
                    "\nthis replica was set back to an older copy, or another copy of this database is in use"
                }
            })?;
        }
        if let Some(name) = &recovery.renamed_to {
            write!(f, "\nit goes on as {}", text::plain(name.as_str()))?;
        }
        if recovery.renumbered > 0 {
            let moved = text::count(recovery.renumbered, "event");
            write!(f, "\n{moved} that nobody else had got another number or the right time")?;
        }
        if recovery.copy_in_use {
            write!(f, "\nanother copy of this database is in use; `synckit doctor` says what to do")?;
        }
        if recovery.taken_back > 0 {
            let back = text::count(recovery.taken_back, "event");
            write!(f, "\n{back} of this replica that were lost here came back from the hub")?;
        }
        if report.refused_count > 0 {
            write!(f, "\nrefused: {}; `synckit refused` lists them", text::number(report.refused_count))?;
        }
        for refusal in &report.refused {
            let by = match refusal.by {
                RefusedBy::Peer => "by the hub",
                RefusedBy::Here => "here",
            };
            let (id, why) = (text::plain(&refusal.id), text::plain(&refusal.message));
            write!(f, "\n  {id}  {} {by}: {why}", refusal.code)?;
        }
        if let Some(warning) = clock::apart(peer, report.clock_skew_millis) {
            write!(f, "\n{warning}")?;
        }
        let requests = text::count(report.round_trips, "request");
        let [sent, received] = [report.bytes_sent, report.bytes_received].map(text::bytes);
        let seconds = report.duration.as_secs_f64();
        write!(f, "\n{requests}, {sent} sent, {received} received, {seconds:.2} s")
    }
}
