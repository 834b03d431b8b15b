//! Pages of the log, limited to what a caller may read.

use synckit_core::{
    Cursor, Error, ErrorKind, EventId, EventStore, LogHead, Needs, Page, Position, PullRequest, PullResponse,
    Query, Result, Scope, StoreId,
};
use synckit_plan::StoreExt;

use crate::damage::{DamagedRow, gap, read_over};
use crate::endpoint::Endpoint;
use crate::endpoint::tail::Why;

/// How many log positions one pull scans before it returns, even if the page is empty, so that a caller with a narrow
/// filter never waits long.
const MAX_SCAN: Position = 50_000;

/// What a page has.
#[derive(Clone, Copy)]
enum What<'a> {
    /// The events that did not come from the caller.
    Others,
    /// The same, and the ids of those that did.
    OthersAndIds,
    /// The ids of the events that came from these stores, or all ids.
    IdsFrom(&'a [StoreId]),
}

impl What<'_> {
    fn is_ids_only(self) -> bool {
        matches!(self, What::IdsFrom(_))
    }
}

impl<S: EventStore> Endpoint<S> {
    pub(super) async fn page(&self, request: &PullRequest) -> Result<PullResponse> {
        match &request.scope {
            Scope::Others => self.page_of(request, What::Others).await,
            Scope::Sent(stores) => self.page_of(request, What::IdsFrom(stores)).await,
            Scope::Named(ids) => loop {
                let (page, upto) = self.named(request, ids).await?;
                if !self.hand_out(upto).await? {
                    return Ok(page);
                }
            },
        }
    }

    /// Returns a page of a subscription.
    pub(super) async fn live_page(&self, request: &PullRequest) -> Result<PullResponse> {
        self.page_of(request, What::OthersAndIds).await
    }

    async fn page_of(&self, request: &PullRequest, what: What<'_>) -> Result<PullResponse> {
        loop {
            let Some((page, upto)) = self.scan(request, what, None).await? else { continue };
            // Until it was recorded that they are handed out, a sync of this replica could renumber them.
            if !self.hand_out(upto).await? {
                return Ok(page);
            }
        }
    }

    /// Returns the next page of a subscription. What it begins with is read together with other subscriptions.
    pub(super) async fn next_page(&self, request: &PullRequest, why: Why) -> Result<PullResponse> {
        let after = request.cursor.as_ref().map_or(0, Cursor::position);
        if request.limit.is_some_and(|limit| limit < self.limits.batch_events) {
            return self.live_page(request).await;
        }
        let Some(tail) = self.tail(after, why).await? else { return self.live_page(request).await };
        if let Some((page, upto)) = self.scan(request, What::OthersAndIds, Some(&tail)).await?
            // What was read after the tail may not be on record yet.
            && !(upto > tail.scanned_to && self.hand_out(upto).await?)
        {
            return Ok(page);
        }
        self.live_page(request).await
    }

