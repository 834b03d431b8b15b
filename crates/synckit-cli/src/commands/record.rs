//! `synckit record`: one event, given on the command line.

use std::fmt;
use std::io::{self, Read};

use serde::Serialize;
use synckit::{Data, Error, Event, EventId, Limits, Metadata, NewEvent, Position};

use crate::commands::{Replica, clock, closing, replica};
use crate::failure::{self, Exit, Failure};
use crate::output::Output;
use crate::text;
use crate::waiting::saying;

/// Record one event; no network is needed
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    synckit record --db a.db --node a --type NoteEdited --aggregate note-1 --data '{\"text\":\"hello\"}'\n  \
    synckit record --db a.db --type NoteEdited --aggregate note-1 --data - < note.json\n\n\
    The event is durable when the command ends. --node is needed for a new file only. With --id the same command \
    can be repeated and records once.")]
pub(crate) struct Args {
    #[command(flatten)]
    replica: Replica,

    /// What kind of fact it is, such as NoteEdited
    #[arg(long = "type", value_name = "TYPE")]
    event_type: String,

    /// What the fact is about, such as note-1
    #[arg(long, value_name = "ID")]
    aggregate: String,

    /// The payload, kept byte for byte; `-` reads it from standard input
    #[arg(long, value_name = "JSON", allow_negative_numbers = true)]
    data: String,

    /// A JSON object beside the payload
    #[arg(long, value_name = "JSON")]
    metadata: Option<String>,

    /// The event's id; a UUIDv7 by default
    #[arg(long, value_name = "ID")]
    id: Option<EventId>,
}

#[derive(Debug, Serialize)]
struct Answer {
    /// Whether the event had been recorded before.
    duplicate: bool,
    id: EventId,
    event: Option<Event>,
    head: Position,
    /// Whether it settles a conflict of the aggregate, because it was recorded on top of all sides.
    settles: bool,
    /// What is wrong with the clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    clock: Option<String>,
}

pub(crate) async fn run(args: Args, output: &mut Output) -> Result<Exit, Failure> {
    // An event that cannot be recorded must not create a file.
    let data = match args.data.as_str() {
        "-" => saying("the data on standard input", tokio::task::spawn_blocking(input)).await,
        text => Ok(Ok(text.to_owned())),
    };
    let broken = |error| failure::system("reading broke off", io::Error::other(error));
    let event = event(&args, data.map_err(broken)??)?;
    let store = args.replica.open().await?;
    let recorded = async {
        let waiting = "the store to be free: another process writes to it";
        let recorded = saying(waiting, replica(&store).record([event])).await?;
        Ok((recorded, clock::warning(&replica(&store).status().await?)))
    };
    let (recorded, clock) = closing(&store, recorded.await).await?;
    let duplicate = recorded.duplicates.into_iter().next();
    let event = recorded.events.into_iter().next();
    let id = duplicate.clone().or_else(|| event.as_ref().map(|event| event.id.clone()));
    let id = id.ok_or_else(|| Error::corrupt("the store recorded nothing"))?;
    let (head, settles) = (recorded.head, !recorded.settled.is_empty());
    output.answer(&Answer { duplicate: duplicate.is_some(), id, event, head, settles, clock })?;
    Ok(Exit::Done)
}

fn event(args: &Args, data: String) -> Result<NewEvent, Failure> {
    let data = Data::json(data).map_err(|error| {
        let failure = Failure::from(error.with("option", "--data"));
        match quoted(&args.data) {
            Some(quoted) => failure.hint(format!("text is JSON in quotes: --data '{quoted}'")),
            None => failure,
        }
    })?;
    let mut event = NewEvent::with_data(&args.event_type, &args.aggregate, data)?;
    if let Some(metadata) = &args.metadata {
        let metadata = Metadata::json(metadata).map_err(|error| {
            let example = r#"it is an object, such as --metadata '{"who":"ann"}'"#;
            Failure::from(error.with("option", "--metadata")).hint(example)
        })?;
        event = event.with_metadata(metadata);
    }
    Ok(match &args.id {
        Some(id) => event.with_id(id.clone()),
        None => event,
    })
}

/// Returns a text as JSON, if it looks like one that was meant as text.
fn quoted(text: &str) -> Option<String> {
    let plain = !text.starts_with(['{', '[', '"', '-']) && !text.contains(['\'', '\n']) && text.len() < 200;
    plain.then(|| serde_json::to_string(text).ok()).flatten()
}

/// Reads standard input, up to the maximum size of an event.
fn input() -> Result<String, Failure> {
    let limit = Limits::default().event_bytes;
    let mut text = String::new();
    io::stdin()
        .lock()
        .take(limit as u64 + 1)
        .read_to_string(&mut text)
        .map_err(|error| failure::system("standard input cannot be read as text", error))?;
    if text.len() > limit {
        return Err(Error::too_large(format!(
            "the data has more than {limit} bytes; an event cannot hold it"
        ))
        .into());
    }
    Ok(text)
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = text::plain(self.id.as_str());
        match self.event.as_ref().and_then(|event| event.dot.as_ref()) {
            Some(dot) => {
                let position = text::number(self.head);
                write!(f, "recorded {id} as {}, at position {position}", text::plain(&dot.to_string()))?;
            }
            None => write!(f, "{id} was recorded before, with the same content")?,
        }
        if let Some(event) = self.event.as_ref().filter(|_| self.settles) {
            let aggregate = text::plain(event.aggregate_id.as_str());
            write!(
                f,
                "\nit settles the conflict of {aggregate}, because it was recorded on top of all sides"
            )?;
        }
        self.clock.iter().try_for_each(|warning| write!(f, "\n{warning}"))
    }
}
