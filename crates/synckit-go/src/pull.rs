//! `/pull` and `/pull-cursor`: the log in pages that these clients can take.

use serde::Deserialize;
use serde_json::value::RawValue;
use synckit_core::{Error, EventStore, Position, Query, Result, StoredEvent};
use synckit_net::offload;

use crate::client::{BASE, Contact, Record};
use crate::route::field;
use crate::{Client, GoRoutes, form};

/// The most events of one answer.
const EVENTS: usize = 1_000;

/// The most bytes of one answer, by the size of its events, at least one: a client reads at most 10 MiB, packed or not.
const BYTES: usize = 4 << 20;

/// The most bytes in the body of `/pull-cursor`.
const CURSOR_BYTES: usize = 64 << 10;

/// The most places of the log that one call looks through for what a client lacks.
const MOST: Position = 50_000;

/// What still fits into an answer.
struct Room {
    events: usize,
    bytes: usize,
    used: bool,
}

impl Room {
    fn new(events: usize) -> Self {
        Room { events, bytes: BYTES, used: false }
    }

    /// Takes room for an event, if there is any. The first always fits.
    fn take(&mut self, size: usize) -> bool {
        let fits = self.events > 0 && (size <= self.bytes || !self.used);
        if fits {
            (self.events, self.bytes, self.used) = (self.events - 1, self.bytes.saturating_sub(size), true);
        }
        fits
    }
}

impl GoRoutes {
    pub(super) async fn pull(&self, client: &Client, query: &str) -> Result<Vec<u8>> {
        let since = match field(query, "since").filter(|since| !since.is_empty()) {
            None => 0,
            Some(since) => since.parse().map_err(|_| {
                Error::invalid("invalid 'since' version: it is the number of the last event received")
            })?,
        };
        let events = self.page(client, since, EVENTS).await?;
        let base = client.base();
        offload(size(&events), move || Ok(array(&events, base))).await
    }

    pub(super) async fn pull_cursor(&self, client: &Client, body: &[u8]) -> Result<Vec<u8>> {
        if body.iter().all(u8::is_ascii_whitespace) {
            return Err(Error::invalid("empty request body"));
        }
        let (since, limit) = read_request(body)?;
        let events = self.page(client, since, limit).await?;
        let base = client.base();
        offload(size(&events), move || Ok(cursor_page("next", &events, base))).await
    }

    /// Returns the events to send to a client that asks for what comes after this number.
    async fn page(&self, client: &Client, since: u64, limit: usize) -> Result<Vec<StoredEvent>> {
        let author = match client {
            Client::Named(author) => author,
            Client::Reader => {
                let after = since.min(self.0.store.head().await?.position);
                return Ok(self.0.store.read(Query::after(after).at_most(limit, BYTES)).await?.events);
            }
        };
        let mut contacts = self.0.contacts.lock().await;
        let contact = contacts.entry(author.clone()).or_default();
        let mut record = Record::open(&self.0.store, author).await?;
        let events = match since.checked_sub(BASE) {
            Some(place) => kept(&mut record, place, limit).await?,
            None => rows(&mut record, contact, since, limit).await?,
        };
        record.save().await?;
        Ok(events)
    }
}

/// Returns what follows a place, to a client that keeps the numbers that it was given, and so confirms them.
async fn kept(record: &mut Record<'_>, place: Position, limit: usize) -> Result<Vec<StoredEvent>> {
    let known = place <= record.store.head().await?.position;
    if !known {
        tracing::warn!(client = %record.author, "an old client knows more of this log than it holds");
        record.start_over(true).await?;
    }
    let after = if known { place } else { 0 };
    record.add_upto(after);
    record.known.empty = true;
    let (events, _) = lacking(record, after, Position::MAX, &mut Room::new(limit)).await?;
    Ok(events)
}

