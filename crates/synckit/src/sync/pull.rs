//! Pulling: pages are fetched while earlier ones are stored, in one commit with the checkpoint that they advance.

use std::pin::pin;
use std::sync::Arc;

use synckit_core::{
    Cursor, ErrorKind, Event, EventStore, Note, PullRequest, PullResponse, Result, Scope, StoreId, Transport,
    Unreadable,
};
use synckit_plan::{
    Mend, Received,
    notes::{self, Gap, PullNote, RefusedNote},
};
use tokio::sync::mpsc;

use crate::damage::{gap_in, mend};
use crate::observe::Notice;
use crate::report::{RefusedBy, RefusedEvent};
use crate::sync::calls::Calls;
use crate::sync::owed::once_more;
use crate::sync::peer::Peer;
use crate::sync::session::Session;

/// A page, and the place after which it was requested.
pub(super) type Fetched = (Option<Cursor>, PullResponse);

/// The maximum number of pages that are fetched ahead, and stored in one commit.
const AHEAD: usize = 4;

impl<S: EventStore, T: Transport> Session<'_, S, T> {
    /// Pulls from where the last sync stopped, or from the beginning if the peer does not know that place any more.
    pub(super) async fn pull(&mut self, peer: &mut Peer) -> Result<()> {
        match self.pull_pages(peer).await {
            Err(error) if error.kind() == ErrorKind::CursorUnknown && peer.pull.is_some() => {
                tracing::warn!(peer = %peer.store, "the peer's log was wiped or restored from a backup");
                self.report.recovery.peer_was_reset = true;
                peer.pull_anew(error)?;
                self.pull_pages(peer).await
            }
            result => result,
        }
    }

    async fn pull_pages(&mut self, peer: &mut Peer) -> Result<()> {
        let reached =
            peer.pull.as_ref().map(|note| note.cursor.clone()).filter(|cursor| cursor.position() > 0);
        let request = PullRequest { upto: Some(peer.compared), ..self.request(peer, reached, Scope::Others) };
        let (pages, fetched) = mpsc::channel(AHEAD);
        let fetch = fetch(self.calls.clone(), request, peer.store, peer.limits.batch_events, pages);
        let mut stored = pin!(self.store_pages(peer, fetched));
        // Fetching is polled first, so that with a peer and a store that return immediately the calls have a fixed
        // order.
        tokio::select! {
            biased;
            () = fetch => stored.await,
            stored = &mut stored => stored,
        }
    }

    /// Stores pages as they arrive. Those that arrived during a commit form the next one.
    async fn store_pages(
        &mut self,
        peer: &mut Peer,
        mut fetched: mpsc::Receiver<Result<Fetched>>,
    ) -> Result<()> {
        while let Some(first) = self.noting_pace(peer.store, fetched.recv()).await {
            let (mut pages, mut failed) = (Vec::new(), None);
            let mut next = Some(first);
            while let Some(page) = next {
                match page {
                    Ok(page) => pages.push(page),
                    Err(error) => failed = Some(error),
                }
                next = if pages.len() < AHEAD { fetched.try_recv().ok() } else { None };
            }
            self.store_together(peer, pages).await?;
            // What came before is stored and counted even if a page fails.
            if let Some(error) = failed {
                return Err(error);
            }
        }
        Ok(())
    }

    pub(super) async fn store_together(&mut self, peer: &mut Peer, pages: Vec<Fetched>) -> Result<()> {
        let Some((_, last)) = pages.last() else { return Ok(()) };
        if pages.iter().any(|(_, page)| page.next.store() != peer.store) {
            // The peer took a fresh id after the hello. Under the id that it had then, a copy of it may be in use, and
            // what came from here would count as held by that one.
            self.is_stranger = true;
            return Ok(());
        }
        let note = PullNote::at(last.next.clone(), peer.caller.store, peer.rights.clone());
        let unchanged = peer.pull.as_ref() == Some(&note);
        if unchanged && pages.iter().all(|(_, page)| page.events.is_empty() && page.unreadable.is_empty()) {
            return Ok(());
        }
        let (received, unreadable) = self.store_pages_with(peer, pages, &note).await?;
        self.count(received, unreadable).await?;
        self.report.pulled_to = note.cursor.position();
        peer.pulled = Some(note.cursor.clone());
        peer.pull = Some(note);
        self.progress();
        Ok(())
    }

    async fn store_pages_with(
        &mut self,
        peer: &Peer,
        pages: Vec<Fetched>,
        note: &PullNote,
    ) -> Result<(Received, Vec<Unreadable>)> {
        let wanted = |event: &Event| self.settings.passes(event);
        let (mut events, mut unreadable, mut notes) = (Vec::new(), Vec::new(), Vec::new());
        let mut gaps = Vec::new();
        for (after, page) in pages {
            events.extend(page.events.into_iter().filter(wanted));
            for (index, one) in page.unreadable.into_iter().enumerate() {
                if let Some(position) = gap_in(&one) {
                    let gap = Gap { position, after: after.clone() };
                    notes.push(Note::json(format!("{}{position}", notes::gaps(peer.store)), &gap)?);
                    gaps.push(position);
                    continue;
                }
                notes.push(aside(peer, page.next.position(), index, &one)?);
                notes.extend(once_more(peer, &one));
                unreadable.push(one);
            }
        }
        let mut receive = self.replica.receive(Some(peer.store), events)?;
        receive.keep_refused = true;
        receive.author = Some(peer.identity.author.clone());
        receive.notes = notes;
        receive.notes.push(Note::json(notes::pull(peer.store, &self.filter), note)?);
        receive.notes.extend(self.pace_note(peer.store)?);
        let received = self.commit(&peer.turn, receive).await?;
        gaps.into_iter().for_each(|position| self.report.gap(position));
        Ok((received, unreadable))
    }

    /// Counts what was stored and what was not. Good copies replace damaged rows.
    pub(super) async fn count(&mut self, received: Received, unreadable: Vec<Unreadable>) -> Result<()> {
        self.moved((&received).into());
        if !received.copies.is_empty() {
            let (now, entropy) = (self.replica.now(), self.replica.entropy()?);
            self.report.mended += mend(self.store, Mend { copies: received.copies, now, entropy }).await;
        }
        self.report.pulled += received.accepted;
        self.report.duplicates += received.duplicates;
        self.report.conflicts.found += received.conflicts.len();
        for aggregate in &received.conflicts {
            self.settings.observers.notify(Notice::ConflictFound { aggregate });
        }
        let by = RefusedBy::Here;
        for refused in received.refused {
            self.refuse(RefusedEvent { id: refused.id, by, code: refused.code, message: refused.message });
        }
        for Unreadable { id, code, message, .. } in unreadable {
            self.refuse(RefusedEvent { id, by, code, message });
        }
        Ok(())
    }
}

