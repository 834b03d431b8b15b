//! The serving side of a sync, in front of a store.

// - this file: `Endpoint`, its settings, and pushes
// - `hello.rs`: the response to a hello
// - `subscription.rs`: what a subscriber gets
// - `served.rs`: notices of the calls that it serves
// - `page.rs`: pages of the log; `tail.rs`: its end, read once for all subscriptions

mod hello;
mod page;
mod served;
mod subscription;
mod tail;

use std::fmt;
use std::sync::Arc;

use synckit_core::{
    Caller, Cursor, Error, Event, EventStore, HelloRequest, HelloResponse, Identity, Limits, LogHead,
    MissingRequest, MissingResponse, Needs, PageStream, Position, PullRequest, PullResponse, PushRequest,
    PushResponse, Refused, RefusedCode, Renewal, Result, Scope, StoreId, Traffic, Transport,
};
use synckit_plan::{OnRecord, Receive, Received, Renew, StoreExt, check_known, notes};
use tokio::sync::OnceCell;

use crate::access::Access;
use crate::environment::{Environment, SystemEnvironment, entropy};
use crate::observe::{Call, Notice, Observer, Observers};
use crate::sync::HandedOut;
use subscription::Subscription;
use tail::Tail;

/// The serving side of a sync: a store as a [`Transport`]. Clones share the store.
///
/// Serve it over the network with a server adapter, or pass it to a manager in the same process. Every call is
/// cancel-safe: a push that is dropped is stored as a whole or not at all.
///
/// ```
/// use synckit::{Endpoint, Limits, NodeId};
/// use synckit_memory::MemoryStore;
///
/// # fn main() -> synckit::Result<()> {
/// let hub = MemoryStore::new(NodeId::new("hub")?)?;
/// let endpoint = Endpoint::new(hub).with_limits(Limits { batch_events: 100, ..Limits::default() });
/// # Ok(()) }
/// ```
pub struct Endpoint<S> {
    store: Arc<S>,
    limits: Limits,
    environment: Arc<dyn Environment>,
    identity: Arc<OnceCell<Identity>>,
    tail: Arc<Tail>,
    access: Option<Arc<dyn Access>>,
    observers: Observers,
}

impl<S> Clone for Endpoint<S> {
    fn clone(&self) -> Self {
        Endpoint {
            store: self.store.clone(),
            limits: self.limits,
            environment: self.environment.clone(),
            identity: self.identity.clone(),
            tail: self.tail.clone(),
            access: self.access.clone(),
            observers: self.observers.clone(),
        }
    }
}

impl<S: EventStore> Endpoint<S> {
    /// Creates an endpoint for this store, with the default limits.
    pub fn new(store: S) -> Self {
        Endpoint {
            store: Arc::new(store),
            limits: Limits::default(),
            environment: Arc::new(SystemEnvironment),
            identity: Arc::default(),
            tail: Arc::default(),
            access: None,
            observers: Observers::default(),
        }
    }

    /// Sets the limits of what it accepts.
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets where time and randomness come from.
    pub fn with_environment(mut self, environment: impl Environment) -> Self {
        self.environment = Arc::new(environment);
        self
    }

    /// Limits what callers may read and write. By default they may read and write everything.
    pub fn with_access(mut self, access: impl Access) -> Self {
        self.access = Some(Arc::new(access));
        self
    }

    /// Adds an observer of the calls and subscriptions that it serves.
    pub fn with_observer(mut self, observer: impl Observer) -> Self {
        self.observers.add(observer);
        self
    }

    /// Returns the store behind the endpoint.
    pub fn store(&self) -> &S {
        &self.store
    }

    /// Takes a fresh id and a fresh name.
    async fn renew(&self, store: StoreId) -> Result<()> {
        tracing::warn!(
            "a peer knows a place that this log lacks: the log was restored, or a copy of it is in use"
        );
        let (now, entropy) = (self.environment.now(), entropy(&*self.environment)?);
        let why = Renewal::SetBack;
        let identity = self.store.commit(Renew::new(store, why, now, entropy)).await?;
        self.observers.notify(Notice::Renewed { name: &identity.author, why });
        Ok(())
    }

    /// Returns the identity this store had when it was first read: the secret never changes, and former ids are only
    /// ever added.
    async fn known(&self) -> Result<&Identity> {
        self.identity.get_or_try_init(|| self.store.identity()).await
    }

    /// Records that local and derived events up to this position are handed out. Called before they are. Returns whether
    /// that was news, so that they are to be read again. It is read each time: the log may have been restored since.
    async fn hand_out(&self, upto: Position) -> Result<bool> {
        if upto == 0 {
            return Ok(false);
        }
        let notes = vec![notes::HANDED.to_owned()];
        let facts = self.store.facts(Needs { notes, ..Needs::default() }).await?;
        if upto <= notes::handed(&facts)? {
            return Ok(false);
        }
        self.store.commit(HandedOut { upto, put: Vec::new() }).await?;
        Ok(true)
    }

