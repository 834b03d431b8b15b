//! Settling conflicts: those that wait for a resolver, whichever sync or push found them.
//!
//! - this file: committing decisions, and reporting them
//! - `listed.rs`: which of the listed conflicts a pass hands to the resolver
//! - `batch.rs`: reading listed conflicts, and deciding them
//! - `resolving.rs`: calling a resolver with a time limit
//!
//! One batch is read while the previous one is decided and the one before that is committed.

mod batch;
mod listed;
mod resolving;

use std::collections::BTreeSet;
use std::pin::pin;

use synckit_core::{AggregateId, Cursor, Error, ErrorKind, Event, EventStore, NodeId, Position, Result};
use synckit_plan::{Asked, Received, Recount};
use tokio::sync::mpsc;

use crate::bound::{Bound, Place};
use crate::observe::{Notice, Observers};
use crate::replica::Replica;
use crate::report::ConflictReport;
use batch::{Decisions, Verdict, decide_all};
pub(crate) use listed::Listed;
pub(crate) use resolving::Resolving;

/// The maximum number of batches that are decided ahead, and committed together.
const TOGETHER: usize = 4;

/// What a sync must know about the commits that stored something.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    /// The last position of the log; 0 if nothing was stored.
    pub(crate) head: Position,
    /// Whether an event showed that a copy of this store is in use.
    pub(crate) copy_seen: bool,
    /// The fresh name, if the replica took one.
    pub(crate) renewed: Option<NodeId>,
}

impl From<&Received> for Settled {
    fn from(received: &Received) -> Self {
        Settled { head: received.head, copy_seen: received.copy_seen, renewed: received.renewed.clone() }
    }
}

impl<S: EventStore> Replica<S> {
    /// Hands the conflicts that wait to the resolver: those that were found or have changed since it was asked, or all
    /// that are listed if another one was asked. What was settled before an error is durable, and in the report.
    pub(crate) async fn settle_all(
        &self,
        report: &mut ConflictReport,
        observers: &Observers,
    ) -> (Settled, Result<()>) {
        let _turn = self.inner.settling.lock().await;
        let (listed, since) = match self.listed().await {
            Ok(listed) if listed.0.needs_resolver() => listed,
            Ok((listed, _)) => {
                report.on_record(listed.count);
                return (Settled::default(), Ok(()));
            }
            Err(error) => return (Settled::default(), Err(error)),
        };
        report.on_record(0);
        let (ready, decided) = mpsc::channel(TOGETHER);
        let all = listed.all();
        let (done, failed) = (Settled::default(), BTreeSet::new());
        let clean = true;
        let mut settling = Settling { replica: self, observers, report, done, listed, since, failed, clean };
        let decide = decide_all(self.store(), &self.settings().resolving, all, ready);
        let mut ended = {
            let mut committed = pin!(settling.commit_decided(decided));
            // Deciding is polled first, so that with a store that returns immediately the calls have a fixed order.
            tokio::select! {
                biased;
                () = decide => committed.await,
                committed = &mut committed => committed,
            }
        };
        if ended.is_ok() {
            ended = settling.asked(Vec::new(), true).await;
        }
        (settling.done, ended)
    }
}

/// One pass over the conflicts that wait.
struct Settling<'a, S> {
    replica: &'a Replica<S>,
    observers: &'a Observers,
    report: &'a mut ConflictReport,
    done: Settled,
    listed: Listed,
    /// The end of the log when that was read, or after the last commit since.
    since: Cursor,
    /// The conflicts that failed since the last commit.
    failed: BTreeSet<AggregateId>,
    /// Whether none has failed.
    clean: bool,
}

