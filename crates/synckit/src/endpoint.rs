//! The answering side of a sync, in front of a store.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::stream;
use synckit_core::notes::{self, Identity, Latest, Note, Renewal};
use synckit_core::plan::{OnRecord, Receive, Renew};
use synckit_core::{
    Ahead, Caller, Cursor, Error, ErrorKind, Event, EventId, EventStore, HelloRequest, HelloResponse, Limits,
    MissingRequest, MissingResponse, Needs, PROTOCOL_VERSION, Page, PageStream, Position, PullRequest,
    PullResponse, PushRequest, PushResponse, Query, RefusalCode, Refused, Result, Scope, StoreId, Stored,
    Traffic, Transport, Watch,
};
use tokio::sync::{OnceCell, watch};

use crate::access::Access;
use crate::acquaintance::{notes_about, places_in, text};
use crate::any_store::DynWatch;
use crate::environment::{Environment, SystemEnvironment, entropy};
use crate::sugar::StoreExt;

/// How many log positions one pull looks at before it answers, be the page empty or not: so that a filter that
/// passes little never makes a caller wait long.
const MAX_SCAN: Position = 50_000;

/// How long a subscription stays silent before it shows that it is alive, and looks for events that nobody
/// announced.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// The answering side of a sync: a store as a [`Transport`]. Clones share the store.
///
/// Put it on the wire with a server adapter, or hand it to a manager in the same process. Every call is
/// cancel-safe: a push that is dropped is stored as a whole or not at all.
pub struct Endpoint<S> {
    store: Arc<S>,
    limits: Limits,
    environment: Arc<dyn Environment>,
    announced: Arc<watch::Sender<Position>>,
    identity: Arc<OnceCell<Identity>>,
    /// Up to where events of this store's own are on record as handed out.
    handed: Arc<AtomicU64>,
    watch: Option<Arc<dyn DynWatch>>,
    access: Option<Arc<dyn Access>>,
}

impl<S> Clone for Endpoint<S> {
    fn clone(&self) -> Self {
        Endpoint {
            store: self.store.clone(),
            limits: self.limits,
            environment: self.environment.clone(),
            announced: self.announced.clone(),
            identity: self.identity.clone(),
            handed: self.handed.clone(),
            watch: self.watch.clone(),
            access: self.access.clone(),
        }
    }
}

impl<S: EventStore> Endpoint<S> {
    /// Answers for this store, with the default limits.
    pub fn new(store: S) -> Self {
        Endpoint {
            store: Arc::new(store),
            limits: Limits::default(),
            environment: Arc::new(SystemEnvironment),
            announced: Arc::new(watch::Sender::new(0)),
            identity: Arc::default(),
            handed: Arc::default(),
            watch: None,
            access: None,
        }
    }

    /// Accepts at most this.
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Takes time and randomness from here.
    pub fn with_environment(mut self, environment: impl Environment) -> Self {
        self.environment = Arc::new(environment);
        self
    }

    /// Wakes subscriptions when this watch says so. Usually a clone of the store.
    pub fn with_watch(mut self, watch: impl Watch) -> Self {
        self.watch = Some(Arc::new(watch));
        self
    }

    /// Lets callers read and write only what this allows. Everything unless set.
    pub fn with_access(mut self, access: impl Access) -> Self {
        self.access = Some(Arc::new(access));
        self
    }

    /// The store behind it.
    pub fn store(&self) -> &S {
        &self.store
    }

    async fn page(&self, request: &PullRequest) -> Result<PullResponse> {
        match &request.scope {
            Scope::Others => self.scan(request, None).await,
            Scope::Sent(stores) => self.scan(request, Some(stores)).await,
            Scope::Named(ids) => self.named(request, ids).await,
        }
    }

