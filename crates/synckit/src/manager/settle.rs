//! Settling conflicts: every one that is listed, whichever sync or push has found it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use synckit_core::notes;
use synckit_core::plan::Receive;
use synckit_core::{
    AggregateId, Answer, Conflict, Error, ErrorKind, Event, EventStore, NoteQuery, Result, Transport,
};

use crate::manager::session::Session;
use crate::sugar::StoreExt;

/// How many conflicts are looked at before their resolutions are committed.
const BATCH: usize = 500;

impl<S: EventStore, T: Transport> Session<'_, S, T> {
    pub(super) async fn settle(&mut self) -> Result<()> {
        let mut after = String::new();
        loop {
            let prefix = notes::CONFLICTS.to_owned();
            let listed = self.store.notes(NoteQuery::Prefix { prefix, after, limit: BATCH }).await?;
            let Some(last) = listed.last() else { return Ok(()) };
            after = last.key.clone();
            let mut resolutions = Vec::with_capacity(listed.len());
            for note in &listed {
                let aggregate = AggregateId::new(&note.key[notes::CONFLICTS.len()..])?;
                match self.resolve(&aggregate).await {
                    Ok(Some(resolution)) => resolutions.push(resolution),
                    Ok(None) => self.report.conflicts.left += 1,
                    Err(error) => {
                        tracing::warn!(%aggregate, %error, "a conflict could not be settled and stays listed");
                        self.report.conflicts.left += 1;
                    }
                }
            }
            if resolutions.is_empty() {
                continue;
            }
            // A resolution has seen all heads. Where another event came meanwhile, the conflict stays listed.
            let now = self.settings.environment.now();
            let receive = Receive::new(None, resolutions, now, self.settings.limits);
            let received = self.store.commit_receive(receive).await?;
            self.report.conflicts.settled += received.accepted;
            self.report.conflicts.left += received.refused.len();
        }
    }

    async fn resolve(&self, aggregate: &AggregateId) -> Result<Option<Event>> {
        let history = self.store.events_of(aggregate).await?;
        let Some(conflict) = Conflict::in_history(&history)? else { return Ok(None) };
        let resolver = &*self.settings.resolver;
        let answer: Answer =
            catch_unwind(AssertUnwindSafe(|| resolver.resolve(&conflict))).map_err(|_| {
                Error::new(ErrorKind::Internal, "the resolver panicked").with("resolver", resolver.name())
            })??;
        conflict.settle(answer, resolver.name())
    }
}
