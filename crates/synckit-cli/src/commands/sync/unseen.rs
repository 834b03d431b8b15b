//! What a sync does with conflicts when nobody has chosen how they are settled.
//!
//! Others may have rules by which a conflict is left for a person. So without rules only those conflicts are settled that
//! nobody else can have seen: one side has an event that was recorded here and not given to anybody before this sync.

use synckit::{
    BoxStore, Conflict, ConflictResolver, Dot, Error, EventStore, LastWriteWins, NodeId, Position, Result,
    conflict::{Answer, Ruling},
    plan::notes::{self, Latest},
    store::{Needs, StoreExt},
};

/// Lets the latest edit stand where nobody else has seen the conflict, and leaves it for review otherwise.
#[derive(Debug)]
pub(super) struct Unseen {
    /// The first event of this replica that nobody else has; later ones are not handed out either.
    first: Option<Dot>,
}

impl Unseen {
    /// Finds out what was not handed out yet, by a few lookups however long the log is.
    pub(super) async fn of(store: &BoxStore) -> Result<Self> {
        let author = store.identity().await?.author;
        let handed = handed(store).await?;
        let Some(latest) = latest(store, &author).await? else { return Ok(Unseen { first: None }) };
        // Positions grow with counters. Up to `before` all were handed out, from `first` on none.
        let (mut before, mut first, mut asked) = (0, latest + 1, latest);
        while before + 1 < first {
            match position(store, Dot::new(author.clone(), asked)).await? {
                Some(position) if position > handed => first = asked,
                _ => before = asked,
            }
            asked = before + (first - before) / 2;
        }
        Ok(Unseen { first: (first <= latest).then(|| Dot::new(author, first)) })
    }
}

/// Returns the counter of the latest event under a name.
async fn latest(store: &BoxStore, author: &NodeId) -> Result<Option<u64>> {
    let key = notes::origin(author);
    let Some(note) = store.note(key.clone()).await? else { return Ok(None) };
    let text =
        str::from_utf8(&note.value).map_err(|_| Error::corrupt("a note cannot be read").with("key", key))?;
    Ok(Some(text.parse::<Latest>()?.counter))
}

/// Returns where the event with this dot is.
async fn position(store: &BoxStore, dot: Dot) -> Result<Option<Position>> {
    let facts = store.facts(Needs { dots: vec![dot.clone()], ..Needs::default() }).await?;
    let Some(id) = facts.dots.get(&dot) else { return Ok(None) };
    let facts = store.facts(Needs { ids: vec![id.clone()], ..Needs::default() }).await?;
    Ok(facts.held.get(id).map(|held| held.position))
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