    /// A page of the log: of what did not come from the caller, or the ids of what came from these stores.
    async fn scan(&self, request: &PullRequest, sent: Option<&[StoreId]>) -> Result<PullResponse> {
        let start = request.cursor.as_ref().map_or(0, Cursor::position);
        // Of ids a page has at most as many as it looks at places, and no place beyond that is looked at.
        let limit = request.limit.unwrap_or(usize::MAX).clamp(1, self.limits.batch_events.max(1));
        let source = sent.is_none().then_some(request.caller.store);
        let secret = &self.known().await?.secret;
        let mut page = PullResponse {
            events: Vec::new(),
            ids: Vec::new(),
            unreadable: Vec::new(),
            next: Cursor::start(request.caller.store),
            more: true,
        };
        let (mut bytes, mut handed, mut reached) = (0, 0, start);
        while page.more {
            let (left, room) = match sent {
                Some(_) => (limit - (reached - start) as usize, usize::MAX),
                None => (limit - page.events.len(), self.limits.batch_bytes - bytes),
            };
            let query = Query::after(reached).at_most(left, room).except_source(source);
            let read = self.store.read(query).await?;
            if reached == start
                && let Some(cursor) = &request.cursor
            {
                self.check_cursor(cursor, &read).await?;
            }
            reached = read.scanned_to;
            (page.next, page.more) = (read.cursor(secret)?, read.more);
            for stored in read.events {
                let wanted = sent.is_none_or(|sent| {
                    sent.is_empty() || stored.source.is_some_and(|source| sent.contains(&source))
                });
                if !wanted
                    || !request.filter.matches(&stored.event)
                    || !self.may_read(&request.caller, &stored.event)
                {
                    continue;
                }
                if sent.is_some() {
                    page.ids.push(stored.event.id);
                    continue;
                }
                if !page.events.is_empty() && bytes + stored.event.size() > self.limits.batch_bytes {
                    // The first read of a page always brings one event, however large: it waits for the next page.
                    page.next = self.store.cursor_at(stored.position - 1).await?;
                    page.more = true;
                    self.hand_out(handed).await?;
                    return Ok(page);
                }
                handed = if stored.source.is_none() { stored.position } else { handed };
                bytes += stored.event.size();
                page.events.push(stored.event);
            }
            let full = match sent {
                Some(_) => reached - start >= limit as Position,
                None => page.events.len() >= limit || bytes >= self.limits.batch_bytes,
            };
            if full || reached >= start.saturating_add(MAX_SCAN) {
                break;
            }
        }
        self.hand_out(handed).await?;
        Ok(page)
    }

