//! A transport that answers from memory and remembers its requests.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use futures_util::stream;
use synckit_core::{
    Error, Event, EventId, HelloRequest, HelloResponse, Limits, MissingRequest, MissingResponse, NodeId,
    PageStream, PullRequest, PullResponse, PushRequest, PushResponse, Result, Scope, Traffic, Transport,
};
use tokio::sync::Notify;

use super::requests::{page, store};

/// A transport that answers from memory.
#[derive(Clone, Debug, Default)]
pub struct Double(Arc<State>);

/// What a [`Double`] answers, and its requests.
#[derive(Debug, Default)]
pub struct State {
    /// What was pushed.
    pub pushed: Mutex<Vec<Event>>,
    /// The events that a pull gets.
    pub log: Mutex<Vec<Event>>,
    /// The ids that a pull for ids only gets.
    pub ids: Mutex<Vec<EventId>>,
    /// The error of the next call.
    pub failure: Mutex<Option<Error>>,
    /// The pages that subscribers get; then nothing more.
    pub pages: Mutex<VecDeque<Result<PullResponse>>>,
    /// Whether calls wait for `go`.
    pub held: Mutex<bool>,
    /// Is notified when a call has begun.
    pub begun: Notify,
    /// Lets a held call continue.
    pub go: Notify,
}

impl std::ops::Deref for Double {
    type Target = State;

    fn deref(&self) -> &State {
        &self.0
    }
}

impl Double {
    async fn enter(&self) -> Result<()> {
        self.begun.notify_one();
        if *self.held.lock().unwrap() {
            self.go.notified().await;
        }
        match self.failure.lock().unwrap().take() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}

impl Transport for Double {
    async fn hello(&self, request: HelloRequest) -> Result<HelloResponse> {
        self.enter().await?;
        Ok(HelloResponse {
            protocol: request.protocol,
            store: store(),
            former: Vec::new(),
            node: NodeId::new("hub")?,
            head: self.log.lock().unwrap().len() as u64,
            limits: Limits::default(),
            time: 1,
            counter: 0,
            counter_event: None,
            pushed: None,
            known: request.known,
            all_held: true,
            rights: None,
            ahead: None,
        })
    }

    async fn pull(&self, request: PullRequest) -> Result<PullResponse> {
        self.enter().await?;
        Ok(match request.scope {
            Scope::Sent(_) => PullResponse { ids: self.ids.lock().unwrap().clone(), ..page(Vec::new()) },
            _ => page(self.log.lock().unwrap().clone()),
        })
    }

    async fn push(&self, request: PushRequest) -> Result<PushResponse> {
        self.enter().await?;
        let accepted = request.events.len();
        self.pushed.lock().unwrap().extend(request.events);
        Ok(PushResponse { accepted, ..PushResponse::default() })
    }

    async fn missing(&self, request: MissingRequest) -> Result<MissingResponse> {
        self.enter().await?;
        Ok(MissingResponse { ids: request.ids, place: None })
    }

    async fn subscribe(&self, _: PullRequest) -> Result<PageStream> {
        self.enter().await?;
        let pages = std::mem::take(&mut *self.pages.lock().unwrap());
        Ok(Box::pin(stream::unfold(pages, async |mut pages| match pages.pop_front() {
            Some(page) => Some((page, pages)),
            None => std::future::pending().await,
        })))
    }

    fn traffic(&self) -> Traffic {
        Traffic::default()
    }

    async fn close(&self) -> Result<()> {
        Ok(())
    }
}
