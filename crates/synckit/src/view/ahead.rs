//! Reading the log before the view has come to it, in tasks of their own: what one has read is turned into events while
//! the store reads for the next, and both while the view takes in what came before.

use std::collections::VecDeque;

use synckit_core::{Error, ErrorKind, EventStore, Page, Position, Query, Result};
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use crate::damage::{DamagedRow, read_over};
use crate::replica::Replica;

/// The most events in a part.
const EVENTS: usize = 5_000;

/// Their most bytes.
const BYTES: usize = 4 << 20;

/// How many parts are read before the view comes to them.
const PARTS: usize = 2;

/// A part of the log. Its first row may be damaged, and is then all that it has.
pub(super) type Part = (Page, Option<DamagedRow>);

/// The parts that are being read, each with the place before it.
pub(super) struct Ahead<S> {
    replica: Replica<S>,
    /// The number of events that is asked for: so few that they are not too many bytes, or else nobody could say where a
    /// part will end.
    events: usize,
    parts: VecDeque<(Position, JoinSet<Result<Part>>)>,
}

impl<S: EventStore> Ahead<S> {
    pub(super) fn of(replica: &Replica<S>) -> Self {
        Ahead { replica: replica.clone(), events: EVENTS, parts: VecDeque::new() }
    }

    /// Returns the part after a place, and begins to read those that come after it, up to `until`.
    pub(super) async fn part(&mut self, after: Position, until: Position) -> Result<Part> {
        let reading = self.parts.pop_front().filter(|(at, _)| *at == after);
        let part = match reading {
            Some((_, mut task)) => {
                let stopped =
                    |error| Error::new(ErrorKind::Internal, "a task was stopped").with_source(error);
                task.join_next().await.expect("each part has a task").map_err(stopped)??
            }
            None => {
                self.parts.clear();
                read(&self.replica, after, self.events).await?
            }
        };
        self.fit(&part.0, after);
        // Outside a runtime, each part is read when it is asked for.
        let Ok(runtime) = Handle::try_current() else { return Ok(part) };
        // Positions have no gaps, so a part ends where it is expected to, if nothing in it is damaged.
        let step = self.events as Position;
        let mut next = self.parts.back().map_or(part.0.scanned_to, |(last, _)| last.saturating_add(step));
        while self.parts.len() < PARTS && next < until {
            let (replica, events, mut task) = (self.replica.clone(), self.events, JoinSet::new());
            task.spawn_on(async move { read(&replica, next, events).await }, &runtime);
            self.parts.push_back((next, task));
            next = next.saturating_add(step);
        }
        Ok(part)
    }

    /// Asks for fewer events if a part ended early because they are large.
    fn fit(&mut self, part: &Page, after: Position) {
        let came = part.events.len();
        let ended_early = part.more && part.scanned_to < after.saturating_add(self.events as Position);
        if ended_early && part.events.iter().map(|stored| stored.event.size()).sum::<usize>() > BYTES / 2 {
            self.events = (came / 2).max(1);
            self.parts.clear();
        }
    }
}

async fn read<S: EventStore>(replica: &Replica<S>, after: Position, events: usize) -> Result<Part> {
    read_over(replica.store(), Query::after(after).at_most(events, BYTES)).await
}
