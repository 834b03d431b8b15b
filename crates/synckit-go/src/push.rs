//! `/push`: stores what can be stored, and reports what cannot.

use std::collections::{HashMap, HashSet};
use std::sync::PoisonError;

use bytes::Bytes;
use synckit_core::{
    AggregateId, Error, ErrorKind, EventId, EventStore, Needs, NodeId, Position, Query, Refused, RefusedCode,
    Result,
};
use synckit_net::offload;
use synckit_plan::{Adopt, Adoptee};
use synckit_wire::WireLimits;

use crate::client::{Contact, Follows, Record, Rows, Sight};
use crate::form::{Pushed, Unstored, read};
use crate::large::Part;
use crate::same_content::same_content;
use crate::{Client, GoRoutes, REMEMBERED, entropy, now};

/// Events whose id is held with other content, by aggregate and id, each with the digest of its own content.
type Doubtful = HashMap<AggregateId, HashMap<EventId, Vec<([u8; 32], Pushed)>>>;

/// The most reasons that one answer names.
const REASONS: usize = 10;

impl GoRoutes {
    pub(super) async fn push(&self, client: &Client, body: Bytes) -> Result<Vec<u8>> {
        if body.iter().all(u8::is_ascii_whitespace) {
            return Err(Error::invalid("empty request body"));
        }
        let limits = WireLimits { limits: self.0.limits, ..WireLimits::default() };
        let (events, mut refused) = offload(body.len(), move || read(&body, &limits)).await?;
        let total = events.len() + refused.len();
        match client {
            Client::Named(author) => self.take(author, events, &mut refused).await?,
            Client::Reader => refused.extend(events.iter().map(reads_only)),
        }
        if refused.is_empty() {
            return Ok(b"{\"status\":\"ok\"}\n".to_vec());
        }
        refused.sort_by_key(|(index, _)| *index);
        let error = reasons(&refused, total);
        tracing::warn!(
            client = %client, %error,
            "an old client is stuck: it pushes nothing after a refused event, until that is corrected or deleted in its table"
        );
        Err(error)
    }

    /// Stores the events of a push that fit.
    pub(super) async fn push_part(&self, client: &Client, part: Part) -> Result<Vec<u8>> {
        if part.count > 0 {
            self.push(client, part.events.clone()).await?;
        }
        let error = part.error();
        tracing::warn!(client = %client, event = part.first_left_out(), %error, "an old client is stuck: it sends too much at a time");
        Err(error)
    }

    /// Stores what can be stored, and records what the client holds according to the push.
    async fn take(&self, author: &NodeId, events: Vec<Pushed>, refused: &mut Unstored) -> Result<()> {
        let mut contacts = self.0.contacts.lock().await;
        let contact = contacts.entry(author.clone()).or_default();
        let mut record = Record::open(&self.0.store, author).await?;
        let rows = Rows::of(&events);
        let mut follows = rows.follow(record.known.shown.as_ref(), contact.pushed);
        if follows == Follows::Replaced {
            tracing::warn!(client = %author, "the table of an old client is another than before; the hub asks for all of it");
            *contact = Contact::default();
            record.start_over(false).await?;
            follows = rows.follow(None, None);
        }
        let (fresh, shown) = self.take_known(events, refused).await?;
        record.read(shown.keys().copied()).await?;
        let adopted = self.adopt(&mut record, &shown, fresh, refused).await?;
        record.read(adopted.iter().copied()).await?;
        adopted.into_iter().chain(shown.into_keys()).for_each(|place| record.add(place));
        record.known.pushed |= follows != Follows::Apart;
        if follows == Follows::On {
            let stored = refused.iter().map(|(index, _)| *index).min().unwrap_or(usize::MAX);
            if let Some(row) = rows.before(stored).filter(|row| row.number >= record.known.shown_rows()) {
                contact.pushed = Some(row.number);
                record.known.shown = Some(row);
            }
        }
        record.save().await
    }

