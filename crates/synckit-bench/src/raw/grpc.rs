//! The same rows from one redb file to another through tonic: a stream of protobuf pages of 1,000; the next ones are
//! fetched while one is stored.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use ::redb::Database;
use futures_util::Stream;
use tokio::sync::mpsc;
use tonic::body::Body;
use tonic::server::ServerStreamingService;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Endpoint, Server};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;
use tower_service::Service;

use crate::measure::{Measured, Sample, Scale};
use crate::raw::protobuf::Page;
use crate::raw::redb;

const PATH: &str = "/raw.Pages/Read";

/// Serves all pages of a database, whatever the request is.
#[derive(Clone)]
struct Pages(Arc<Database>);

impl Service<http::Request<Body>> for Pages {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let pages = self.clone();
        let mut grpc = tonic::server::Grpc::new(ProstCodec::<Page, ()>::default());
        Box::pin(async move { Ok(grpc.server_streaming(pages, request).await) })
    }
}

impl ServerStreamingService<()> for Pages {
    type Response = Page;
    type ResponseStream = Pin<Box<dyn Stream<Item = Result<Page, Status>> + Send>>;
    type Future = std::future::Ready<Result<Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, _: Request<()>) -> Self::Future {
        let (pages, taken) = mpsc::channel(1);
        let database = self.0.clone();
        tokio::task::spawn_blocking(move || {
            let mut after = 0;
            while let Some(page) = redb::read_plain(&database, after).transpose() {
                let page = page.map_err(|error| Status::internal(error.to_string()));
                after = page.as_ref().map_or(u64::MAX - 1, |page| page.next);
                if pages.blocking_send(page).is_err() {
                    return;
                }
            }
        });
        let taken = futures_util::stream::unfold(taken, async |mut taken| Some((taken.recv().await?, taken)));
        std::future::ready(Ok(Response::new(Box::pin(taken))))
    }
}

async fn transfer(from: Database, to: Arc<Database>) -> Measured<u64> {
    let incoming = TcpIncoming::bind("127.0.0.1:0".parse()?)?.with_nodelay(Some(true));
    let address = incoming.local_addr()?;
    let server = tokio::spawn(Server::builder().serve_with_incoming(Pages(Arc::new(from)), incoming));
    let channel = Endpoint::from_shared(format!("http://{address}"))?.tcp_nodelay(true).connect().await?;
    let mut grpc = tonic::client::Grpc::new(channel);
    grpc.ready().await?;
    let codec = ProstCodec::<(), Page>::default();
    let answer = grpc.server_streaming(Request::new(()), PATH.parse()?, codec).await?;
    let (pages, mut taken) = mpsc::channel::<Page>(1);
    let fetching = tokio::spawn(async move {
        let mut stream = answer.into_inner();
        while let Some(page) = stream.message().await? {
            pages.send(page).await?;
        }
        Measured::Ok(())
    });
    let storing = tokio::task::spawn_blocking(move || {
        let mut after = 0;
        while let Some(page) = taken.blocking_recv() {
            redb::insert(&to, after, &page.events)?;
            after = page.next;
        }
        Measured::Ok(after)
    });
    fetching.await??;
    let moved = storing.await??;
    server.abort();
    Ok(moved)
}

pub(crate) fn sync(scale: Scale) -> Measured<Sample> {
    let directory = tempfile::tempdir()?;
    let from = redb::filled(&directory.path().join("from.redb"), scale.events)?;
    let to = Arc::new(Database::create(directory.path().join("to.redb"))?);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let mut moved = 0;
    let sample = Sample::of(scale.events, || {
        moved = runtime.block_on(transfer(from, to))?;
        Ok(())
    })?;
    assert_eq!(moved, scale.events as u64, "all events are moved");
    Ok(sample)
}
