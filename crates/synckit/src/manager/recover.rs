//! Recovery: when the peer's log was wiped or restored from an older copy, and when the own was.

use std::collections::BTreeMap;

use synckit_core::notes::{self, Note, PullNote, PushNote};
use synckit_core::plan::{Intent, Outcome, Reauthor};
use synckit_core::{
    AggregateId, Cursor, Dot, Error, ErrorKind, EventId, EventStore, Filter, HelloResponse, Needs, Position,
    PullRequest, Query, Result, Scope, StoredEvent, Transport,
};

use crate::manager::session::{Peer, Session};
use crate::sugar::StoreExt;

impl<S: EventStore, T: Transport> Session<'_, S, T> {
    /// Compares what each side knows of the other with what the other says of itself.
    ///
    /// `lost` is a place that was in the peer's log and no longer is. A manager that only pulls has nothing on record
    /// at the peer, and does not judge by it.
    pub(super) async fn recover(
        &mut self,
        hello: &HelloResponse,
        peer: &mut Peer,
        lost: Option<Cursor>,
        pushes: bool,
    ) -> Result<()> {
        let lost_here = match &hello.known {
            Some(known) if Some(known) != peer.push.regained.as_ref() => !self.store.knows(known).await?,
            _ => false,
        };
        let unfinished = peer.pull.as_ref().is_some_and(|note| note.everything);
        if unfinished || lost_here || self.is_forked(hello, peer).await? {
            peer.push.regained = hello.known.clone();
            return self.restored_here(peer).await;
        }
        let recorded = match &hello.pushed {
            Some(cursor) if self.store.knows(cursor).await? => cursor.position(),
            _ => 0,
        };
        if lost.is_some() || (pushes && recorded < peer.push.acknowledged) {
            return self.peer_was_reset(peer, lost, recorded).await;
        }
        if recorded > peer.push.acknowledged {
            // An answer was lost after the peer had committed.
            peer.push.acknowledged = recorded;
            peer.push.position = peer.push.position.max(recorded);
        }
        Ok(())
    }

    /// The peer lost events: everything is offered again, and where its log is another now, pulled again.
    pub(super) async fn peer_was_reset(
        &mut self,
        peer: &mut Peer,
        lost: Option<Cursor>,
        recorded: Position,
    ) -> Result<()> {
        tracing::warn!(peer = %peer.store, "the peer's log was wiped or restored from an older copy");
        let head = self.store.head().await?.position;
        let pull_again = lost.is_some();
        peer.push = PushNote {
            position: 0,
            acknowledged: recorded,
            offer_all_to: head,
            lost: lost.or(peer.push.lost.take()),
            regained: peer.push.regained.take(),
        };
        let mut delete = Vec::new();
        if pull_again {
            peer.pull = None;
            delete.extend(
                self.store.notes_under(&notes::pull(peer.store, "")).await?.into_iter().map(|note| note.key),
            );
        }
        self.report.recovery.peer_was_reset = true;
        self.store.edit(vec![Note::json(notes::push(peer.store, &self.filter), &peer.push)?], delete).await
    }

    /// This replica was restored from an older copy. What it recorded since then under dots that are taken is authored
    /// again; then it pulls everything, its own events included, and pushes what the peer does not hold.
    pub(super) async fn restored_here(&mut self, peer: &mut Peer) -> Result<()> {
        tracing::warn!("the own log was restored from an older copy; taking back what the peer holds");
        self.report.recovery.restored_here = true;
        let head = self.store.head().await?.position;
        peer.pull = Some(PullNote { cursor: Cursor::start(peer.store), everything: true });
        peer.push =
            PushNote { position: 0, acknowledged: 0, offer_all_to: head, ..std::mem::take(&mut peer.push) };
        peer.confirm = true;
        // First of all it is put down that everything is pulled: a crash from here on does not lose that.
        let put = vec![
            Note::json(notes::pull(peer.store, &self.filter), &peer.pull)?,
            Note::json(notes::push(peer.store, &self.filter), &peer.push)?,
        ];
        self.store.edit(put, Vec::new()).await?;
        while let Some(from) = self.first_taken_dot(peer).await? {
            if let Some(events) = self.author_again(peer, from).await? {
                self.report.recovery.authored_again += events;
                let identity = self.store.identity().await?;
                self.report.recovery.renamed_to = Some(identity.author.clone());
                peer.caller.node = identity.author;
                break;
            }
        }
        Ok(())
    }

    /// Whether the peer holds an event under an own dot that is not held here, or is another here.
    async fn is_forked(&self, hello: &HelloResponse, peer: &Peer) -> Result<bool> {
        if hello.counter == 0 {
            return Ok(false);
        }
        let own = self.store.named_by(&Dot::new(peer.caller.node.clone(), hello.counter)).await?;
        Ok(own != hello.counter_event)
    }

    async fn own_counter(&self, peer: &Peer) -> Result<u64> {
        let Some(note) = self.store.note(notes::origin(&peer.caller.node)).await? else { return Ok(0) };
        let counter = std::str::from_utf8(&note.value).ok().and_then(|text| text.parse().ok());
        counter.ok_or_else(|| Error::corrupt("a note cannot be read").with("key", note.key))
    }

    /// The smallest own counter whose dot names another event at the peer.
    async fn first_taken_dot(&self, peer: &Peer) -> Result<Option<u64>> {
        let (mut taken, mut cursor) = (None, None);
        loop {
            let request = PullRequest {
                caller: peer.caller.clone(),
                cursor,
                limit: None,
                filter: Filter::new(),
                scope: Scope::Everything,
            };
            let page = self.calls.pull(request, peer.limits.batch_events).await?;
            let own = page.events.iter().filter_map(|event| Some((event.dot.as_ref()?, &event.id)));
            let own: Vec<(&Dot, &EventId)> = own.filter(|(dot, _)| dot.node == peer.caller.node).collect();
            let dots = own.iter().map(|(dot, _)| (*dot).clone()).collect();
            let held = self.store.ask(Needs { dots, ..Needs::default() }).await?.dots;
            let clashes = own.iter().filter(|(dot, id)| held.get(*dot).is_some_and(|other| other != *id));
            taken = clashes.map(|(dot, _)| dot.counter).chain(taken).min();
            cursor = Some(page.next);
            if !page.more {
                return Ok(taken);
            }
        }
    }

    /// Authors again what was recorded from a counter on. `None` when the log moved on meanwhile.
    async fn author_again(&self, peer: &Peer, from: u64) -> Result<Option<usize>> {
        let author = peer.caller.node.clone();
        let last = self.own_counter(peer).await?;
        let mut base: BTreeMap<AggregateId, u64> = BTreeMap::new();
        let (mut events, mut after): (Vec<StoredEvent>, Position) = (Vec::new(), 0);
        loop {
            let page = self.store.read(Query::after(after)).await?;
            for stored in page.events {
                let counter = stored.event.clock.counter(&author);
                match &stored.event.dot {
                    _ if counter >= from && stored.source.is_none() => events.push(stored),
                    Some(dot) if dot.node == author => {
                        let highest = base.entry(stored.event.aggregate_id).or_default();
                        *highest = dot.counter.max(*highest);
                    }
                    _ => {}
                }
            }
            after = page.scanned_to;
            if !page.more {
                break;
            }
        }
        match self.store.commit(Intent::Reauthor(Reauthor { author, from, last, events, base })).await? {
            Outcome::Reauthored(done) => Ok(done),
            other => Err(Error::new(ErrorKind::Internal, "the store answered another intent")
                .with("outcome", format!("{other:?}"))),
        }
    }
}
