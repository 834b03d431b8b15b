//! `synckit import`: many events from JSON lines. A bad line is reported and the others are still recorded.
//! `lines.rs` reads them, `told.rs` reports the bad ones.

mod lines;
mod told;

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use serde::de::DeserializeOwned;
use synckit::{BoxStore, Error, ErrorKind, Event, NewEvent, NodeId};

use crate::commands::{Replica, closing, replica, whole};
use crate::failure::{self, Exit, Failure};
use crate::output::{self, Output, Progress};
use crate::text;
use crate::waiting::{Often, saying};
use lines::{Batch, Lines};
use told::Bad;

/// Record many events from JSON lines
#[derive(Debug, clap::Args)]
#[command(after_help = "Each line is {\"type\", \"aggregate_id\", \"data\", \"metadata\"?, \"id\"?}; \
    \"data_base64\" in place of \"data\" holds bytes.\n\n\
    Examples:\n  \
    synckit import --db a.db --node a notes.jsonl\n  \
    echo '{\"id\":\"e-1\",\"type\":\"NoteEdited\",\"aggregate_id\":\"note-1\",\"data\":{\"text\":\"hello\"}}' | \
    synckit import --db a.db\n\n\
    A line that cannot be recorded is reported on standard error with its number and the reason; all others are \
    recorded, and the exit code is 1 at the end. Lines with an id can be imported again and are recorded once; \
    without an id each import records new events.\n\n\
    With --exact each line is a whole event, as `synckit export` writes it: it keeps its author, its clock and its time, \
    and is checked as if a peer had sent it. It can be imported again:\n  \
    synckit export --db old.db | synckit import --db new.db --node b --exact")]
pub(crate) struct Args {
    #[command(flatten)]
    replica: Replica,

    /// The file; `-`, the default, is standard input
    #[arg(value_name = "FILE", default_value = "-")]
    file: PathBuf,

    /// Take in whole events with their stamps, as `synckit export` writes them, instead of recording them here
    #[arg(long)]
    exact: bool,
}

#[derive(Debug, Default, Serialize)]
struct Answer {
    lines: u64,
    recorded: usize,
    /// Lines whose event was recorded before.
    duplicates: usize,
    #[serde(flatten)]
    bad: Bad,
    /// Conflicts that were found in what was taken in.
    #[serde(skip_serializing_if = "Option::is_none")]
    conflicts: Option<usize>,
    /// The fresh name of this replica, where events were written under its name elsewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    renamed_to: Option<NodeId>,
}

pub(crate) async fn run(args: Args, output: &mut Output) -> Result<Exit, Failure> {
    // A file that cannot be read must not create a replica.
    let (input, size) = open(&args.file)?;
    let store = args.replica.open().await?;
    let bar = bar(size);
    let progress = output.progress();
    let imported = match args.exact {
        false => {
            import(Lines::<NewEvent>::new(input), &bar, progress, async |answer, events| {
                answer.record(&store, &bar, events).await
            })
            .await
        }
        true => {
            import(Lines::<Event>::new(input), &bar, progress, async |answer, events| {
                answer.take(&store, &bar, events).await
            })
            .await
        }
    };
    bar.finish_and_clear();
    let answer = closing(&store, imported).await?;
    answer.bad.tell_rest();
    if answer.bad.has(STAMPED) {
        output::message("hint: `synckit import --exact` takes whole events, as `synckit export` writes them");
    }
    output.answer(&answer)?;
    Ok(if answer.bad.count > 0 { Exit::Failed } else { Exit::Done })
}

/// How far an import has come.
#[derive(Serialize)]
struct Now {
    lines: u64,
    recorded: usize,
}

impl fmt::Display for Now {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} read, {} recorded", text::count(self.lines, "line"), text::number(self.recorded))
    }
}

/// How the reason begins for which an event with a stamp is not recorded.
const STAMPED: &str = "a new event has no dot";

fn open(path: &Path) -> Result<(Box<dyn Read + Send>, Option<u64>), Failure> {
    if path == Path::new("-") {
        return Ok((Box::new(io::stdin()), None));
    }
    let opened = File::open(path).and_then(|file| file.metadata().map(|about| (file, about)));
    let (file, about) = opened.map_err(|error| cannot_read(path, error))?;
    if about.is_dir() {
        return Err(cannot_read(path, io::Error::from(io::ErrorKind::IsADirectory)));
    }
    Ok((Box::new(file), about.is_file().then_some(about.len())))
}

fn cannot_read(path: &Path, source: io::Error) -> Failure {
    let kind = match source.kind() {
        io::ErrorKind::NotFound => ErrorKind::NotFound,
        io::ErrorKind::PermissionDenied => ErrorKind::Denied,
        _ => ErrorKind::Invalid,
    };
    let error = Error::new(kind, "the input cannot be read").with("file", path.display());
    error.with_source(source).into()
}