impl<S: EventStore> Settling<'_, S> {
    /// Commits decisions as they arrive. Those that arrived during a commit form the next one.
    async fn commit_decided(&mut self, mut decided: mpsc::Receiver<Result<Decisions>>) -> Result<()> {
        while let Some(first) = decided.recv().await {
            let (mut settled, mut batches, mut failed) = (Vec::new(), 0, None);
            let (mut none, mut left, mut read) = (BTreeSet::new(), Vec::new(), Vec::new());
            let mut next = Some(first);
            while let Some(batch) = next {
                match batch {
                    Ok(mut decisions) => {
                        none.append(&mut decisions.none);
                        read.push(decisions.read);
                        self.take(decisions, &mut settled, &mut left, &mut none);
                    }
                    Err(error) => failed = Some(error),
                }
                batches += 1;
                next = if batches < TOGETHER { decided.try_recv().ok() } else { None };
            }
            self.commit(settled, read).await?;
            self.recount(none).await?;
            if !left.is_empty() || !self.failed.is_empty() {
                self.asked(left, false).await?;
            }
            // What came before is settled even if a batch fails.
            if let Some(error) = failed {
                return Err(error);
            }
        }
        Ok(())
    }

    /// Records what the resolver left and where it failed, so that a conflict that it left waits no more.
    async fn asked(&mut self, left: Vec<(AggregateId, Option<Vec<u8>>)>, ended: bool) -> Result<()> {
        // If all are handed over because another resolver left some, this one is asked about those until the end.
        let Listed { resolver, asked, waiting, .. } = &self.listed;
        let resolver = (ended || !self.listed.all()).then(|| (resolver.clone(), asked.clone()));
        let waiting = waiting.clone().filter(|_| ended && self.clean);
        let (failed, entropy) = (std::mem::take(&mut self.failed), self.replica.entropy()?);
        let asked = Asked { left, failed, resolver, waiting, since: self.since.clone(), entropy };
        let count = self.replica.store().commit(asked).await?;
        if ended {
            self.report.on_record(count);
        }
        Ok(())
    }

    /// Recomputes the heads of listed aggregates that are not in conflict, or cannot be settled.
    async fn recount(&self, aggregates: BTreeSet<AggregateId>) -> Result<()> {
        if aggregates.is_empty() {
            return Ok(());
        }
        let recount = Recount { aggregates, now: self.replica.now(), entropy: self.replica.entropy()? };
        self.replica.store().commit(recount).await
    }

    /// Counts what is not settled, and collects what is still to be committed.
    fn take(
        &mut self,
        decisions: Decisions,
        settled: &mut Vec<(Event, String)>,
        left: &mut Vec<(AggregateId, Option<Vec<u8>>)>,
        recount: &mut BTreeSet<AggregateId>,
    ) {
        let Decisions { conflicts, verdicts, unreadable, mut waiting, .. } = decisions;
        for (aggregate, error) in unreadable {
            match error.kind() {
                // No two sides fit into one clock. Both stand, and nothing has failed.
                ErrorKind::TooLarge => {
                    let reason = Some(error.message());
                    self.observers.notify(Notice::ConflictLeft { aggregate: &aggregate, reason });
                    self.report.leave(aggregate, false, reason.map(str::to_owned));
                }
                _ => self.fail(aggregate, &error),
            }
        }
        for (conflict, verdict) in conflicts.iter().zip(verdicts) {
            let aggregate = &conflict.aggregate_id;
            let Verdict { rule, reason, by, resolution } = match verdict {
                Ok(verdict) => verdict,
                Err(error) => {
                    self.fail(aggregate.clone(), &error);
                    continue;
                }
            };
            if let Some(rule) = &rule {
                self.observers.notify(Notice::RuleMatched { conflict, rule });
            }
            match resolution {
                Ok(Some(resolution)) => settled.push((resolution, by)),
                Ok(None) => {
                    self.observers.notify(Notice::ConflictLeft { aggregate, reason: reason.as_deref() });
                    self.report.leave(aggregate.clone(), false, reason);
                    left.push((aggregate.clone(), waiting.remove(aggregate)));
                }
                Err(error) => {
                    if error.kind() == ErrorKind::Conflict {
                        // The clocks contradict each other. The recount separates the heads, and the next sync settles
                        // them.
                        recount.insert(aggregate.clone());
                    }
                    self.fail(aggregate.clone(), &error);
                }
            }
        }
    }

    /// Commits resolutions, each with who decided, if the log holds the places up to which it was read for them. If it was
    /// restored since, its conflicts wait for the next sync.
    async fn commit(&mut self, settled: Vec<(Event, String)>, read: Vec<Place>) -> Result<()> {
        if settled.is_empty() {
            return Ok(());
        }
        let (resolutions, deciders): (Vec<Event>, Vec<String>) = settled.into_iter().unzip();
        // A resolution has seen all heads. If another event arrived in the meantime, the conflict stays listed.
        let about: Vec<_> =
            resolutions.iter().map(|event| (event.id.clone(), event.aggregate_id.clone())).collect();
        // Copied only for observers.
        let observed = (!self.observers.is_empty()).then(|| resolutions.clone());
        let receive = Bound::to_places(read, self.replica.receive(None, resolutions)?);
        let Some(received) = self.replica.store().commit(receive).await? else {
            self.clean = false;
            return Ok(());
        };
        let stored = Settled::from(&received);
        self.done.head = stored.head.max(self.done.head);
        self.done.copy_seen |= stored.copy_seen;
        self.done.renewed = stored.renewed.or(self.done.renewed.take());
        self.since = received.placed.map_or_else(|| self.since.clone(), |placed| placed.upto);
        let mut refused = received.refused.into_iter().peekable();
        for (index, ((id, aggregate), by)) in about.into_iter().zip(deciders).enumerate() {
            match refused.next_if(|refused| refused.id == id.as_str()) {
                None => {
                    self.report.settled += 1;
                    *self.report.settled_by.entry(by).or_default() += 1;
                    if let Some(observed) = &observed {
                        let (aggregate, resolution) = (&aggregate, &observed[index]);
                        self.observers.notify(Notice::ConflictSettled { aggregate, resolution });
                    }
                }
                Some(refused) => {
                    let error = Error::new(ErrorKind::Invalid, "the resolution could not be stored")
                        .with("code", refused.code)
                        .with("reason", refused.message);
                    self.fail(aggregate, &error);
                }
            }
        }
        Ok(())
    }

    fn fail(&mut self, aggregate: AggregateId, error: &Error) {
        tracing::warn!(%aggregate, %error, "a conflict could not be settled and stays listed");
        self.observers.notify(Notice::ConflictFailed { aggregate: &aggregate, error });
        self.report.leave(aggregate.clone(), true, Some(error.to_string()));
        self.failed.insert(aggregate);
        self.clean = false;
    }
}