    /// Reads a page of the log. Returns also the position of its last local or derived event, and `None` if the log was
    /// restored between two reads. `tail` is what was read of it already, from all sources.
    async fn scan(
        &self,
        request: &PullRequest,
        what: What<'_>,
        mut tail: Option<&Page>,
    ) -> Result<Option<(PullResponse, Position)>> {
        let start = request.cursor.as_ref().map_or(0, Cursor::position);
        // A page of ids has at most as many as it scans places, and nothing beyond is scanned.
        let limit = request.limit.unwrap_or(usize::MAX).clamp(1, self.limits.batch_events.max(1));
        let caller = request.caller.store;
        let source = matches!(what, What::Others).then_some(caller);
        let end = request.upto.filter(|_| source.is_some()).unwrap_or(Position::MAX).max(start);
        let secret = &self.known().await?.secret;
        let mut page = PullResponse {
            events: Vec::new(),
            ids: Vec::new(),
            unreadable: Vec::new(),
            next: Cursor::start(request.caller.store),
            more: true,
        };
        let (mut bytes, mut handed, mut reached) = (0, 0, start);
        let mut mark = None;
        while page.more {
            let (left, room) = match what.is_ids_only() {
                true => (limit - (reached - start) as usize, usize::MAX),
                false => (limit - page.events.len() - page.ids.len(), self.limits.batch_bytes - bytes),
            };
            let query = Query::after(reached).at_most(left, room).except_source(source);
            let (read, damaged) = match tail.take() {
                Some(tail) => (tail.clone(), None),
                None => read_over(&*self.store, query).await?,
            };
            if let Some(DamagedRow { position, .. }) = damaged {
                if reached > start {
                    // A row that cannot be read begins a page, so that the reader has the place before it.
                    break;
                }
                page.unreadable.push(gap(position));
            }
            if reached == start
                && let Some(cursor) = &request.cursor
            {
                self.check_cursor(cursor, &read).await?;
            }
            if reached > start && read.from != mark {
                return Ok(None);
            }
            (reached, mark) = (read.scanned_to, read.upto);
            (page.next, page.more) = (read.cursor(secret)?, read.more);
            for stored in read.events {
                if stored.position > end {
                    break;
                }
                let is_callers = stored.source == Some(caller);
                let (wanted, only_id) = match what {
                    What::Others => (!is_callers, false),
                    What::OthersAndIds => (true, is_callers),
                    What::IdsFrom(stores) => {
                        let from = |source| stores.contains(&source);
                        (stores.is_empty() || stored.source.is_some_and(from), true)
                    }
                };
                let passes =
                    || request.filter.matches(&stored.event) && self.may_read(&request.caller, &stored.event);
                if !wanted || !passes() {
                    continue;
                }
                if only_id {
                    page.ids.push(stored.event.id);
                    continue;
                }
                if !page.events.is_empty() && bytes + stored.event.size() > self.limits.batch_bytes {
                    // The first read of a page always returns an event, however large; such an event waits for the next
                    // page.
                    let end = LogHead { store: read.store, position: reached, mark };
                    let Some(next) = self.cursor_before(end, stored.position - 1).await? else {
                        return Ok(None);
                    };
                    (page.next, page.more) = (next, true);
                    return Ok(Some((page, handed)));
                }
                handed = if stored.source.is_none() { stored.position } else { handed };
                bytes += stored.event.size();
                page.events.push(stored.event);
            }
            if reached >= end {
                if reached > end {
                    let log = LogHead { store: read.store, position: reached, mark };
                    let Some(next) = self.cursor_before(log, end).await? else { return Ok(None) };
                    page.next = next;
                }
                page.more = false;
                break;
            }
            let full = match what.is_ids_only() {
                true => reached - start >= limit as Position,
                false => page.events.len() + page.ids.len() >= limit || bytes >= self.limits.batch_bytes,
            };
            if full || reached >= start.saturating_add(MAX_SCAN) {
                break;
            }
        }
        Ok(Some((page, handed)))
    }

    /// Returns a cursor for a place in a log before where it was read to. `None` if the log was restored since.
    async fn cursor_before(&self, read: LogHead, position: Position) -> Result<Option<Cursor>> {
        let secret = &self.known().await?.secret;
        let needs = Needs { places: vec![position, read.position], ..Needs::default() };
        let places = self.store.facts(needs).await?.places;
        let mark = |at| places.get(&at).copied();
        if mark(read.position) != read.mark {
            return Ok(None);
        }
        Page::empty(read.store, position, mark(position), true).cursor(secret).map(Some)
    }

    /// Reads these events, as many as fit, as [`scan`](Self::scan) does.
    async fn named(&self, request: &PullRequest, ids: &[EventId]) -> Result<(PullResponse, Position)> {
        self.check_batch(ids.len())?;
        let facts = self.store.facts(Needs { ids: ids.to_vec(), ..Needs::default() }).await?;
        let mut places: Vec<Position> = facts.held.values().map(|held| held.position).collect();
        places.sort_unstable();
        let (mut events, mut bytes, mut handed) = (Vec::new(), 0, 0);
        for position in places {
            let query = Query::after(position - 1).at_most(1, usize::MAX);
            let (page, _left_out_if_damaged) = read_over(&*self.store, query).await?;
            for stored in page.events {
                if !facts.held.contains_key(&stored.event.id) {
                    // The log was restored since it was looked up.
                    continue;
                }
                if !request.filter.matches(&stored.event) || !self.may_read(&request.caller, &stored.event) {
                    continue;
                }
                bytes += stored.event.size();
                if bytes <= self.limits.batch_bytes || events.is_empty() {
                    handed = if stored.source.is_none() { stored.position } else { handed };
                    events.push(stored.event);
                }
            }
        }
        let next = request.cursor.clone().unwrap_or_else(|| Cursor::start(facts.head.store));
        let page = PullResponse { events, ids: Vec::new(), unreadable: Vec::new(), next, more: false };
        Ok((page, handed))
    }

    /// Checks that a cursor names a place in this log. A cursor that this store issued and whose place is missing shows
    /// that the log was restored or copied; the store then takes a fresh id and a fresh name.
    async fn check_cursor(&self, cursor: &Cursor, page: &Page) -> Result<()> {
        let known = self.known().await?;
        let ours = cursor.store() == page.store
            || known.was(cursor.store())
            || self.store.identity().await?.was(cursor.store());
        if ours && page.follows(cursor) {
            return Ok(());
        }
        if cursor.store() == page.store && known.secret.sealed(cursor) {
            self.renew(page.store).await?;
        }
        let message = "this log does not hold the place the cursor names; start again without a cursor";
        Err(Error::new(ErrorKind::CursorUnknown, message).with("cursor", cursor))
    }
}
