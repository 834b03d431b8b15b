//! Settling conflicts: every one that is listed, whichever sync or push has found it.

use std::sync::Arc;

use futures_util::stream::{self, StreamExt};
use synckit_core::notes;
use synckit_core::plan::Receive;
use synckit_core::{
    AggregateId, Conflict, Error, ErrorKind, Event, EventStore, NoteQuery, Result, Ruling, Transport,
};

use crate::manager::session::Session;
use crate::sugar::StoreExt;

/// How many conflicts are looked at before their resolutions are committed.
const BATCH: usize = 500;

/// How many events the conflicts of a batch may have in all before it ends, so that its size is bounded by the largest
/// aggregate and not by the number of conflicts.
const BATCH_EVENTS: usize = 20_000;

/// How many histories are read at a time.
const READS: usize = 8;

/// What happens to a conflict.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum ConflictNotice<'a> {
    /// A rule has matched.
    RuleMatched {
        /// The conflict.
        conflict: &'a Conflict,
        /// The rule.
        rule: &'a str,
    },
    /// It is settled, and the resolution is durable.
    Settled {
        /// The aggregate.
        aggregate: &'a AggregateId,
        /// The resolution.
        resolution: &'a Event,
    },
    /// It is left for a person.
    Left {
        /// The aggregate.
        aggregate: &'a AggregateId,
        /// Why, as far as the resolver said.
        reason: Option<&'a str>,
    },
    /// It stays listed because the resolver, or what it answered, failed.
    Failed {
        /// The aggregate.
        aggregate: &'a AggregateId,
        /// How it failed.
        error: &'a Error,
    },
}

pub(crate) type ConflictHook = Arc<dyn Fn(&ConflictNotice<'_>) + Send + Sync>;

/// A resolution that is about to be committed, and who decided.
struct Decided {
    resolution: Event,
    by: String,
}

impl<S: EventStore, T: Transport> Session<'_, S, T> {
    pub(super) async fn settle(&mut self) -> Result<()> {
        let mut after = String::new();
        loop {
            let prefix = notes::CONFLICTS.to_owned();
            let listed = self.store.notes(NoteQuery::Prefix { prefix, after, limit: BATCH }).await?;
            let Some(last) = listed.last() else { return Ok(()) };
            after = last.key.clone();
            let mut aggregates = Vec::with_capacity(listed.len());
            for note in &listed {
                aggregates.push(AggregateId::new(&note.key[notes::CONFLICTS.len()..])?);
            }
            let store = self.store;
            let histories = stream::iter(aggregates).map(|aggregate| async move {
                let history = store.events_of(&aggregate).await;
                (aggregate, history)
            });
            let mut histories = std::pin::pin!(histories.buffered(READS));
            let (mut conflicts, mut events) = (Vec::new(), 0);
            while let Some((aggregate, history)) = histories.next().await {
                let history = history?;
                match Conflict::in_history(&history) {
                    Ok(Some(conflict)) => conflicts.push(conflict),
                    Ok(None) => {}
                    Err(error) => self.fail(aggregate, &error),
                }
                events += history.len();
                if events >= BATCH_EVENTS {
                    self.resolve(std::mem::take(&mut conflicts)).await?;
                    events = 0;
                }
            }
            self.resolve(conflicts).await?;
        }
    }

    async fn resolve(&mut self, conflicts: Vec<Conflict>) -> Result<()> {
        let resolving = &self.settings.resolving;
        let (conflicts, rulings) = resolving.ask(conflicts).await;
        let name = resolving.resolver.name();
        let mut decided = Vec::with_capacity(conflicts.len());
        for (conflict, ruling) in conflicts.iter().zip(rulings) {
            match self.write_down(conflict, ruling, name) {
                Ok(Some(resolution)) => decided.push(resolution),
                Ok(None) => {}
                Err(error) => self.fail(conflict.aggregate_id.clone(), &error),
            }
        }
        if decided.is_empty() {
            return Ok(());
        }
        // A resolution has seen all heads. Where another event came meanwhile, the conflict stays listed.
        let now = self.settings.environment.now();
        let resolutions = decided.iter().map(|decided| decided.resolution.clone()).collect();
        let receive = Receive::new(None, resolutions, now, self.settings.limits);
        let received = self.store.commit_receive(receive).await?;
        let mut refused = received.refused.into_iter().peekable();
        for (index, Decided { resolution, by }) in decided.into_iter().enumerate() {
            match refused.next_if(|refused| refused.index == index) {
                None => {
                    self.report.conflicts.settled += 1;
                    *self.report.conflicts.settled_by.entry(by).or_default() += 1;
                    let aggregate = &resolution.aggregate_id;
                    self.notify(&ConflictNotice::Settled { aggregate, resolution: &resolution });
                }
                Some(refused) => {
                    let error = Error::new(ErrorKind::Invalid, "the resolution could not be stored")
                        .with("code", refused.code)
                        .with("reason", refused.message);
                    self.fail(resolution.aggregate_id, &error);
                }
            }
        }
        Ok(())
    }

    fn write_down(
        &mut self,
        conflict: &Conflict,
        ruling: Result<Ruling>,
        name: &str,
    ) -> Result<Option<Decided>> {
        let ruling = ruling?;
        if let Some(rule) = &ruling.rule {
            self.notify(&ConflictNotice::RuleMatched { conflict, rule });
        }
        let (reason, by) = match &ruling.rule {
            Some(rule) => (ruling.reason.clone(), format!("{name}: {rule}")),
            None => (ruling.reason.clone(), name.to_owned()),
        };
        let resolution = conflict.settle(ruling, name)?;
        if resolution.is_none() {
            let aggregate = &conflict.aggregate_id;
            self.notify(&ConflictNotice::Left { aggregate, reason: reason.as_deref() });
            self.report.conflicts.leave(aggregate.clone(), false, reason);
        }
        Ok(resolution.map(|resolution| Decided { resolution, by }))
    }

    fn fail(&mut self, aggregate: AggregateId, error: &Error) {
        tracing::warn!(%aggregate, %error, "a conflict could not be settled and stays listed");
        self.notify(&ConflictNotice::Failed { aggregate: &aggregate, error });
        self.report.conflicts.leave(aggregate, true, Some(error.to_string()));
    }

    fn notify(&self, notice: &ConflictNotice<'_>) {
        if let Some(hook) = &self.settings.conflict_hook {
            hook(notice);
        }
    }
}
