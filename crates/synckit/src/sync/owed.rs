//! What a peer still owes: places in its log that it could not read, events that could not be read here when they came,
//! and those whose rows are damaged here since. All are requested again at the next sync.

use synckit_core::{
    ErrorKind, EventId, EventStore, Filter, Needs, Note, Result, Scope, Transport, Unreadable,
};
use synckit_plan::notes::{self, Gap};

use crate::damage::gap_in;
use crate::sync::peer::Peer;
use crate::sync::session::Session;

/// The maximum number of places that are requested again in one sync, each with a call.
const MOST: usize = 100;

impl<S: EventStore, T: Transport> Session<'_, S, T> {
    /// Requests again what is owed. What still cannot be read stays owed if it is the peer that cannot read it.
    pub(super) async fn collect(&mut self, peer: &mut Peer) -> Result<()> {
        let gaps = notes::gaps(peer.store);
        let owed = std::mem::take(&mut peer.owed);
        let (damaged, owed): (Vec<Note>, Vec<Note>) =
            owed.into_iter().partition(|note| note.key.starts_with(notes::DAMAGED));
        self.fetch_damaged(peer, &damaged).await?;
        let (places, events): (Vec<Note>, Vec<Note>) =
            owed.into_iter().partition(|note| note.key.starts_with(&gaps));
        for (number, note) in places.into_iter().enumerate() {
            let gap: Gap = note.parse()?;
            let said = peer.said_to_hold(gap.after.as_ref());
            let request = self.request(peer, gap.after, Scope::Others);
            let page = match number < MOST {
                true => self.calls.pull(request, 1).await.map(Some),
                false => Ok(None),
            };
            match page {
                Ok(Some(page)) if page.unreadable.iter().all(|entry| gap_in(entry).is_none()) => {
                    let wanted = page.events.into_iter().filter(|event| self.settings.passes(event));
                    self.take(peer, wanted.collect(), vec![note.key]).await?;
                }
                Ok(_) => self.report.gap(gap.position),
                // The peer's log is another one now, and is pulled from the beginning.
                Err(error) if error.kind() == ErrorKind::CursorUnknown && !said => {
                    self.edit(peer, Vec::new(), vec![note.key]).await?;
                }
                Err(error) => return Err(error),
            }
        }
        let id = |note: &Note| notes::fetched_again(&note.key).and_then(|id| EventId::new(id).ok());
        let ids: Vec<EventId> = events.iter().filter_map(id).collect();
        if ids.is_empty() {
            return Ok(());
        }
        // Another manager of this replica, with another filter, may be the one that needs them.
        self.fetch(peer, ids, Filter::new()).await?;
        self.edit(peer, Vec::new(), events.into_iter().map(|note| note.key).collect()).await
    }

    /// Fetches the events whose rows in the local log are damaged. Good copies replace the rows. A note stays until then,
    /// as another peer may have the event.
    async fn fetch_damaged(&mut self, peer: &Peer, noted: &[Note]) -> Result<()> {
        let id = |note: &Note| note.key.strip_prefix(notes::DAMAGED).and_then(|id| id.parse().ok());
        let mut ids: Vec<EventId> = noted.iter().filter_map(id).collect();
        if ids.is_empty() {
            return Ok(());
        }
        let needs = Needs { ids: ids.clone(), ..Needs::default() };
        let facts = self.facts_in(&peer.turn, needs).await?.ok_or_else(|| self.overtaken())?;
        let mended: Vec<String> =
            ids.iter().filter(|id| !facts.damaged.contains_key(*id)).map(notes::damaged).collect();
        if !mended.is_empty() {
            self.edit(peer, Vec::new(), mended).await?;
        }
        ids.retain(|id| facts.damaged.contains_key(id));
        self.fetch(peer, ids, Filter::new()).await.map(drop)
    }
}

/// Returns the note by which an event that could not be read is requested once more.
pub(super) fn once_more(peer: &Peer, unreadable: &Unreadable) -> Option<Note> {
    let id = EventId::new(&unreadable.id).ok()?;
    Some(Note { key: format!("{}{id}", notes::fetch_again(peer.store)), value: Vec::new() })
}
