//! Pulling: page by page, each page one commit with its checkpoint, the next page fetched meanwhile.

use synckit_core::notes::{self, Aside, Note, PullNote};
use synckit_core::plan::{Receive, Received};
use synckit_core::{
    Cursor, Dot, Error, ErrorKind, Event, EventStore, Filter, PullRequest, PullResponse, Result, Scope,
    Transport, Unreadable,
};

use crate::manager::session::{Peer, Session};
use crate::report::{Refusal, RefusedBy};
use crate::sugar::StoreExt;

impl<S: EventStore, T: Transport> Session<'_, S, T> {
    pub(super) async fn pull(&mut self, peer: &mut Peer) -> Result<()> {
        match self.pull_pages(peer).await {
            Err(error) if error.kind() == ErrorKind::CursorUnknown && peer.pull.is_some() => {
                let lost = peer.pull.as_ref().map(|note| note.cursor.clone());
                self.peer_was_reset(peer, lost, peer.push.acknowledged).await?;
                self.pull_pages(peer).await
            }
            result => result,
        }
    }

    async fn pull_pages(&mut self, peer: &mut Peer) -> Result<()> {
        let mut page = self.page(peer, peer.pull.as_ref().map(|note| &note.cursor)).await?;
        loop {
            let reached = peer.pull.as_ref().map(|note| &note.cursor);
            let moved = reached != Some(&page.next);
            if page.more && !moved {
                return Err(Error::corrupt("the peer says there is more, but its cursor does not move"));
            }
            let caught_up = !page.more;
            let mut note = PullNote::at(page.next.clone());
            note.everything = !caught_up && peer.pull.as_ref().is_some_and(|note| note.everything);
            let unchanged = !moved && peer.pull.as_ref() == Some(&note);
            if unchanged && page.events.is_empty() && page.unreadable.is_empty() {
                return Ok(());
            }
            let next = async {
                match caught_up {
                    true => Ok(None),
                    false => self.page(peer, Some(&note.cursor)).await.map(Some),
                }
            };
            let (stored, next) = tokio::join!(self.store_page(peer, page, &note), next);
            // What was stored is counted even where the next page fails.
            self.count(stored?);
            peer.pull = Some(note);
            self.progress();
            match next? {
                Some(next) => page = next,
                None => return Ok(()),
            }
        }
    }

    async fn page(&self, peer: &Peer, cursor: Option<&Cursor>) -> Result<PullResponse> {
        let everything = peer.pull.as_ref().is_some_and(|note| note.everything);
        let request = PullRequest {
            caller: peer.caller.clone(),
            cursor: cursor.filter(|cursor| cursor.position() > 0).cloned(),
            limit: None,
            filter: if everything { Filter::new() } else { self.settings.filter.clone() },
            scope: if everything { Scope::Everything } else { Scope::Others },
        };
        self.calls.pull(request, peer.limits.batch_events).await
    }

    async fn store_page(&self, peer: &Peer, page: PullResponse, note: &PullNote) -> Result<Stored> {
        let own = |event: &Event| event.dot.as_ref().is_some_and(|dot| peer.identity.is_own(&dot.node));
        let wanted = |event: &Event| self.settings.filter.matches(event) || own(event);
        let events: Vec<Event> = page.events.into_iter().filter(wanted).collect();
        let dots: Vec<Option<Dot>> = events.iter().map(|event| event.dot.clone()).collect();
        let now = self.settings.environment.now();
        let mut receive = Receive::new(Some(peer.store), events, now, self.settings.limits);
        receive.set_aside = true;
        receive.notes.push(Note::json(notes::pull(peer.store, &self.filter), note)?);
        for (index, unreadable) in page.unreadable.iter().enumerate() {
            receive.notes.push(aside(peer, note.cursor.position(), index, unreadable)?);
        }
        let received = self.store.commit_receive(receive).await?;
        let forked = peer.shows_fork(&dots, &received.refused);
        Ok(Stored { received, unreadable: page.unreadable, forked })
    }

    fn count(&mut self, stored: Stored) {
        let Stored { received, unreadable, forked } = stored;
        self.forked |= forked;
        self.report.pulled += received.accepted;
        self.report.duplicates += received.duplicates;
        self.report.conflicts.found += received.conflicts.len();
        if let Some(name) = received.renamed {
            self.report.recovery.renamed_to = Some(name);
        }
        let by = RefusedBy::Here;
        for refused in received.refused {
            self.refuse(Refusal { id: refused.id, by, code: refused.code, message: refused.message });
        }
        for Unreadable { id, code, message, .. } in unreadable {
            self.refuse(Refusal { id, by, code, message });
        }
    }
}

/// A page that was stored.
struct Stored {
    received: Received,
    unreadable: Vec<Unreadable>,
    /// Whether the peer holds another event under an own dot.
    forked: bool,
}

fn aside(peer: &Peer, position: u64, index: usize, unreadable: &Unreadable) -> Result<Note> {
    let id = if unreadable.id.is_empty() {
        format!("unreadable-{position}-{index}")
    } else {
        unreadable.id.clone()
    };
    let aside = Aside {
        id: id.clone(),
        peer: peer.store,
        code: unreadable.code,
        message: unreadable.message.clone(),
        position: None,
        again: false,
        event: Some(unreadable.text.clone()),
    };
    Note::json(notes::aside_in(peer.store, &id), &aside)
}
