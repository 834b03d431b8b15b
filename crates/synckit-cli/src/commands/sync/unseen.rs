//! What a sync does with conflicts when nobody has chosen how they are settled.
//!
//! Others may have rules by which a conflict is left for a person. So without rules only those conflicts are settled that
//! nobody else can have seen: one side has an event that was recorded here and not given to anybody before this sync.

use synckit::{
    BoxStore, Conflict, ConflictResolver, Dot, EventStore, LastWriteWins, Position, Result,
    conflict::{Answer, Ruling},
    plan::notes,
    store::{Query, StoreExt},
};

/// Lets the latest edit stand where nobody else has seen the conflict, and leaves it for review otherwise.
#[derive(Debug)]
pub(super) struct Unseen {
    /// The first event of this replica that nobody else has; later ones are not handed out either.
    first: Option<Dot>,
}

impl Unseen {
    /// Finds out what was not handed out yet.
    pub(super) async fn of(store: &BoxStore) -> Result<Self> {
        let author = store.identity().await?.author;
        let mut after = handed(store).await?;
        loop {
            let page = store.read(Query::after(after)).await?;
            let dots = page.events.into_iter().filter(|stored| stored.source.is_none());
            let first = dots.filter_map(|stored| stored.event.dot).find(|dot| dot.node == author);
            if first.is_some() || !page.more {
                return Ok(Unseen { first });
            }
            after = page.scanned_to;
        }
    }
}

/// Returns the position up to which events were given to anybody.
async fn handed(store: &BoxStore) -> Result<Position> {
    let note = store.note(notes::HANDED.to_owned()).await?;
    note.map_or(Ok(0), |note| note.parse())
}

impl ConflictResolver for Unseen {
    /// That of the resolver that decides, so that replicas which decide alike write the same event.
    fn name(&self) -> &str {
        LastWriteWins.name()
    }

    fn resolve(&self, conflict: &Conflict) -> Result<Ruling> {
        let is_unseen = |dot: &Dot| {
            self.first.as_ref().is_some_and(|first| dot.node == first.node && dot.counter >= first.counter)
        };
        let mut events = conflict.branches.iter().flat_map(|branch| &branch.events);
        match events.any(|event| event.dot.as_ref().is_some_and(is_unseen)) {
            true => LastWriteWins.resolve(conflict),
            false => Ok(Ruling::from(Answer::Review).because("others may have left it for a person")),
        }
    }
}
