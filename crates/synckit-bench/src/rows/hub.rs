//! A hub that serves through a real socket, and its replicas.

use synckit::{BoxTransport, Endpoint, EventStore, SyncManager};
use synckit_grpc::GrpcTransport;
use synckit_http::HttpTransport;
use synckit_remote::ServerConfig;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::measure::Measured;

/// The protocol that a hub speaks.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wire {
    Http,
    Grpc,
}

impl Wire {
    /// Returns a manager of this store, which syncs with the hub at this URL.
    pub(super) fn manager<S: EventStore>(
        self,
        store: S,
        url: &str,
    ) -> Measured<SyncManager<S, BoxTransport>> {
        let transport = match self {
            Wire::Http => BoxTransport::new(HttpTransport::new(url)?),
            Wire::Grpc => BoxTransport::new(GrpcTransport::new(url)?),
        };
        Ok(SyncManager::new(store, transport))
    }
}

/// A store that is served.
pub(super) struct Hub<S> {
    store: S,
    wire: Wire,
    pub(super) url: String,
    stop: oneshot::Sender<()>,
    server: JoinHandle<synckit::Result<()>>,
}

impl<S: EventStore + Clone> Hub<S> {
    pub(super) async fn start(store: S, wire: Wire) -> Measured<Hub<S>> {
        Hub::start_with(store, wire, ServerConfig::default()).await
    }

    pub(super) async fn start_with(store: S, wire: Wire, config: ServerConfig) -> Measured<Hub<S>> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let endpoint = Endpoint::new(store.clone());
        let (stop, stopped) = oneshot::channel::<()>();
        let stopped = async {
            // The server ends when the sender is dropped, and when it sends.
            let _: Result<(), _> = stopped.await;
        };
        let (url, server) = match wire {
            Wire::Http => {
                let service = synckit_http::HttpService::new(endpoint).with_config(config);
                (format!("http://{address}"), tokio::spawn(synckit_http::serve(listener, service, stopped)))
            }
            Wire::Grpc => {
                let service = synckit_grpc::GrpcService::new(endpoint).with_config(config);
                (format!("grpc://{address}"), tokio::spawn(synckit_grpc::serve(listener, service, stopped)))
            }
        };
        Ok(Hub { store, wire, url, stop, server })
    }

    /// Returns a manager of this replica.
    pub(super) fn manager(&self, replica: S) -> Measured<SyncManager<S, BoxTransport>> {
        self.wire.manager(replica, &self.url)
    }

    pub(super) async fn stop(self) -> Measured<()> {
        let _ended: Result<(), _> = self.stop.send(());
        self.server.await??;
        Ok(self.store.close().await?)
    }
}