/// Returns what a client lacks whose table ends with this row: what it was not sent yet, and then, as far as there is
/// room, what it was sent and certainly lacks, in the order of the log.
async fn rows(
    record: &mut Record<'_>,
    contact: &mut Contact,
    row: u64,
    limit: usize,
) -> Result<Vec<StoredEvent>> {
    if let Some(reason) = record.known.contradicts(row) {
        tracing::warn!(client = %record.author, reason, "an old client starts over");
        *contact = Contact::default();
        record.start_over(row == 0).await?;
    }
    record.known.rows = row;
    record.known.empty |= row == 0;
    if !record.known.is_met() {
        return Ok(Vec::new());
    }
    contact.go_on(record, row).await?;
    let (mut room, sent) = (Room::new(limit), record.known.sent);
    let (fresh, reached) = lacking(record, sent, Position::MAX, &mut room).await?;
    record.known.sent = reached;
    contact.sends(row, sent, fresh.iter().map(|stored| stored.position).collect());
    let (from, to) = contact.lacking(record);
    let (mut events, reached) = lacking(record, from, to, &mut room).await?;
    contact.sent_again(reached);
    events.extend(fresh);
    Ok(events)
}

/// Returns events that the client lacks, from one place of the log to another, and the place that was reached.
async fn lacking(
    record: &mut Record<'_>,
    from: Position,
    to: Position,
    room: &mut Room,
) -> Result<(Vec<StoredEvent>, Position)> {
    let (mut found, mut reached) = (Vec::new(), from);
    let to = to.min(from.saturating_add(MOST));
    while reached < to && room.events > 0 {
        let query = Query::after(reached).at_most(room.events, room.bytes.max(1));
        let page = record.store.read(query).await?;
        record.read(page.events.iter().map(|stored| stored.position)).await?;
        for stored in page.events {
            if stored.position > to {
                return Ok((found, to));
            }
            if record.lacks(&stored) {
                if !room.take(stored.event.size()) {
                    return Ok((found, reached));
                }
                reached = stored.position;
                found.push(stored);
            }
        }
        reached = page.scanned_to;
        if !page.more {
            break;
        }
    }
    Ok((found, reached))
}

impl Client {
    /// Returns what is added to a place in the log to get the number that a client is given.
    pub(super) fn base(&self) -> u64 {
        match self {
            Client::Named(_) => BASE,
            Client::Reader => 0,
        }
    }
}

fn size(events: &[StoredEvent]) -> usize {
    events.iter().map(|stored| stored.event.size()).sum()
}

#[derive(Deserialize)]
struct Request<'a> {
    #[serde(borrow, default)]
    since: Option<Cursor<'a>>,
    #[serde(default)]
    limit: Option<i64>,
}

#[derive(Deserialize)]
struct Cursor<'a> {
    kind: String,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

/// Reads the number and the limit of a request. Nothing that is read here nests without bound.
fn read_request(body: &[u8]) -> Result<(u64, usize)> {
    if body.len() > CURSOR_BYTES {
        return Err(Error::too_large("the request for a page is too large"));
    }
    let request: Request<'_> = serde_json::from_slice(body)
        .map_err(|error| Error::invalid(format!("invalid request body: {error}")))?;
    let limit = request
        .limit
        .and_then(|limit| usize::try_from(limit).ok())
        .filter(|limit| (1..=1_000).contains(limit));
    Ok((request.since.map_or(Ok(0), |cursor| cursor.number())?, limit.unwrap_or(200)))
}

impl Cursor<'_> {
    fn number(&self) -> Result<u64> {
        if self.kind != "integer" {
            return Err(Error::invalid("cursor kind not supported by this store: use \"integer\""));
        }
        let number = self.data.and_then(|data| data.get().parse().ok());
        number.ok_or_else(|| Error::invalid("bad cursor: its data is a number that is not negative"))
    }
}

/// Returns the number that a cursor in its wire form names.
pub(super) fn read_cursor(text: &str) -> Result<u64> {
    let cursor: Cursor<'_> =
        serde_json::from_str(text).map_err(|error| Error::invalid(format!("bad cursor: {error}")))?;
    cursor.number()
}

fn array(events: &[StoredEvent], base: u64) -> Vec<u8> {
    let mut out = vec![b'['];
    for (at, stored) in events.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        form::put(&mut out, &stored.event, base + stored.position);
    }
    out.push(b']');
    out
}

/// Returns events and the cursor after them, under this name; without events there is no cursor.
pub(super) fn cursor_page(next: &str, events: &[StoredEvent], base: u64) -> Vec<u8> {
    let mut out = b"{\"events\":".to_vec();
    out.append(&mut array(events, base));
    if let Some(last) = events.last() {
        let number = base + last.position;
        out.extend_from_slice(format!(",\"{next}\":{{\"kind\":\"integer\",\"data\":{number}}}").as_bytes());
    }
    out.push(b'}');
    out
}
