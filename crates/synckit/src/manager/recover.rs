//! Recovery: when the peer's log was wiped or restored from an older copy, and when the own was.

use std::collections::BTreeMap;

use synckit_core::notes::{self, Latest, Note, PullNote, PushNote, Search};
use synckit_core::plan::{Intent, Outcome, Reauthor};
use synckit_core::{
    AggregateId, Cursor, Dot, Error, ErrorKind, EventId, EventStore, Filter, HelloResponse, Needs, NodeId,
    Position, PullRequest, Query, Result, Scope, StoredEvent, Transport,
};

use crate::acquaintance::text;
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
        // What the peer confirmed is on record here, so the event there is held: most often nothing else is named.
        let confirmed = peer.push.acknowledged.clone();
        let is_confirmed = |place: &Cursor| confirmed.as_ref() == Some(place);
        let known = hello.known.as_ref().filter(|known| Some(*known) != peer.push.regained.as_ref());
        let own = Dot::new(peer.caller.node.clone(), hello.counter);
        let latest = hello.counter_event.as_ref();
        let latest_is_confirmed = match latest {
            Some(_) => latest == confirmed.as_ref().and_then(Cursor::event),
            None => hello.counter == 0,
        };
        let places = known.into_iter().chain(&hello.pushed).filter(|place| !is_confirmed(place));
        let needs = Needs {
            ids: places.filter_map(Cursor::event).cloned().collect(),
            dots: if latest_is_confirmed { Vec::new() } else { vec![own.clone()] },
            ..Needs::default()
        };
        let facts = match needs == Needs::default() {
            true => None,
            false => Some(self.store.ask(needs).await?),
        };
        let holds =
            |place: &Cursor| is_confirmed(place) || facts.as_ref().is_some_and(|facts| facts.knows(place));
        let lost_here = known.is_some_and(|known| !holds(known));
        let unfinished = peer.pull.as_ref().is_some_and(|note| note.everything);
        // The peer holds an event under an own dot that is not held here, or is another here.
        let forked = !latest_is_confirmed && facts.as_ref().and_then(|facts| facts.dots.get(&own)) != latest;
        if lost_here || (!unfinished && forked) {
            peer.push.regained = hello.known.clone();
            return self.restored_here(peer).await;
        }
        if unfinished && lost.is_none() {
            return self.take_back(peer).await;
        }
        let recorded = hello.pushed.clone().filter(holds);
        let upto = recorded.as_ref().map_or(0, Cursor::position);
        if lost.is_some() || (pushes && upto < peer.push.confirmed()) {
            return self.peer_was_reset(peer, lost, recorded).await;
        }
        if upto > peer.push.confirmed() {
            // An answer was lost after the peer had committed.
            peer.push.acknowledged = recorded;
            peer.push.position = peer.push.position.max(upto);
        }
        Ok(())
    }

    /// The peer lost events: everything is offered again, and where its log is another now, pulled again.
    pub(super) async fn peer_was_reset(
        &mut self,
        peer: &mut Peer,
        lost: Option<Cursor>,
        recorded: Option<Cursor>,
    ) -> Result<()> {
        tracing::warn!(peer = %peer.store, "the peer's log was wiped or restored from an older copy");
        let head = self.store.head().await?.position;
        let pull_again = lost.is_some();
        let everything = peer.pull.as_ref().is_some_and(|note| note.everything);
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
        self.store.edit(vec![Note::json(notes::push(peer.store, &self.filter), &peer.push)?], delete).await?;
        // An unfinished recovery of the own log begins again with the peer's new one.
        if everything { self.restored_here(peer).await } else { Ok(()) }
    }

    /// This replica was restored from an older copy. What it recorded since then under dots that are taken is authored
    /// again; then it pulls everything, its own events included, and pushes what the peer does not hold.
    pub(super) async fn restored_here(&mut self, peer: &mut Peer) -> Result<()> {
        tracing::warn!("the own log was restored from an older copy; taking back what the peer holds");
        let head = self.store.head().await?.position;
        let start = Cursor::start(peer.store);
        let search = Search { author: peer.caller.node.clone(), cursor: start.clone(), taken: None };
        peer.pull = Some(PullNote { cursor: start, everything: true, search: Some(search) });
        peer.push = PushNote {
            position: 0,
            acknowledged: None,
            offer_all_to: head,
            ..std::mem::take(&mut peer.push)
        };
        // First of all it is put down that everything is pulled: a crash from here on does not lose that.
        let push = Note::json(notes::push(peer.store, &self.filter), &peer.push)?;
        self.store.edit(vec![self.pull_note_of(peer)?, push], Vec::new()).await?;
        self.take_back(peer).await
    }

    /// Goes on with a recovery of the own log where it was: takes a fresh name, so that nothing recorded from now on can
    /// clash; searches for dots of the former name that are taken; and authors again what was recorded under them. Then
    /// the pull takes back everything.
    async fn take_back(&mut self, peer: &mut Peer) -> Result<()> {
        self.report.recovery.restored_here = true;
        peer.confirm = true;
        while let Some(search) = peer.pull.as_ref().and_then(|note| note.search.clone()) {
            let author = search.author.clone();
            if author == peer.caller.node {
                self.author_again(peer, &author, u64::MAX).await?;
                continue;
            }
            if let Some(from) = self.first_taken_dot(peer, search).await? {
                match self.author_again(peer, &author, from).await? {
                    Some(events) => self.report.recovery.authored_again += events,
                    None => continue,
                }
            }
            if let Some(note) = &mut peer.pull {
                note.search = None;
            }
            self.store.edit(vec![self.pull_note_of(peer)?], Vec::new()).await?;
        }
        Ok(())
    }

    fn pull_note_of(&self, peer: &Peer) -> Result<Note> {
        Note::json(notes::pull(peer.store, &self.filter), &peer.pull)
    }

    async fn counter(&self, node: &NodeId) -> Result<u64> {
        let Some(note) = self.store.note(notes::origin(node)).await? else { return Ok(0) };
        Ok(text::<Latest>(&note.key, &note.value)?.counter)
    }

    /// The smallest counter of the former name whose dot names another event at the peer. How far the search has come is kept, so that
    /// it ends on a network that breaks off again and again.
    async fn first_taken_dot(&self, peer: &mut Peer, mut search: Search) -> Result<Option<u64>> {
        loop {
            let request = PullRequest {
                caller: peer.caller.clone(),
                cursor: Some(search.cursor.clone()).filter(|cursor| cursor.position() > 0),
                limit: None,
                filter: Filter::new(),
                scope: Scope::Everything,
            };
            let page = match self.calls.pull(request, peer.limits.batch_events).await {
                Err(error) if error.kind() == ErrorKind::CursorUnknown && search.cursor.position() > 0 => {
                    search.cursor = Cursor::start(peer.store);
                    continue;
                }
                page => page?,
            };
            let own = page.events.iter().filter_map(|event| Some((event.dot.as_ref()?, &event.id)));
            let own: Vec<(&Dot, &EventId)> = own.filter(|(dot, _)| dot.node == search.author).collect();
            let dots = own.iter().map(|(dot, _)| (*dot).clone()).collect();
            let held = self.store.ask(Needs { dots, ..Needs::default() }).await?.dots;
            let clashes = own.iter().filter(|(dot, id)| held.get(*dot).is_some_and(|other| other != *id));
            search.taken = clashes.map(|(dot, _)| dot.counter).chain(search.taken).min();
            search.cursor = page.next;
            if let Some(note) = &mut peer.pull {
                note.search = Some(search.clone());
            }
            if !page.more {
                return Ok(search.taken);
            }
            self.store.edit(vec![self.pull_note_of(peer)?], Vec::new()).await?;
        }
    }

    /// Authors again what was recorded under a name from a counter on, and takes a fresh name if that was still the own.
    /// `None` when the log moved on meanwhile.
    async fn author_again(&mut self, peer: &mut Peer, author: &NodeId, from: u64) -> Result<Option<usize>> {
        let last = self.counter(author).await?;
        let from = from.min(last + 1);
        let mut base: BTreeMap<AggregateId, u64> = BTreeMap::new();
        let (mut events, mut after): (Vec<StoredEvent>, Position) = (Vec::new(), 0);
        loop {
            let page = self.store.read(Query::after(after)).await?;
            for stored in page.events {
                let counter = stored.event.clock.counter(author);
                match &stored.event.dot {
                    _ if counter >= from && stored.source.is_none() => events.push(stored),
                    Some(dot) if dot.node == *author => {
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
        if events.is_empty() && *author != peer.caller.node {
            return Ok(Some(0));
        }
        let reauthor = Reauthor { author: author.clone(), from, last, events, base };
        let done = match self.store.commit(Intent::Reauthor(reauthor)).await? {
            Outcome::Reauthored(done) => done,
            other => {
                return Err(Error::new(ErrorKind::Internal, "the store answered another intent")
                    .with("outcome", format!("{other:?}")));
            }
        };
        peer.caller.node = self.store.identity().await?.author;
        self.report.recovery.renamed_to = Some(peer.caller.node.clone());
        Ok(done)
    }
}
