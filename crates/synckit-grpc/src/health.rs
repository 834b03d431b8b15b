//! `grpc.health.v1.Health`: whether calls can be answered, by a look into the store behind the service.

use std::pin::Pin;
use std::time::Duration;

use futures_util::{Stream, stream};
use synckit_core::{Error, Transport};
use synckit_net::raised;
use synckit_remote::Service;
use tokio::sync::watch;
use tonic::metadata::MetadataValue;
use tonic::{Request, Response, Status, async_trait};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::Health;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use crate::method::SERVICE;

/// How often the store is looked at for those who watch.
const WATCH: Duration = Duration::from_secs(5);

/// The key of the reason in the metadata of an answer that is not `SERVING`.
const REASON: &str = "reason";

/// The health of a service.
pub(crate) struct Watched<T> {
    service: Service<T>,
    closing: watch::Receiver<bool>,
}

impl<T: Transport> Watched<T> {
    /// Watches this service. Those who watch are let go when the flag is raised.
    pub(crate) fn new(service: Service<T>, closing: watch::Receiver<bool>) -> Self {
        Watched { service, closing }
    }
}

/// Returns whether this is the name of the service, or of the server as a whole.
fn is_known(name: &str) -> bool {
    ["", SERVICE].contains(&name)
}

fn answer(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status as i32 }
}

async fn status(service: &Service<impl Transport>) -> (ServingStatus, Option<Error>) {
    match service.check_health().await {
        Ok(()) => (ServingStatus::Serving, None),
        Err(error) => (ServingStatus::NotServing, Some(error)),
    }
}

#[async_trait]
impl<T: Transport> Health for Watched<T> {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        if !is_known(&request.get_ref().service) {
            return Err(Status::not_found(format!("this server has {SERVICE}")));
        }
        let (status, trouble) = status(&self.service).await;
        let mut response = Response::new(answer(status));
        if let Some(reason) = trouble.and_then(|error| MetadataValue::try_from(error.message()).ok()) {
            response.metadata_mut().insert(REASON, reason);
        }
        Ok(response)
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let known = is_known(&request.get_ref().service);
        let (service, closing) = (self.service.clone(), self.closing.clone());
        let state = (service, closing, None);
        let statuses = stream::unfold(state, move |(service, mut closing, last)| async move {
            let next = async {
                loop {
                    if last.is_some() {
                        tokio::time::sleep(WATCH).await;
                    }
                    let now = if known { status(&service).await.0 } else { ServingStatus::ServiceUnknown };
                    if last != Some(now) {
                        return now;
                    }
                }
            };
            let now = tokio::select! {
                now = next => now,
                () = raised(&mut closing) => return None,
            };
            Some((Ok(answer(now)), (service, closing, Some(now))))
        });
        Ok(Response::new(Box::pin(statuses)))
    }
}