    /// These events, as many as fit.
    async fn named(&self, request: &PullRequest, ids: &[EventId]) -> Result<PullResponse> {
        self.check_batch(ids.len())?;
        let facts = self.store.ask(Needs { ids: ids.to_vec(), ..Needs::default() }).await?;
        let mut places: Vec<Position> = facts.held.values().map(|held| held.position).collect();
        places.sort_unstable();
        let (mut events, mut bytes, mut handed) = (Vec::new(), 0, 0);
        for position in places {
            let page = self.store.read(Query::after(position - 1).at_most(1, usize::MAX)).await?;
            for stored in page.events {
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
        self.hand_out(handed).await?;
        let next = request.cursor.clone().unwrap_or_else(|| Cursor::start(facts.head.store));
        Ok(PullResponse { events, ids: Vec::new(), unreadable: Vec::new(), next, more: false })
    }

    /// Checks that a cursor names a place in this log. One that this store has given out and that is not there shows that
    /// the log was set back or copied: it takes a fresh id and a fresh name.
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

    /// Takes a fresh id and a fresh name.
    async fn renew(&self, store: StoreId) -> Result<()> {
        tracing::warn!(
            "somebody knows a place in this log that is not there: it was set back, or a copy of it is in use"
        );
        let (now, entropy) = (self.environment.now(), entropy(&*self.environment)?);
        self.store.commit_renew(Renew::new(store, Renewal::SetBack, now, entropy)).await?;
        Ok(())
    }

    /// Who this store was when that was asked first: its secret never changes, and former ids are only ever added.
    async fn known(&self) -> Result<&Identity> {
        self.identity.get_or_try_init(|| self.store.identity()).await
    }

    /// Puts on record, before they are handed out, up to where events that were recorded or derived here are.
    async fn hand_out(&self, upto: Position) -> Result<()> {
        if upto <= self.handed.load(Ordering::Relaxed) {
            return Ok(());
        }
        let key = notes::HANDED.to_owned();
        let note = self.store.note(key.clone()).await?;
        let before = note.map_or(Ok(0), |note| text(&note.key, &note.value))?;
        if before < upto {
            self.store.edit(vec![Note { key, value: upto.to_string().into_bytes() }], Vec::new()).await?;
        }
        self.handed.fetch_max(upto.max(before), Ordering::Relaxed);
        Ok(())
    }

    fn may_read(&self, caller: &Caller, event: &Event) -> bool {
        self.access.as_ref().is_none_or(|access| access.may_read(caller, event))
    }

    /// Stores what came with a hello, as a push. What is refused is told of by the push that follows.
    async fn store_ahead(&self, caller: Caller, filter: String, ahead: Ahead) -> Result<Option<Stored>> {
        let Ahead { after, events, upto, .. } = ahead;
        // What is far ahead of the clock here gets the right time before it is pushed.
        let late = |event: &Event| event.time.drifts(self.environment.now(), self.limits.drift());
        if events.len() > self.limits.batch_events || events.iter().any(late) {
            return Ok(None);
        }
        let push = PushRequest { caller, filter, events, from: Some(after), upto: Some(upto) };
        let PushResponse { accepted, duplicates, refused, placed } = self.push(push).await?;
        Ok(refused.is_empty().then_some(Stored { accepted, duplicates, placed }))
    }

    /// Takes out of a push what its caller may not write.
    fn take_denied(&self, request: &mut PushRequest) -> Vec<Refused> {
        let Some(access) = &self.access else { return Vec::new() };
        let (mut denied, mut index) = (Vec::new(), 0);
        let caller = &request.caller;
        request.events.retain(|event| {
            let allowed = access.may_write(caller, event);
            if !allowed {
                let message = format!("{} may not write this event here", caller.node);
                denied.push(Refused { index, id: event.id.to_string(), code: RefusalCode::Denied, message });
            }
            index += 1;
            allowed
        });
        denied
    }

    /// Waits until the log has moved beyond a position, or a heartbeat is due.
    async fn moved(&self, after: Position) {
        let mut announced = self.announced.subscribe();
        let watched = async {
            match &self.watch {
                Some(watch) => watch.moved(after).await.is_ok(),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = announced.wait_for(|position| *position > after) => {}
            true = watched => {}
            () = tokio::time::sleep(HEARTBEAT) => {}
        }
    }

    fn check_batch(&self, events: usize) -> Result<()> {
        if events <= self.limits.batch_events {
            return Ok(());
        }
        Err(Error::too_large(format!(
            "a batch of {events}; at most {} are taken at once, send it in parts",
            self.limits.batch_events
        )))
    }
}

impl<S: EventStore> Transport for Endpoint<S> {
    async fn hello(&self, request: HelloRequest) -> Result<HelloResponse> {
        if request.protocol != PROTOCOL_VERSION {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "the two sides speak different versions; upgrade the older",
            )
            .with("caller's version", request.protocol)
            .with("version here", PROTOCOL_VERSION));
        }
        check_filter(&request.filter)?;
        let origin = notes::origin(&request.caller.node);
        let pushed = notes::pushed(request.caller.store, &request.filter);
        let needs = Needs {
            notes: vec![notes::NODE.to_owned(), origin.clone()],
            under: notes_about(request.caller.store).into(),
            places: request.cursor.iter().map(Cursor::position).collect(),
            ..Needs::default()
        };
        let mut facts = self.store.ask(needs.clone()).await?;
        let mut identity = notes::identity(facts.note(notes::NODE))?;
        if let Some(cursor) = &request.cursor
            && cursor.store() == facts.head.store
            && identity.secret.sealed(cursor)
            && !facts.holds(cursor)
        {
            self.renew(facts.head.store).await?;
            facts = self.store.ask(needs).await?;
            identity = notes::identity(facts.note(notes::NODE))?;
        }
        if facts.head.store == request.caller.store {
            return Err(same_store().with("node", &request.caller.node).at("endpoint", "hello"));
        }
        let ours = |cursor: &Cursor| cursor.store() == facts.head.store || identity.was(cursor.store());
        let latest: Option<Latest> = facts.note(&origin).map(|value| text(&origin, value)).transpose()?;
        let former: Vec<StoreId> = identity.former.iter().map(|former| former.store).collect();
        let mut answer = HelloResponse {
            protocol: PROTOCOL_VERSION,
            store: facts.head.store,
            former: former[former.len().saturating_sub(HelloResponse::MAX_FORMER)..].to_vec(),
            head: facts.head.position,
            limits: self.limits,
            time: self.environment.now(),
            counter: latest.as_ref().map_or(0, |latest| latest.counter),
            counter_event: latest.map(|latest| latest.event),
            pushed: facts.note(&pushed).map(|value| text(&pushed, value)).transpose()?,
            known: furthest(places_in(request.caller.store, &facts)?),
            rights: self.access.as_ref().and_then(|access| access.rights(&request.caller)),
            cursor_known: request.cursor.as_ref().is_none_or(|cursor| ours(cursor) && facts.holds(cursor)),
            ahead: None,
            node: identity.author,
        };
        if let Some(ahead) = request.ahead.filter(|ahead| answer.is_as_expected(ahead)) {
            answer.ahead = self.store_ahead(request.caller, request.filter, ahead).await?;
        }
        Ok(answer)
    }

    async fn pull(&self, request: PullRequest) -> Result<PullResponse> {
        self.page(&request).await.map_err(|error| error.at("endpoint", "pull"))
    }

    async fn push(&self, mut request: PushRequest) -> Result<PushResponse> {
        self.check_batch(request.events.len())?;
        check_filter(&request.filter)?;
        let denied = self.take_denied(&mut request);
        let caller = request.caller.store;
        let PushRequest { events, from, upto, .. } = request;
        if from.iter().chain(&upto).any(|place| place.store() != caller) {
            let message = "`from` or `upto` is a place in another log than the caller's";
            return Err(Error::invalid(message).at("endpoint", "push"));
        }
        let (now, entropy) = (self.environment.now(), entropy(&*self.environment)?);
        let mut receive = Receive::new(Some(caller), events, now, self.limits, entropy);
        let key = notes::pushed(caller, &request.filter);
        receive.author = Some(self.known().await?.author.clone());
        receive.on_record = Some(OnRecord { key, from, upto: upto.filter(|_| denied.is_empty()) });
        let received = self.store.commit_receive(receive).await?;
        self.announced.send_replace(received.head);
        if let Some(name) = &received.renewed {
            tracing::warn!(%name, "an event under this store's name came that it does not hold: it has a fresh name now");
        }
        Ok(PushResponse {
            accepted: received.accepted,
            duplicates: received.duplicates,
            refused: in_one_order(denied, received.refused),
            placed: received.placed,
        })
    }

    async fn missing(&self, request: MissingRequest) -> Result<MissingResponse> {
        self.check_batch(request.ids.len())?;
        let ids = self.store.not_held(request.ids).await?;
        // The place is read afterwards: a log that holds it holds all that was held when the ids were looked up.
        let place = self.store.cursor_at(self.store.head().await?.position).await?;
        Ok(MissingResponse { ids, place: Some(place) })
    }

    async fn subscribe(&self, request: PullRequest) -> Result<PageStream> {
        if request.scope != Scope::Others {
            let message = "only what others bring can be subscribed to; pull ids and named events";
            return Err(Error::invalid(message).at("endpoint", "subscribe"));
        }
        // The first page is read here, so that a cursor of another log is an error of the call.
        let first = self.page(&request).await?;
        let state = Some((self.clone(), request, Some(first), false));
        Ok(Box::pin(stream::unfold(state, |state| async {
            let (endpoint, mut request, ready, more) = state?;
            let page = match ready {
                Some(page) => Ok(page),
                None => {
                    let reached = request.cursor.as_ref().map_or(0, Cursor::position);
                    if !more {
                        endpoint.moved(reached).await;
                    }
                    endpoint.page(&request).await
                }
            };
            match page {
                Ok(page) => {
                    request.cursor = Some(page.next.clone());
                    let more = page.more;
                    Some((Ok(page), Some((endpoint, request, None, more))))
                }
                Err(error) => Some((Err(error), None)),
            }
        })))
    }

    fn traffic(&self) -> Traffic {
        Traffic::default()
    }

    async fn close(&self) -> Result<()> {
        self.store.close().await
    }
}

/// Joins what was denied with what the store refused of the rest, by places in the whole batch.
fn in_one_order(mut denied: Vec<Refused>, refused: Vec<Refused>) -> Vec<Refused> {
    let taken: Vec<usize> = denied.iter().map(|one| one.index).collect();
    denied.extend(refused.into_iter().map(|one| {
        // Each denied event that stood before this one moves it one place on.
        let index = taken.iter().fold(one.index, |index, place| index + usize::from(*place <= index));
        Refused { index, ..one }
    }));
    denied.sort_by_key(|one| one.index);
    denied
}

/// The furthest places, as many as a message may name.
fn furthest(mut places: Vec<Cursor>) -> Vec<Cursor> {
    places.drain(..places.len().saturating_sub(HelloResponse::MAX_KNOWN));
    places
}

fn same_store() -> Error {
    let message = "both sides are the same store: a database was copied, or a replica syncs with itself; give each \
                   replica a store of its own";
    Error::new(ErrorKind::Conflict, message)
}

fn check_filter(fingerprint: &str) -> Result<()> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric();
    if (1..=64).contains(&fingerprint.len()) && fingerprint.bytes().all(plain) {
        return Ok(());
    }
    Err(Error::invalid("the fingerprint of a filter has 1 to 64 letters and digits").at("endpoint", "hello"))
}

impl<S> fmt::Debug for Endpoint<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("limits", &self.limits).finish_non_exhaustive()
    }
}