    fn may_read(&self, caller: &Caller, event: &Event) -> bool {
        self.access.as_ref().is_none_or(|access| access.may_read(caller, event))
    }

    /// Removes from a push what its caller may not write.
    fn take_denied(&self, request: &mut PushRequest) -> Vec<Refused> {
        let Some(access) = &self.access else { return Vec::new() };
        let mut denied = Vec::new();
        let caller = &request.caller;
        request.events.retain(|event| {
            let allowed = access.may_write(caller, event);
            if !allowed {
                let message = format!("{} may not write this event here", caller.node);
                denied.push(Refused { id: event.id.to_string(), code: RefusedCode::Denied, message });
            }
            allowed
        });
        denied
    }

    fn check_batch(&self, events: usize) -> Result<()> {
        if events <= self.limits.batch_events {
            return Ok(());
        }
        Err(Error::too_large(format!(
            "a batch of {events}; at most {} are accepted at once; send it in parts",
            self.limits.batch_events
        )))
    }

    /// Stores what is pushed.
    async fn store_pushed(&self, mut request: PushRequest) -> Result<PushResponse> {
        self.check_batch(request.events.len())?;
        check_filter(&request.filter)?;
        let mut refused = self.take_denied(&mut request);
        let caller = request.caller.store;
        let PushRequest { events, from, upto, known, .. } = request;
        if from.iter().chain(&upto).any(|place| place.store() != caller) {
            let message = "`from` or `upto` is a place in another log than the caller's";
            return Err(Error::invalid(message).at("endpoint", "push"));
        }
        let (now, entropy) = (self.environment.now(), entropy(&*self.environment)?);
        let mut receive = Receive::new(Some(caller), events, now, self.limits, entropy);
        let key = notes::pushed(caller, &request.filter);
        receive.author = Some(self.known().await?.author.clone());
        receive.on_record = Some(OnRecord { key, from, upto: upto.filter(|_| refused.is_empty()), known });
        let received = self.store.commit(receive).await?;
        if let Some(name) = &received.renewed {
            tracing::warn!(%name, "received an unknown event under this store's name; it took a fresh name");
            self.observers.notify(Notice::Renewed { name, why: Renewal::SetBack });
        }
        for aggregate in &received.conflicts {
            self.observers.notify(Notice::ConflictFound { aggregate });
        }
        let Received { accepted, duplicates, placed, .. } = received;
        refused.extend(received.refused);
        Ok(PushResponse { accepted, duplicates, refused, placed })
    }

    async fn look_up(&self, request: MissingRequest) -> Result<MissingResponse> {
        self.check_batch(request.ids.len())?;
        let secret = &self.known().await?.secret;
        let places = request.known.iter().map(Cursor::position).collect();
        let facts = self.store.facts(Needs { ids: request.ids.clone(), places, ..Needs::default() }).await?;
        check_known(&facts, &request.known).map_err(|error| error.at("endpoint", "missing"))?;
        let LogHead { store, position, mark } = facts.head;
        // Of the same moment: a log that holds this place holds everything that is held now.
        let place = mark.map(|mark| secret.cursor(store, position, mark));
        let mut ids = request.ids;
        ids.retain(|id| facts.position(id).is_none());
        Ok(MissingResponse { ids, place })
    }

    async fn open(&self, request: PullRequest) -> Result<PageStream> {
        if request.scope != Scope::Others {
            let message = "only events from others can be subscribed to; pull ids and named events";
            return Err(Error::invalid(message).at("endpoint", "subscribe"));
        }
        // The first page is read here, so that a cursor of another log is reported as an error of the call.
        let first = self.live_page(&request).await?;
        Ok(Subscription::new(self.clone(), request, first).pages())
    }
}

impl<S: EventStore> Transport for Endpoint<S> {
    async fn hello(&self, request: HelloRequest) -> Result<HelloResponse> {
        let caller = request.caller.clone();
        self.observers.served(Call::Hello, &caller, self.answer_hello(request)).await
    }

    async fn pull(&self, request: PullRequest) -> Result<PullResponse> {
        let page = async { self.page(&request).await.map_err(|error| error.at("endpoint", "pull")) };
        self.observers.served(Call::Pull, &request.caller, page).await
    }

    async fn push(&self, request: PushRequest) -> Result<PushResponse> {
        let caller = request.caller.clone();
        self.observers.served(Call::Push, &caller, self.store_pushed(request)).await
    }

    async fn missing(&self, request: MissingRequest) -> Result<MissingResponse> {
        let caller = request.caller.clone();
        self.observers.served(Call::Missing, &caller, self.look_up(request)).await
    }

    async fn subscribe(&self, request: PullRequest) -> Result<PageStream> {
        let caller = request.caller.clone();
        self.observers.served(Call::Subscribe, &caller, self.open(request)).await
    }

    fn traffic(&self) -> Traffic {
        Traffic::default()
    }

    async fn close(&self) -> Result<()> {
        self.store.close().await
    }
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
