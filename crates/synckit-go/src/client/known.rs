//! The record that is kept about a client.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use synckit_core::{
    BoxStore, EventStore, Former, Identity, NodeId, Note, NoteQuery, Position, Result, StoredEvent,
};
use synckit_plan::{StoreExt, notes};

use super::Row;

/// What is recorded about a client with a name, besides the places it holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Known {
    /// The place up to which it holds every event.
    pub(crate) upto: Position,
    /// The place up to which it was sent every event that it was not known to hold.
    pub(crate) sent: Position,
    /// The place up to which it may lack what it wrote itself, because it started over.
    pub(crate) lacks_own_to: Position,
    /// A row of its table. This log holds the events of all rows up to it.
    pub(crate) shown: Option<Row>,
    /// The last row that it named in a pull.
    pub(crate) rows: u64,
    /// Whether it has said that it holds nothing.
    pub(crate) empty: bool,
    /// Whether it has pushed.
    pub(crate) pushed: bool,
}

impl Known {
    pub(crate) async fn load(store: &BoxStore, author: &NodeId) -> Result<Known> {
        let found = store.notes(NoteQuery::Keys(vec![notes::client(author)])).await?;
        Ok(found.first().map(Note::parse).transpose()?.unwrap_or_default())
    }

    pub(crate) fn note(&self, author: &NodeId) -> Result<Note> {
        Note::json(notes::client(author), self)
    }

    /// Returns whether anything is known about what it holds. Until then it is sent nothing, since its table accepts no
    /// event twice.
    pub(crate) fn is_met(&self) -> bool {
        self.empty || self.pushed
    }

    /// Returns the number of the last row up to which this log holds everything, 0 if there is none.
    pub(crate) fn shown_rows(&self) -> u64 {
        self.shown.as_ref().map_or(0, |row| row.number)
    }

    /// Returns why a client that names this row has another table than before, if it has.
    pub(crate) fn contradicts(&self, row: u64) -> Option<&'static str> {
        let held = self.pushed || self.rows > 0 || self.upto > 0;
        match row {
            0 if held => Some("its table is empty"),
            _ if row < self.shown_rows() => Some("its table is shorter than it was"),
            _ => None,
        }
    }
}

/// The names under which events of a client are authored.
pub(crate) struct Own(HashSet<NodeId>);

impl Own {
    pub(crate) async fn load(store: &BoxStore, author: &NodeId) -> Result<Own> {
        Ok(Own::of(author, store.identity().await?))
    }

    fn of(author: &NodeId, mut hub: Identity) -> Own {
        let mut names = HashSet::from([hub.adopting(author)]);
        for Former { author: name, .. } in std::mem::take(&mut hub.former) {
            hub.author = name;
            names.insert(hub.adopting(author));
        }
        Own(names)
    }

    /// Returns whether the client wrote this event, even if a replica brought it back to a restored hub.
    pub(crate) fn wrote(&self, stored: &StoredEvent) -> bool {
        stored.event.dot.as_ref().is_some_and(|dot| self.0.contains(&dot.node))
    }
}

#[cfg(test)]
mod tests {
    use synckit_core::{Renewal, Secret, StoreId};

    use super::*;

    #[test]
    fn what_was_adopted_before_the_hub_took_another_name_is_still_the_clients_own() {
        let [ann, hub] = ["ann", "hub"].map(|name| NodeId::new(name).expect("valid"));
        let stores = [1, 2].map(|byte| StoreId::from_bytes([byte; 16]));
        let identity = Identity::new(hub, Secret::from_bytes([9; 16]));
        let identity = identity.renewed(stores[0], Renewal::SetBack, 0, 1);
        let identity = identity.renewed(stores[1], Renewal::Asked, 0, 2);
        let own = Own::of(&ann, identity);
        let names = ["ann", "ann~0000000001", "ann~0000000002"].map(|name| NodeId::new(name).expect("valid"));
        assert_eq!(own.0, HashSet::from(names));
    }

    #[test]
    fn a_table_is_another_if_it_lacks_rows_that_were_shown_or_is_empty_again() {
        let row = Row { number: 5, id: "e".parse().expect("valid") };
        let known = Known { shown: Some(row), rows: 9, pushed: true, ..Known::default() };
        let contradicts = [0, 4, 5, 6, 10].map(|row| known.contradicts(row).is_some());
        assert_eq!(contradicts, [true, true, false, false, false], "a row that was not shown may be deleted");
        let filters_all = Known { sent: 1_000, empty: true, ..Known::default() };
        assert!(filters_all.contradicts(0).is_none());
    }
}
