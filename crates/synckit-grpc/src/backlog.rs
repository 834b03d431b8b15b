//! Batch after batch in one call, at the client.

use std::future::Future;
use std::pin::pin;

use futures_util::{Stream, StreamExt};
use synckit_core::{ErrorKind, PushRequest, PushResponse, Result};

use crate::exchange::{GrpcTransport, answer};
use crate::frame::framed;
use crate::method::Rpc;
use crate::outgoing::outgoing;

/// Calls that gRPC has beyond those of every transport.
///
/// ```
/// use futures_util::stream;
/// use synckit_core::{PushRequest, PushResponse, Result};
/// use synckit_grpc::{GrpcTransport, PushStream};
///
/// async fn hand_over(hub: &GrpcTransport, backlog: Vec<PushRequest>) -> Result<PushResponse> {
///     hub.push_stream(stream::iter(backlog)).await
/// }
/// ```
pub trait PushStream {
    /// Sends batches one after another in one call, for backlogs: it does not wait for a round trip between them. Each
    /// is stored as by [`Transport::push`](synckit_core::Transport::push), and one answer covers them all: counts are
    /// sums, and it names all that are refused.
    ///
    /// The next batch is taken from the stream when the one before is on its way. There is no limit on the total time;
    /// the server waits [`Timeouts::idle_ms`](crate::Timeouts::idle_ms) for each batch. Dropping the call ends it; the
    /// batches that the server has stored by then stay stored, and can be sent again.
    ///
    /// # Errors
    /// Those of the first batch that fails as a whole; the batches before it are stored.
    fn push_stream(
        &self,
        batches: impl Stream<Item = PushRequest> + Send,
    ) -> impl Future<Output = Result<PushResponse>> + Send;
}

impl PushStream for GrpcTransport {
    async fn push_stream(&self, batches: impl Stream<Item = PushRequest> + Send) -> Result<PushResponse> {
        self.run("push_stream", async |exchange| {
            let (out, body) = outgoing(self.config().timeouts.request());
            let coding = self.config().coding();
            let sending = async {
                let out = out;
                let mut batches = pin!(batches);
                while let Some(batch) = batches.next().await {
                    let message = framed(&exchange.packed(&batch, coding).await?);
                    if out.message(message).await.is_err() {
                        // The server has answered, or is gone; the other half of this call reports which.
                        return Ok(());
                    }
                }
                out.end(None).await;
                Ok(())
            };
            let answering =
                async { answer(exchange.open_call(Rpc::PushStream, None, body, coding).await?).await };
            let mut answering = pin!(answering);
            let answer = tokio::select! {
                answer = &mut answering => answer,
                sent = sending => match sent {
                    Ok(()) => answering.await,
                    Err(error) => Err(error),
                },
            };
            answer?.read(&self.config().limits, ErrorKind::Corrupt).await
        })
        .await
    }
}
