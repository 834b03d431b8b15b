//! `/pull` and `/pull-cursor`: the log in pages that these clients can take.

use std::collections::HashSet;

use serde::Deserialize;
use serde_json::value::RawValue;
use synckit_core::{Edit, Error, EventId, EventStore, Position, Query, Result, StoredEvent};
use synckit_net::offload;

use crate::client::{BASE, Known, Own};
use crate::route::field;
use crate::{Client, GoRoutes, form};

/// The most events of one answer.
const EVENTS: usize = 1_000;

/// The most bytes of one answer, by the size of its events, at least one: a client reads at most 10 MiB, packed or not.
const BYTES: usize = 4 << 20;

/// The most bytes in the body of `/pull-cursor`.
const CURSOR_BYTES: usize = 64 << 10;

/// The part of the log that is read for a client.
struct Reading {
    after: Position,
    /// The place from which on the client's own events are left out; `None` if they are not.
    except_own: Option<Position>,
    /// Other events that are left out, because the client has shown to hold them.
    held: HashSet<EventId>,
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
        let reading = match client.named {
            false => {
                let after = since.min(self.0.store.head().await?.position);
                Some(Reading { after, except_own: None, held: HashSet::new() })
            }
            true => self.reading(client, since).await?,
        };
        let Some(Reading { after, except_own, held }) = reading else { return Ok(Vec::new()) };
        let client = Own::load(&self.0.store, &client.author).await?;
        let (mut events, mut reached, mut bytes) = (Vec::new(), after, 0);
        loop {
            let query = Query::after(reached).at_most(limit - events.len(), BYTES - bytes);
            let leaves_out = except_own.is_some_and(|from| reached >= from);
            let query = if leaves_out { query.except_source(Some(client.source)) } else { query };
            let page = self.0.store.read(query).await?;
            reached = page.scanned_to;
            for stored in page.events {
                let own = except_own.is_some_and(|from| stored.position > from) && client.wrote(&stored);
                if own || held.contains(&stored.event.id) {
                    continue;
                }
                if !events.is_empty() && bytes + stored.event.size() > BYTES {
                    return Ok(events);
                }
                bytes += stored.event.size();
                events.push(stored);
            }
            if !page.more || events.len() >= limit || bytes >= BYTES {
                return Ok(events);
            }
        }
    }

    /// Returns what to send to a client with a name, by what is recorded about it and what it says. `None` when it is
    /// not known what it holds: it is sent nothing before it has pushed, since it accepts no event twice.
    async fn reading(&self, client: &Client, since: u64) -> Result<Option<Reading>> {
        let _turn = self.0.turn.lock().await;
        let before = Known::load(&self.0.store, &client.author).await?;
        let mut known = before.clone();
        let head = self.0.store.head().await?.position;
        let begin_again = |known: &mut Known, met| {
            *known = Known { upto: 0, lacks_own_to: head, rows: 0, met };
            self.with_heard(&client.author, |heard| heard.clear());
        };
        let mut after = None;
        match since.checked_sub(BASE) {
            // It keeps the numbers that it was given, and so confirms them.
            Some(place) if place <= head => {
                known.upto = known.upto.max(place);
                known.met = true;
                after = Some(place);
            }
            Some(_) => {
                tracing::warn!(client = %client.author, "an old client knows more of this log than it holds");
                begin_again(&mut known, true);
            }
            None if since == 0 => begin_again(&mut known, true),
            None if since < known.rows => {
                tracing::warn!(client = %client.author, "an old client's table is shorter than it was");
                begin_again(&mut known, false);
            }
            None => {}
        }
        if since < BASE {
            known.rows = since;
        }
        if known != before {
            let put = vec![known.note(&client.author)?];
            self.0.store.commit(Edit { put, delete: Vec::new() }).await?;
        }
        let after = after.unwrap_or(known.upto);
        let held = match since < BASE {
            true => self.with_heard(&client.author, |heard| heard.clone()),
            false => HashSet::new(),
        };
        Ok(known.met.then_some(Reading { after, except_own: Some(known.lacks_own_to), held }))
    }
}

impl Client {
    /// Returns what is added to a place in the log to get the number that a client is given.
    pub(super) fn base(&self) -> u64 {
        if self.named { BASE } else { 0 }
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
