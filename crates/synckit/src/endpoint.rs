//! The answering side of a sync, in front of a store.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream;
use synckit_core::notes::{self, Latest, Note};
use synckit_core::plan::Receive;
use synckit_core::{
    Ahead, Caller, Cursor, Error, ErrorKind, Event, EventStore, HelloRequest, HelloResponse, Limits,
    MissingRequest, MissingResponse, Needs, PROTOCOL_VERSION, PageStream, Position, PullRequest,
    PullResponse, PushRequest, PushResponse, Query, RefusalCode, Refused, Result, Scope, Stored, Traffic,
    Transport, Watch,
};
use tokio::sync::watch;

use crate::access::Access;
use crate::acquaintance::{furthest_in, notes_about, text};
use crate::any_store::DynWatch;
use crate::environment::{Environment, SystemEnvironment};
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
        let start = request.cursor.as_ref().map_or(0, Cursor::position);
        let limit = request.limit.unwrap_or(usize::MAX).clamp(1, self.limits.batch_events.max(1));
        let source = (request.scope == Scope::Others).then_some(request.caller.store);
        let (mut events, mut bytes) = (Vec::new(), 0);
        let mut reached = start;
        loop {
            let room = self.limits.batch_bytes - bytes;
            let query = Query::after(reached).at_most(limit - events.len(), room).except_source(source);
            let page = self.store.read(query).await?;
            if reached == start
                && let Some(cursor) = request.cursor.as_ref().filter(|cursor| !page.follows(cursor))
            {
                let message =
                    "this log does not hold the event the cursor names; start again without a cursor";
                return Err(Error::new(ErrorKind::CursorUnknown, message).with("cursor", cursor));
            }
            reached = page.scanned_to;
            let (more, next) = (page.more, page.cursor());
            for stored in page.events {
                if !request.filter.matches(&stored.event) || !self.may_read(&request.caller, &stored.event) {
                    continue;
                }
                if !events.is_empty() && bytes + stored.event.size() > self.limits.batch_bytes {
                    // The first read of a page always brings one event, however large: it waits for the next page.
                    let next = self.store.cursor_at(stored.position - 1).await?;
                    return Ok(PullResponse { events, unreadable: Vec::new(), next, more: true });
                }
                bytes += stored.event.size();
                events.push(stored.event);
            }
            let full = events.len() >= limit || bytes >= self.limits.batch_bytes;
            if !more || full || reached >= start.saturating_add(MAX_SCAN) {
                return Ok(PullResponse { events, unreadable: Vec::new(), next: next?, more });
            }
        }
    }

    fn may_read(&self, caller: &Caller, event: &Event) -> bool {
        self.access.as_ref().is_none_or(|access| access.may_read(caller, event))
    }

    /// Stores what came with a hello, as a push. What is refused is told of by the push that follows.
    async fn store_ahead(&self, caller: Caller, filter: String, ahead: Ahead) -> Result<Option<Stored>> {
        let Ahead { events, upto, .. } = ahead;
        if events.len() > self.limits.batch_events {
            return Ok(None);
        }
        let push = PushRequest { caller, filter, events, upto: Some(upto) };
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
            ids: request.cursor.as_ref().and_then(Cursor::event).cloned().into_iter().collect(),
            notes: vec![notes::NODE.to_owned(), origin.clone()],
            under: notes_about(request.caller.store).into(),
            ..Needs::default()
        };
        let facts = self.store.ask(needs).await?;
        let identity = notes::identity(facts.note(notes::NODE))?;
        check_caller(
            &request.caller,
            facts.head.store == request.caller.store,
            [&identity.node, &identity.author].into_iter().chain(&identity.adopts),
        )?;
        let latest: Option<Latest> = facts.note(&origin).map(|value| text(&origin, value)).transpose()?;
        let mut answer = HelloResponse {
            protocol: PROTOCOL_VERSION,
            store: facts.head.store,
            node: identity.author,
            head: facts.head.position,
            limits: self.limits,
            time: self.environment.now(),
            counter: latest.as_ref().map_or(0, |latest| latest.counter),
            counter_event: latest.map(|latest| latest.event),
            pushed: facts.note(&pushed).map(|value| text(&pushed, value)).transpose()?,
            known: furthest_in(request.caller.store, &facts, 0)?,
            cursor_known: request.cursor.as_ref().is_none_or(|cursor| facts.knows(cursor)),
            ahead: None,
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
        let mut receive = Receive::new(Some(caller), request.events, self.environment.now(), self.limits);
        if let Some(upto) = request.upto {
            if upto.store() != caller {
                return Err(Error::invalid("`upto` is a place in another log than the caller's")
                    .at("endpoint", "push"));
            }
            if denied.is_empty() {
                let key = notes::pushed(caller, &request.filter);
                receive.notes_if_complete.push(Note { key, value: upto.to_string().into_bytes() });
            }
        }
        let received = self.store.commit_receive(receive).await?;
        if let Some(placed) = &received.placed {
            self.announced.send_replace(placed.upto.position());
        }
        if let Some(name) = &received.renamed {
            tracing::warn!(%name, "an own event that was not held came back: this log was restored from an older copy");
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
        Ok(MissingResponse { ids: self.store.not_held(request.ids).await? })
    }

    async fn subscribe(&self, request: PullRequest) -> Result<PageStream> {
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

fn check_caller<'a>(
    caller: &Caller,
    same_store: bool,
    names: impl IntoIterator<Item = &'a synckit_core::NodeId>,
) -> Result<()> {
    let conflict = |message: &str| {
        Err(Error::new(ErrorKind::Conflict, message).with("node", &caller.node).at("endpoint", "hello"))
    };
    if same_store {
        return conflict(
            "both sides are the same store: a database was copied, or a replica syncs with itself; give each \
             replica a store of its own",
        );
    }
    if names.into_iter().any(|name| *name == caller.node) {
        return conflict("both sides have the same node id; give each replica a name of its own");
    }
    Ok(())
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