/// Fetches page after page up to the end of the peer's log as it was at the hello, so that a peer whose log grows all
/// the time does not keep a sync busy. Stops early if the peer takes a fresh id, something fails, or nobody receives the
/// pages.
async fn fetch<T: Transport>(
    calls: Arc<Calls<'_, T>>,
    mut request: PullRequest,
    peer: StoreId,
    most: usize,
    pages: mpsc::Sender<Result<Fetched>>,
) {
    loop {
        let page = calls.pull(request.clone(), most).await;
        let next = page.as_ref().ok().filter(|page| page.more).map(|page| page.next.clone());
        let next = next
            .filter(|next| next.store() == peer && request.upto.is_none_or(|upto| next.position() < upto));
        let page = page.map(|page| (request.cursor.clone(), page));
        if pages.send(page).await.is_err() || next.is_none() {
            return;
        }
        request.cursor = next;
    }
}

fn aside(peer: &Peer, position: u64, index: usize, unreadable: &Unreadable) -> Result<Note> {
    let id = if unreadable.id.is_empty() {
        format!("unreadable-{position}-{index}")
    } else {
        unreadable.id.clone()
    };
    let aside = RefusedNote {
        id: id.clone(),
        peer: peer.store,
        code: unreadable.code,
        message: unreadable.message.clone(),
        position: None,
        again: false,
        event: Some(unreadable.text.clone()),
    };
    Note::json(notes::refused_here(peer.store, &id), &aside)
}
