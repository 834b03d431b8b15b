//! Whether everything in a store can be read, and fits together.

use std::fmt;

use serde::Serialize;
use synckit::{
    BoxStore, Error, EventStore, Position,
    conflict::Heads,
    plan::notes,
    store::{Facts, Needs, Page, StoredEvent},
};

use super::reading::{Read, Reading, is_damage};
use crate::text;

/// What is damaged, one entry for all positions in a row that have the same fault.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Damage {
    from: Position,
    to: Position,
    what: String,
}

/// What a look at the whole store has found.
#[derive(Debug, Default)]
pub(super) struct Checked {
    /// How many events could be read.
    pub(super) events: u64,
    pub(super) damage: Damages,
}

/// The maximum number of entries that are listed.
const LISTED: usize = 1_000;

/// Damage, in log order.
#[derive(Debug, Default, Serialize)]
#[serde(transparent)]
pub(super) struct Damages(Vec<Damage>);

impl Damages {
    pub(super) fn add(&mut self, position: Position, what: String) {
        let full = self.0.len() >= LISTED;
        match self.0.last_mut() {
            Some(last) if last.what == what && last.to + 1 >= position => last.to = position,
            _ if full => {}
            _ => self.0.push(Damage { from: position, to: position, what }),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Damage> {
        self.0.iter()
    }
}

impl Checked {
    /// Reads everything, and looks up every event in each index.
    pub(super) async fn of(store: &BoxStore) -> Result<Self, Error> {
        let mut checked = Checked::default();
        let mut reading = Reading::new(store).await?;
        while let Some(read) = reading.next(store).await? {
            match read {
                Read::Unreadable(position, error) => checked.damage.add(position, error.message().to_owned()),
                Read::Page { after, page } => checked.page(store, after, &page).await?,
            }
        }
        Ok(checked)
    }

    async fn page(&mut self, store: &BoxStore, after: Position, page: &Page) -> Result<(), Error> {
        self.events += page.events.len() as u64;
        let mut next = after + 1;
        for at in page.events.iter().map(|stored| stored.position).chain([page.scanned_to + 1]) {
            for missing in next..at {
                self.damage.add(missing, "the event is missing".to_owned());
            }
            next = at + 1;
        }
        match store.facts(needs(&page.events)).await {
            Ok(facts) => page.events.iter().for_each(|stored| self.event(stored, &facts)),
            // Asked one by one, it shows which of them it is.
            Err(error) if is_damage(&error) && page.events.len() > 1 => {
                for stored in &page.events {
                    match store.facts(needs(std::slice::from_ref(stored))).await {
                        Ok(facts) => self.event(stored, &facts),
                        Err(error) if is_damage(&error) => {
                            self.damage.add(stored.position, error.message().to_owned());
                        }
                        Err(error) => return Err(error),
                    }
                }
            }
            Err(error) if is_damage(&error) => {
                self.damage.add(page.scanned_to, error.message().to_owned());
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn event(&mut self, stored: &StoredEvent, facts: &Facts) {
        let StoredEvent { position, event, .. } = stored;
        let mut wrong = |what: &str| self.damage.add(*position, what.to_owned());
        match facts.held.get(&event.id) {
            None => wrong("the event is not found by its id"),
            Some(held) if held.position != *position => wrong("another event is found by its id"),
            Some(held) if held.digest != event.digest() => wrong("the event is not what was written"),
            Some(_) => {}
        }
        if event.dot.as_ref().is_some_and(|dot| facts.dots.get(dot) != Some(&event.id)) {
            wrong("the event is not found by its dot");
        }
        if event.check_stamp().is_err() {
            wrong("the stamp of the event makes no sense");
        }
        match facts.note(&notes::heads(&event.aggregate_id)).map(Heads::decode) {
            None => wrong("the heads of its aggregate are missing"),
            Some(Err(_)) => wrong("the heads of its aggregate cannot be read"),
            Some(Ok(_)) => {}
        }
    }
}

fn needs(events: &[StoredEvent]) -> Needs {
    let events = || events.iter().map(|stored| &stored.event);
    let mut aggregates: Vec<String> = events().map(|event| notes::heads(&event.aggregate_id)).collect();
    aggregates.sort_unstable();
    aggregates.dedup();
    Needs {
        ids: events().map(|event| event.id.clone()).collect(),
        dots: events().filter_map(|event| event.dot.clone()).collect(),
        notes: aggregates,
        ..Needs::default()
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Damage { from, to, what } = self;
        let what = text::plain(what);
        match from == to {
            true => write!(f, "at position {}: {what}", text::number(from)),
            false => write!(f, "at positions {} to {}: {what}", text::number(from), text::number(to)),
        }
    }
}