    /// Returns the events that are not in the log yet, and the places of those that are, each with its index in the
    /// push. Refuses those that are there with other content.
    async fn take_known(
        &self,
        events: Vec<Pushed>,
        refused: &mut Unstored,
    ) -> Result<(Vec<Pushed>, HashMap<Position, usize>)> {
        let ids = events.iter().map(|pushed| pushed.id.clone()).collect();
        let facts = self.0.store.facts(Needs { ids, ..Needs::default() }).await?;
        let (mut fresh, mut shown, mut doubtful) = (Vec::new(), HashMap::new(), Doubtful::new());
        for pushed in events {
            let content = pushed.event.content_digest(&pushed.id);
            match facts.held.get(&pushed.id) {
                None => match facts.damaged.get(&pushed.id) {
                    Some(position) => {
                        shown.entry(*position).or_insert(pushed.index);
                    }
                    None => fresh.push(pushed),
                },
                Some(held)
                    if held.content == content || self.with_alike(|alike| alike.contains(&content)) =>
                {
                    shown.entry(held.position).or_insert(pushed.index);
                }
                Some(_) => {
                    let group = doubtful.entry(pushed.event.aggregate_id.clone()).or_default();
                    group.entry(pushed.id.clone()).or_default().push((content, pushed));
                }
            }
        }
        for (aggregate, mut group) in doubtful {
            let mut query = Query::after(0).of_aggregate(aggregate);
            loop {
                let page = self.0.store.read(query.clone()).await?;
                for stored in page.events {
                    for (content, pushed) in group.remove(&stored.event.id).unwrap_or_default() {
                        if same_content(&stored.event, &pushed.event) {
                            self.with_alike(|alike| alike.insert(content));
                            shown.entry(stored.position).or_insert(pushed.index);
                        } else {
                            refused.push(taken(&pushed));
                        }
                    }
                }
                query.after = page.scanned_to;
                if !page.more || group.is_empty() {
                    break;
                }
            }
            refused.extend(group.into_values().flatten().map(|(_, pushed)| taken(&pushed)));
        }
        Ok((fresh, shown))
    }

    fn with_alike<T>(&self, act: impl FnOnce(&mut HashSet<[u8; 32]>) -> T) -> T {
        let mut alike = self.0.alike.lock().unwrap_or_else(PoisonError::into_inner);
        if alike.len() > REMEMBERED {
            alike.clear();
        }
        act(&mut alike)
    }

    /// Stamps and stores the new events, and returns their places.
    async fn adopt(
        &self,
        record: &mut Record<'_>,
        shown: &HashMap<Position, usize>,
        fresh: Vec<Pushed>,
        refused: &mut Unstored,
    ) -> Result<Vec<Position>> {
        let aggregates = fresh.iter().map(|pushed| pushed.event.aggregate_id.clone()).collect();
        let mut sight = Sight::read(record, aggregates, shown).await?;
        let (mut adoptees, mut indexes) = (Vec::with_capacity(fresh.len()), HashMap::new());
        for Pushed { index, id, event, .. } in fresh {
            let seen = sight.before(&event.aggregate_id, index)?;
            indexes.entry(id.to_string()).or_insert(index);
            adoptees.push(Adoptee { id, event, seen });
        }
        let source = Adopt::source(record.author, self.0.store.head().await?.store);
        let most = self.0.limits.batch_events.max(1);
        let mut places = Vec::with_capacity(adoptees.len());
        while !adoptees.is_empty() {
            let rest = adoptees.split_off(adoptees.len().min(most));
            let adopt = Adopt {
                author: record.author.clone(),
                source,
                events: adoptees,
                now: now(),
                limits: self.0.limits,
                entropy: entropy()?,
            };
            let adopted = self.0.store.commit(adopt).await?;
            places.extend(adopted.head - adopted.events.len() as Position + 1..=adopted.head);
            // Of events with one id, the place of the first: the client is held to have pushed what is before it.
            refused.extend(adopted.refused.into_iter().map(|one| (indexes[&one.id], one)));
            adoptees = rest;
        }
        Ok(places)
    }
}

fn reads_only(pushed: &Pushed) -> (usize, Refused) {
    let message = "a client without a name only reads; give this one an address of its own, such as \
                   http://HUB/clients/NAME, or let it only pull";
    refused(pushed, RefusedCode::Invalid, message)
}

fn taken(pushed: &Pushed) -> (usize, Refused) {
    refused(pushed, RefusedCode::IdTaken, "the id already names an event with other content")
}

fn refused(pushed: &Pushed, code: RefusedCode, message: &str) -> (usize, Refused) {
    (pushed.index, Refused { id: pushed.id.to_string(), code, message: message.to_owned() })
}

/// Returns the error for a push of which not everything is stored.
fn reasons(refused: &[(usize, Refused)], total: usize) -> Error {
    let all = |code| refused.iter().all(|(_, one)| one.code == code);
    let kind = match () {
        () if all(RefusedCode::IdTaken) => ErrorKind::Conflict,
        () if all(RefusedCode::TooLarge) => ErrorKind::TooLarge,
        () => ErrorKind::Invalid,
    };
    let told = refused
        .iter()
        .map(|(index, one)| format!("event {index} {:?}: {}", one.id, one.message))
        .take(REASONS);
    let told: Vec<String> = told.collect();
    let more = refused.len().saturating_sub(REASONS);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    let message = format!(
        "{} of {total} events cannot be stored, the others are: {}{more}",
        refused.len(),
        told.join("; ")
    );
    Error::new(kind, message)
}
