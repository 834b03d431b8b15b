//! A transport that fails on purpose.

use std::sync::Arc;

use synckit_core::{
    HelloRequest, HelloResponse, MissingRequest, MissingResponse, PageStream, PullRequest, PullResponse,
    PushRequest, PushResponse, Result, Traffic, Transport,
};

use crate::fault::line::Line;
use crate::fault::plan::{Call, FaultPlan};

/// A transport whose calls get the faults of a [`FaultPlan`]. Clones share the transport.
#[derive(Debug)]
pub struct FaultyTransport<T> {
    inner: Arc<T>,
    line: Line,
}

impl<T> Clone for FaultyTransport<T> {
    fn clone(&self) -> Self {
        FaultyTransport { inner: self.inner.clone(), line: self.line.clone() }
    }
}

impl<T: Transport> FaultyTransport<T> {
    /// Puts a plan in front of a transport.
    pub fn new(inner: T, plan: FaultPlan) -> Self {
        FaultyTransport { inner: Arc::new(inner), line: Line::new(plan, "faulty transport") }
    }

    /// Returns the transport behind it, which has no faults.
    pub fn inner(&self) -> &T {
        &self.inner
    }

    /// Returns the plan.
    pub fn plan(&self) -> &FaultPlan {
        self.line.plan()
    }
}

impl<T: Transport> Transport for FaultyTransport<T> {
    async fn hello(&self, request: HelloRequest) -> Result<HelloResponse> {
        let attempt = || {
            let (inner, request) = (self.inner.clone(), request.clone());
            Box::pin(async move { inner.hello(request).await }) as _
        };
        self.line.pass(Call::Hello, attempt).await
    }

    async fn pull(&self, request: PullRequest) -> Result<PullResponse> {
        let attempt = || {
            let (inner, request) = (self.inner.clone(), request.clone());
            Box::pin(async move { inner.pull(request).await }) as _
        };
        self.line.pass(Call::Pull, attempt).await
    }

    async fn push(&self, request: PushRequest) -> Result<PushResponse> {
        let attempt = || {
            let (inner, request) = (self.inner.clone(), request.clone());
            Box::pin(async move { inner.push(request).await }) as _
        };
        self.line.pass(Call::Push, attempt).await
    }

    async fn missing(&self, request: MissingRequest) -> Result<MissingResponse> {
        let attempt = || {
            let (inner, request) = (self.inner.clone(), request.clone());
            Box::pin(async move { inner.missing(request).await }) as _
        };
        self.line.pass(Call::Missing, attempt).await
    }

    async fn subscribe(&self, request: PullRequest) -> Result<PageStream> {
        let attempt = || {
            let (inner, request) = (self.inner.clone(), request.clone());
            Box::pin(async move { inner.subscribe(request).await }) as _
        };
        self.line.pass(Call::Subscribe, attempt).await
    }

    fn traffic(&self) -> Traffic {
        self.inner.traffic()
    }

