//! What a plan puts and deletes.

use synckit_core::{Error, Event, Plan, Position, Result, StoredEvent};

use super::engine::{Batch, Snapshot, Tree};
use super::keys;
use super::log::Log;
use super::overlay::Overlay;
use crate::row::{self, Beside};

/// What a plan changes of a log, as this snapshot has it.
///
/// # Errors
/// `Corrupt` for a plan that replaces an event that is not there, or that takes an id or a dot that is not free.
pub(crate) fn apply(below: &impl Snapshot, plan: &Plan) -> Result<Batch> {
    let last = Log(below).last()?;
    let mut change = Change(Overlay::on(below));
    // All that is given up is free before any of it is taken.
    let freed = plan.replace.iter().map(|(position, event)| change.free(*position, event));
    let freed = freed.collect::<Result<Vec<_>>>()?;
    for ((position, event), beside) in plan.replace.iter().zip(freed) {
        change.put(*position, event, beside)?;
    }
    for position in plan.remark.map(|from| from.max(1)..=last).into_iter().flatten() {
        let mut row = Log(&change.0).row(position)?.as_ref().to_vec();
        row::remark(&mut row, plan.mark);
        change.0.batch.put(Tree::Events, keys::event(position), row);
    }
    for ((event, source), position) in plan.rows().zip(last + 1..) {
        change.put(position, event, Beside { mark: plan.mark, source })?;
        change.0.batch.put(Tree::Aggregates, keys::place(&event.aggregate_id, position), Vec::new());
    }
    let mut batch = change.0.batch;
    if plan.appends() > 0 {
        let last = last + plan.appends() as Position;
        batch.put(Tree::Notes, keys::LAST.to_vec(), last.to_be_bytes().to_vec());
    }
    for note in &plan.put {
        batch.put(Tree::Notes, keys::note(&note.key), note.value.clone());
    }
    for key in &plan.delete {
        batch.delete(Tree::Notes, keys::note(key));
    }
    Ok(batch)
}

struct Change<'s, S>(Overlay<'s, S>);

impl<S: Snapshot> Change<'_, S> {
    /// Takes id and dot from the event at a position, which another replaces; returns what stands beside it.
    fn free(&mut self, position: Position, with: &Event) -> Result<Beside> {
        let row = Log(&self.0).row(position)?;
        match row::decode(position, row.as_ref()) {
            Ok(StoredEvent { mark, source, event, .. }) => {
                self.0.batch.delete(Tree::Ids, keys::id(&event.id));
                if let Some(dot) = &event.dot {
                    self.0.batch.delete(Tree::Dots, keys::dot(dot));
                }
                Ok(Beside { mark, source })
            }
            Err(_) => {
                let beside = row::beside(position, row.as_ref())?;
                self.free_damaged(position)?;
                self.0.batch.put(Tree::Aggregates, keys::place(&with.aggregate_id, position), Vec::new());
                Ok(beside)
            }
        }
    }

    /// Deletes all keys that lead to a damaged row, which does not say what they are.
    fn free_damaged(&mut self, position: Position) -> Result<()> {
        for tree in [Tree::Ids, Tree::Dots, Tree::Aggregates] {
            let mut keys = Vec::new();
            for entry in self.0.scan(tree, Vec::new()..vec![0xff; 2])? {
                let (key, value) = entry?;
                let place = if tree == Tree::Aggregates { key.as_ref() } else { value.as_ref() };
                if keys::position(place)? == position {
                    keys.push(key.as_ref().to_vec());
                }
            }
            keys.into_iter().for_each(|key| self.0.batch.delete(tree, key));
        }
        Ok(())
    }

    /// Puts an event at a position, under an id and a dot that are free.
    fn put(&mut self, position: Position, event: &Event, beside: Beside) -> Result<()> {
        self.0.batch.put(Tree::Events, keys::event(position), row::encode(event, beside.mark, beside.source));
        self.take(Tree::Ids, keys::id(&event.id), position, "an event is in the log already")?;
        match &event.dot {
            Some(dot) => self.take(Tree::Dots, keys::dot(dot), position, "a dot names another event already"),
            None => Ok(()),
        }
    }

    fn take(&mut self, tree: Tree, key: Vec<u8>, position: Position, taken: &str) -> Result<()> {
        match self.0.take(tree, key, position.to_be_bytes().to_vec())? {
            true => Ok(()),
            false => Err(Error::corrupt(taken).with("position", position)),
        }
    }
}
