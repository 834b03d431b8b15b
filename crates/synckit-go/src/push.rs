//! `/push`: stores what can be stored, and reports what cannot.

use std::collections::{HashMap, HashSet};
use std::sync::PoisonError;

use bytes::Bytes;
use synckit_core::{
    AggregateId, Error, ErrorKind, EventId, EventStore, Needs, Note, Query, RefusalCode, Refused, Result,
};
use synckit_net::offload;
use synckit_plan::{Adopt, Adoptee, StoreExt};
use synckit_wire::WireLimits;

use crate::client::{Front, Known, Sight};
use crate::form::{Pushed, read};
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
        let _turn = self.0.turn.lock().await;
        // The client held every event before it wrote those that follow.
        let order: Vec<_> = events.iter().map(|pushed| (pushed.index, pushed.id.clone())).collect();
        let fresh = self.take_known(events, &mut refused).await?;
        self.adopt(client, &order, fresh, &mut refused).await?;
        if refused.is_empty() {
            return Ok(b"{\"status\":\"ok\"}\n".to_vec());
        }
        refused.sort_by_key(|one| one.index);
        Err(reasons(&refused, total))
    }

    /// Returns the events that are not held yet. Refuses those that are held with other content.
    async fn take_known(&self, events: Vec<Pushed>, refused: &mut Vec<Refused>) -> Result<Vec<Pushed>> {
        let ids = events.iter().map(|pushed| pushed.id.clone()).collect();
        let held = self.0.store.facts(Needs { ids, ..Needs::default() }).await?.held;
        let (mut fresh, mut doubtful) = (Vec::new(), Doubtful::new());
        for pushed in events {
            let content = pushed.event.content_digest(&pushed.id);
            match held.get(&pushed.id) {
                None => fresh.push(pushed),
                Some(held) if held.content == content => {}
                Some(_) if self.with_alike(|alike| alike.contains(&content)) => {}
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
        Ok(fresh)
    }

    fn with_alike<T>(&self, act: impl FnOnce(&mut HashSet<[u8; 32]>) -> T) -> T {
        let mut alike = self.0.alike.lock().unwrap_or_else(PoisonError::into_inner);
        if alike.len() > REMEMBERED {
            alike.clear();
        }
        act(&mut alike)
    }

    /// Stamps and stores the new events, and records what the client holds according to the push.
    async fn adopt(
        &self,
        client: &Client,
        order: &[(usize, EventId)],
        fresh: Vec<Pushed>,
        refused: &mut Vec<Refused>,
    ) -> Result<()> {
        let (places, known) = self.places(client, order).await?;
        let aggregates: HashSet<&AggregateId> =
            fresh.iter().map(|pushed| &pushed.event.aggregate_id).collect();
        let mut sight = Sight::read(&self.0.store, &client.author, aggregates, &places).await?;
        let place: HashMap<usize, u64> = order.iter().map(|(index, _)| *index).zip(places).collect();
        let mut adoptees = Vec::with_capacity(fresh.len());
        for Pushed { index, id, event } in fresh {
            let upto = place.get(&index).copied().unwrap_or(0);
            let seen = sight.upto(&event.aggregate_id, upto)?;
            adoptees.push((index, Adoptee { id, event, seen }));
        }
        let mut notes = known;
        if adoptees.is_empty() && !notes.is_empty() {
            return self.0.store.edit(notes, Vec::new()).await;
        }
        let source = Adopt::source(&client.author, self.0.store.head().await?.store);
        let most = self.0.limits.batch_events.max(1);
        while !adoptees.is_empty() {
            let rest = adoptees.split_off(adoptees.len().min(most));
            let (indexes, events): (Vec<usize>, Vec<Adoptee>) = adoptees.into_iter().unzip();
            let adopt = Adopt {
                author: client.author.clone(),
                source,
                events,
                now: now(),
                limits: self.0.limits,
                entropy: entropy()?,
                notes: if rest.is_empty() { std::mem::take(&mut notes) } else { Vec::new() },
            };
            let adopted = self.0.store.commit(adopt).await?;
            refused.extend(adopted.refused.into_iter().map(|one| {
                let index = indexes.get(one.index).copied().unwrap_or(one.index);
                Refused { index, ..one }
            }));
            adoptees = rest;
        }
        Ok(())
    }

    /// Returns the place of the log up to which the client held everything when it wrote each of these, and what to
    /// record.
    async fn places(&self, client: &Client, order: &[(usize, EventId)]) -> Result<(Vec<u64>, Vec<Note>)> {
        if !client.named {
            return Ok((vec![0; order.len()], Vec::new()));
        }
        let before = Known::load(&self.0.store, &client.author).await?;
        let mut front = Front::new(&self.0.store, &client.author, &before).await?;
        let mut held = self.with_heard(&client.author, std::mem::take);
        let mut places = Vec::with_capacity(order.len());
        front.advance(&held).await?;
        for (_, id) in order {
            held.insert(id.clone());
            front.advance(&held).await?;
            places.push(front.upto);
        }
        let known = Known { upto: front.upto, met: true, ..before.clone() };
        if !front.is_at_the_end() {
            self.with_heard(&client.author, |heard| *heard = held);
        }
        let notes = if known == before { Vec::new() } else { vec![known.note(&client.author)?] };
        Ok((places, notes))
    }
}

fn taken(pushed: &Pushed) -> Refused {
    let message = "the id already names an event with other content".to_owned();
    Refused { index: pushed.index, id: pushed.id.to_string(), code: RefusalCode::IdTaken, message }
}

/// Returns the error for a push of which not everything is stored.
fn reasons(refused: &[Refused], total: usize) -> Error {
    let all = |code| refused.iter().all(|one| one.code == code);
    let kind = match () {
        () if all(RefusalCode::IdTaken) => ErrorKind::Conflict,
        () if all(RefusalCode::TooLarge) => ErrorKind::TooLarge,
        () => ErrorKind::Invalid,
    };
    let told =
        refused.iter().take(REASONS).map(|one| format!("event {} {:?}: {}", one.index, one.id, one.message));
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