/// Creates the progress bar, which is shown on a terminal only.
fn bar(size: Option<u64>) -> ProgressBar {
    let (bar, template) = match size {
        Some(size) => (ProgressBar::new(size), "{wide_bar} {bytes}/{total_bytes}  {msg}  {eta}"),
        None => (ProgressBar::new_spinner(), "{spinner} {bytes}  {msg}  {elapsed}"),
    };
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// Reads the lines batch by batch, and takes in each batch.
async fn import<T: DeserializeOwned + Send + 'static>(
    mut lines: Lines<T>,
    bar: &ProgressBar,
    progress: Progress,
    mut take: impl AsyncFnMut(&mut Answer, Vec<(u64, T)>) -> Result<(), Failure>,
) -> Result<Answer, Failure> {
    let (mut answer, mut often) = (Answer::default(), Often::default());
    loop {
        let next = tokio::task::spawn_blocking(move || lines.next_batch().map(|batch| (lines, batch)));
        let read = match answer.lines {
            0 => saying("the first line of the input", next).await,
            _ => next.await,
        };
        let read = read.map_err(|error| failure::system("reading broke off", io::Error::other(error)))?;
        let (rest, batch) = read.map_err(|error| failure::system("the input cannot be read", error))?;
        lines = rest;
        let Batch { events, bad, bytes, last_line, end } = batch;
        bad.into_iter().for_each(|(line, reason)| answer.bad.add(bar, line, reason));
        take(&mut answer, events).await.map_err(|failure| {
            failure.hint(format!(
                "{} before line {last_line} are recorded; lines with ids can be imported again safely",
                text::count(answer.recorded, "event")
            ))
        })?;
        answer.lines = last_line;
        bar.inc(bytes);
        let now = Now { lines: answer.lines, recorded: answer.recorded };
        bar.set_message(now.to_string());
        if often.is_due() {
            progress.tell(&now);
        }
        if end {
            return Ok(answer);
        }
    }
}

impl Answer {
    /// Records the events of a batch in one commit. If one of them fails, it records in halves, until that one is
    /// alone.
    async fn record(
        &mut self,
        store: &BoxStore,
        bar: &ProgressBar,
        events: Vec<(u64, NewEvent)>,
    ) -> Result<(), Failure> {
        let replica = replica(store);
        let mut parts = vec![events];
        while let Some(mut part) = parts.pop() {
            if part.is_empty() {
                continue;
            }
            match replica.record(part.iter().map(|(_, event)| event.clone())).await {
                Ok(recorded) => {
                    self.recorded += recorded.events.len();
                    self.duplicates += recorded.duplicates.len();
                }
                Err(error) if is_about_an_event(&error) => match part.as_slice() {
                    [(line, _)] => self.bad.add(bar, *line, reason(&error)),
                    _ => {
                        let right = part.split_off(part.len() / 2);
                        parts.push(right);
                        parts.push(part);
                    }
                },
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Takes in the events of a batch as they are, in one commit.
    async fn take(
        &mut self,
        store: &BoxStore,
        bar: &ProgressBar,
        events: Vec<(u64, Event)>,
    ) -> Result<(), Failure> {
        // Of lines with one id, the first may be stored and the last is refused.
        let lines: HashMap<_, _> = events.iter().map(|(line, event)| (event.id.to_string(), *line)).collect();
        let events = events.into_iter().map(|(_, event)| event).collect();
        let received = whole::take(store, events).await?;
        self.recorded += received.accepted;
        self.duplicates += received.duplicates;
        *self.conflicts.get_or_insert_default() += received.conflicts.len();
        self.renamed_to = received.renewed.or(self.renamed_to.take());
        for refused in received.refused {
            self.bad.add(bar, lines[&refused.id], format!("{} (id: {})", refused.message, refused.id));
        }
        Ok(())
    }
}

fn is_about_an_event(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Invalid | ErrorKind::TooLarge | ErrorKind::Conflict)
}

/// Returns what is wrong with the only event of a batch: its place in the batch and the file add nothing.
fn reason(error: &Error) -> String {
    let id = error.context().iter().find(|(key, _)| *key == "id");
    match id {
        Some((_, id)) => format!("{} (id: {id})", error.message()),
        None => error.message().to_owned(),
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} recorded", text::count(self.recorded, "event"))?;
        if self.duplicates > 0 {
            write!(f, ", {} known already", text::number(self.duplicates))?;
        }
        if self.bad.count > 0 {
            write!(f, ", {} left out", text::count(self.bad.count, "bad line"))?;
        }
        if let Some(found) = self.conflicts.filter(|found| *found > 0) {
            write!(f, "\n{} found; `synckit conflicts` shows them", text::count(found, "conflict"))?;
        }
        if let Some(name) = &self.renamed_to {
            let name = text::plain(name.as_str());
            write!(f, "\nsome were written under the name of this replica; it goes on as {name}")?;
        }
        Ok(())
    }
}