    async fn close(&self) -> Result<()> {
        let attempt = || {
            let inner = self.inner.clone();
            Box::pin(async move { inner.close().await }) as _
        };
        self.line.pass(Call::Close, attempt).await
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use synckit::Endpoint;
    use synckit_core::{Caller, ErrorKind, EventStore, Filter, PROTOCOL_VERSION, Scope};
    use synckit_memory::MemoryStore;

    use super::*;
    use crate::fault::{Fault, drop_at};
    use crate::samples::{Author, node, store_id};

    type Peer = FaultyTransport<Endpoint<MemoryStore>>;

    fn peer() -> Peer {
        FaultyTransport::new(Endpoint::new(MemoryStore::new(node("hub")).unwrap()), FaultPlan::new())
    }

    fn caller() -> Caller {
        Caller { node: node("far"), store: store_id(1) }
    }

    fn push(author: &mut Author) -> PushRequest {
        PushRequest {
            caller: caller(),
            filter: "all".to_owned(),
            events: vec![author.write("x")],
            from: None,
            upto: None,
            known: Vec::new(),
        }
    }

    fn pull() -> PullRequest {
        PullRequest {
            caller: caller(),
            cursor: None,
            limit: None,
            filter: Filter::new(),
            scope: Scope::Others,
            upto: None,
        }
    }

    async fn held(peer: &Peer) -> u64 {
        peer.inner().store().head().await.unwrap().position
    }

    #[tokio::test]
    async fn a_lost_request_does_nothing_and_a_lost_answer_is_done() {
        let (peer, mut author) = (peer(), Author::new("far"));
        peer.plan().nth(Call::Push, 1, Fault::LOSE_REQUEST);
        peer.plan().nth(Call::Push, 2, Fault::LOSE_ANSWER);
        assert_eq!(peer.push(push(&mut author)).await.unwrap_err().kind(), ErrorKind::Unavailable);
        assert_eq!(held(&peer).await, 0);
        assert_eq!(peer.push(push(&mut author)).await.unwrap_err().kind(), ErrorKind::Unavailable);
        assert_eq!(held(&peer).await, 1);
    }

    #[tokio::test]
    async fn a_duplicate_is_answered_the_second_time() {
        let (peer, mut author) = (peer(), Author::new("far"));
        peer.plan().nth(Call::Push, 1, Fault::Duplicate);
        let answer = peer.push(push(&mut author)).await.unwrap();
        assert_eq!((answer.accepted, answer.duplicates), (0, 1));
        assert_eq!(held(&peer).await, 1);
    }

    #[tokio::test]
    async fn a_late_request_arrives_after_a_later_one() {
        let (peer, mut author) = (peer(), Author::new("far"));
        peer.plan().nth(Call::Push, 1, Fault::Late(1));
        assert_eq!(peer.push(push(&mut author)).await.unwrap_err().kind(), ErrorKind::Unavailable);
        peer.push(push(&mut author)).await.unwrap();
        assert_eq!(held(&peer).await, 1);
        peer.pull(pull()).await.unwrap();
        let page = peer.inner().store().read(synckit_core::Query::after(0)).await.unwrap();
        let ids: Vec<_> = page.events.iter().map(|stored| stored.event.id.as_str()).collect();
        assert_eq!(ids, ["far-2", "far-1"]);
    }

    #[tokio::test]
    async fn a_replayed_request_arrives_again_later() {
        let inner = FaultyTransport::new(peer(), FaultPlan::new());
        let mut author = Author::new("far");
        inner.plan().nth(Call::Push, 1, Fault::Replay(0));
        assert_eq!(inner.push(push(&mut author)).await.unwrap().accepted, 1);
        assert_eq!(inner.inner().plan().calls(Call::Push), 1);
        inner.pull(pull()).await.unwrap();
        assert_eq!(inner.inner().plan().calls(Call::Push), 2);
        inner.pull(pull()).await.unwrap();
        assert_eq!(inner.inner().plan().calls(Call::Push), 2);
    }

    #[tokio::test]
    async fn a_held_request_is_overtaken() {
        let (peer, mut author) = (peer(), Author::new("far"));
        peer.plan().nth(Call::Push, 1, Fault::Hold);
        let (first, second) = (push(&mut author), push(&mut author));
        let (one, two) = tokio::join!(peer.push(first), peer.push(second));
        assert_eq!((one.unwrap().accepted, two.unwrap().accepted), (1, 1));
        let page = peer.inner().store().read(synckit_core::Query::after(0)).await.unwrap();
        assert_eq!(page.events[0].event.id.as_str(), "far-2");
    }

    #[tokio::test(start_paused = true)]
    async fn a_delayed_request_takes_its_time() {
        let (peer, mut author) = (peer(), Author::new("far"));
        let hour = Duration::from_secs(3_600);
        peer.plan().nth(Call::Push, 1, Fault::Delay(hour));
        let start = tokio::time::Instant::now();
        assert_eq!(peer.push(push(&mut author)).await.unwrap().accepted, 1);
        assert_eq!(start.elapsed(), hour);
    }

    #[tokio::test]
    async fn no_answer_ever() {
        for (fault, done) in [(Fault::Hang, 0), (Fault::HangAfter, 1)] {
            let (peer, mut author) = (peer(), Author::new("far"));
            peer.plan().nth(Call::Push, 1, fault);
            assert!(drop_at(1, peer.push(push(&mut author))).await.is_none());
            assert_eq!(held(&peer).await, done);
        }
    }

    #[tokio::test]
    async fn every_method_is_forwarded_and_counted() {
        let (peer, mut author) = (peer(), Author::new("far"));
        let hello = HelloRequest {
            protocol: PROTOCOL_VERSION,
            caller: caller(),
            filter: "all".to_owned(),
            known: Vec::new(),
            ahead: None,
        };
        assert_eq!(peer.hello(hello).await.unwrap().head, 0);
        assert_eq!(peer.push(push(&mut author)).await.unwrap().accepted, 1);
        assert_eq!(peer.pull(pull()).await.unwrap().events.len(), 0);
        let missing = MissingRequest {
            caller: caller(),
            ids: vec![crate::samples::event_id("none")],
            known: Vec::new(),
        };
        assert_eq!(peer.missing(missing.clone()).await.unwrap().ids, missing.ids);
        drop(peer.subscribe(pull()).await.unwrap());
        assert_eq!(peer.traffic(), Traffic::default());
        peer.close().await.unwrap();
        assert_eq!(peer.inner().store().head().await.unwrap_err().kind(), ErrorKind::Closed);
        for call in [Call::Hello, Call::Push, Call::Pull, Call::Missing, Call::Subscribe, Call::Close] {
            assert_eq!(peer.plan().calls(call), 1, "{call:?}");
        }
    }
}
