//! The service on its own listener, together with health and reflection.

use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use synckit_core::{Error, ErrorKind, Result, Transport};
use synckit_net::{Guards, Protocol, Stream, run_connection};
use synckit_remote::{Answer, Serve, ServerConfig};
use tokio::sync::watch;
use tonic::service::Routes;
use tonic_health::pb::health_server::HealthServer;

use crate::GRPC;
use crate::health::Watched;
use crate::service::GrpcService;

/// The size of what every HTTP/2 caller sends first, whatever it wants: the preface and the header of a frame.
const OPENING: usize = 24 + 9;

/// The services of one server.
#[derive(Clone, Debug)]
struct GrpcRoutes {
    routes: Routes,
    config: ServerConfig,
}

impl<T: Transport> Serve for GrpcService<T> {
    const NAME: &'static str = "grpc";
    const PROTOCOL: Protocol = GRPC;

    fn config(&self) -> &ServerConfig {
        self.config()
    }

    /// Breaks silent connections; after the opening, pings show whether there still is a caller.
    fn guards(config: &ServerConfig) -> Guards {
        Guards { opening: Some((OPENING, config.timeouts.connect())), ..Guards::default() }
    }

    async fn start(self, closing: watch::Receiver<bool>) -> Result<impl Answer> {
        let config = *self.config();
        // Whoever watches the health is let go, which would otherwise keep its connection open.
        let health = HealthServer::new(Watched::new(self.0.clone(), closing.clone()));
        let routes = Routes::new(self.with_closing(closing)).add_service(health);
        let routes = reflection(routes)?.prepare();
        Ok(GrpcRoutes { routes, config })
    }
}

/// Adds reflection, which tells callers which calls there are.
fn reflection(routes: Routes) -> Result<Routes> {
    let builder = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(crate::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let failed = |error: tonic_reflection::server::Error| {
        Error::new(ErrorKind::Internal, "the description of the service cannot be read").with_source(error)
    };
    let (v1, v1alpha) = (builder().build_v1().map_err(failed)?, builder().build_v1alpha().map_err(failed)?);
    Ok(routes.add_service(v1).add_service(v1alpha))
}

impl Answer for GrpcRoutes {
    async fn connection(self, stream: Box<dyn Stream>, mut closing: watch::Receiver<bool>) {
        let GrpcRoutes { routes, config } = self;
        let connection = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(config.timeouts.keep_alive())
            .keep_alive_timeout(config.timeouts.keep_alive_timeout())
            .max_concurrent_streams(config.calls_per_connection.max(1))
            .max_header_list_size(16 << 10)
            .initial_stream_window_size(256 << 10)
            .initial_connection_window_size(1 << 20)
            .max_send_buf_size(64 << 10)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes));
        run_connection(Box::pin(connection), &mut closing, |connection| connection.graceful_shutdown()).await;
    }
}
