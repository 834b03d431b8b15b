//! The transport within one process: nothing is sent.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use synckit_core::{
    BoxTransport, Error, ErrorKind, HelloRequest, HelloResponse, MissingRequest, MissingResponse, PageStream,
    PullRequest, PullResponse, PushRequest, PushResponse, Result, Traffic, Transport,
};

use crate::wire::{Server, WireFixture};

/// Calls go directly to what is served. Clones are one client; [`WireFixture::connect`] makes another.
#[derive(Clone, Debug, Default)]
pub struct InProcess {
    hub: Arc<Mutex<Option<BoxTransport>>>,
    closed: Arc<AtomicBool>,
}

impl InProcess {
    /// Serves this from now on, or nothing.
    pub(crate) fn put(&self, hub: Option<BoxTransport>) {
        *self.hub.lock().unwrap_or_else(PoisonError::into_inner) = hub;
    }

    fn served(&self) -> Result<BoxTransport> {
        if self.closed.load(Ordering::Relaxed) {
            return Err(Error::new(ErrorKind::Closed, "the transport is closed").at("in-process", "call"));
        }
        let hub = self.hub.lock().unwrap_or_else(PoisonError::into_inner).clone();
        hub.ok_or_else(|| Error::new(ErrorKind::Unavailable, "nothing is served").at("in-process", "call"))
    }
}

impl WireFixture for InProcess {
    type Transport = InProcess;

    async fn serve(&self, hub: BoxTransport) -> Result<Server> {
        let place = self.clone();
        place.put(Some(hub));
        Ok(Server::spawn(|stopped| async move {
            stopped.await;
            place.put(None);
            Ok(())
        }))
    }

    async fn connect(&self) -> Result<InProcess> {
        Ok(InProcess { hub: self.hub.clone(), closed: Arc::default() })
    }
}

impl Transport for InProcess {
    async fn hello(&self, request: HelloRequest) -> Result<HelloResponse> {
        self.served()?.hello(request).await
    }

    async fn pull(&self, request: PullRequest) -> Result<PullResponse> {
        self.served()?.pull(request).await
    }

    async fn push(&self, request: PushRequest) -> Result<PushResponse> {
        self.served()?.push(request).await
    }

    async fn missing(&self, request: MissingRequest) -> Result<MissingResponse> {
        self.served()?.missing(request).await
    }

    async fn subscribe(&self, request: PullRequest) -> Result<PageStream> {
        self.served()?.subscribe(request).await
    }

    fn traffic(&self) -> Traffic {
        Traffic::default()
    }

    async fn close(&self) -> Result<()> {
        self.closed.store(true, Ordering::Relaxed);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use synckit::Endpoint;
    use synckit_core::{Caller, PROTOCOL_VERSION};
    use synckit_memory::MemoryStore;

    use super::*;
    use crate::samples::{node, store_id};

    #[tokio::test]
    async fn a_client_reaches_what_is_served_now() {
        let hello = HelloRequest {
            protocol: PROTOCOL_VERSION,
            caller: Caller { node: node("n"), store: store_id(1) },
            filter: "all".to_owned(),
            known: Vec::new(),
            ahead: None,
        };
        let wire = InProcess::default();
        let client = wire.connect().await.unwrap();
        assert_eq!(client.hello(hello.clone()).await.unwrap_err().kind(), ErrorKind::Unavailable);
        for name in ["one", "two"] {
            let hub = Endpoint::new(MemoryStore::new(node(name)).unwrap());
            let server = wire.serve(BoxTransport::new(hub)).await.unwrap();
            assert_eq!(client.hello(hello.clone()).await.unwrap().node, node(name));
            server.stop().await.unwrap();
            assert_eq!(client.hello(hello.clone()).await.unwrap_err().kind(), ErrorKind::Unavailable);
        }
    }
}
