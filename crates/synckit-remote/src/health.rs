//! Whether a server can answer calls, for those who watch it.

use std::time::Duration;

use synckit_core::{Caller, Error, ErrorKind, MissingRequest, NodeId, Result, StoreId, Transport};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

/// How long the transport may take to answer.
const LIMIT: Duration = Duration::from_secs(5);

/// What is known of the health of a transport. One question at a time is asked, whoever wants to know.
#[derive(Debug, Default)]
pub(crate) struct Health(Mutex<Option<Asked>>);

#[derive(Debug)]
struct Asked {
    began: Instant,
    /// Why the transport cannot answer, if so.
    trouble: Option<(ErrorKind, String)>,
}

impl Health {
    /// Asks the transport a question that changes nothing and takes a look at its store. Who comes while another asks
    /// shares the next answer with all who come meanwhile.
    ///
    /// Can be dropped at any time.
    pub(crate) async fn check(&self, transport: &impl Transport) -> Result<()> {
        let arrived = Instant::now();
        let mut last = self.0.lock().await;
        let began = Instant::now();
        if last.as_ref().is_none_or(|last| last.began <= arrived) {
            let trouble = ask(transport).await.err().map(|error| (error.kind(), error.message().to_owned()));
            let was = last.take().and_then(|asked| asked.trouble);
            match (&was, &trouble) {
                (None, Some((kind, message))) => tracing::error!(
                    ?kind,
                    reason = message,
                    "calls cannot be answered, which the health of this server says from now on; look at the store"
                ),
                (Some(_), None) => tracing::info!("calls can be answered again"),
                _ => {}
            }
            *last = Some(Asked { began, trouble });
        }
        match last.as_ref().and_then(|asked| asked.trouble.as_ref()) {
            Some((kind, message)) => Err(Error::new(*kind, message.clone())),
            None => Ok(()),
        }
    }
}

async fn ask(transport: &impl Transport) -> Result<()> {
    let caller = Caller { node: NodeId::new("health")?, store: StoreId::from_bytes([0; 16]) };
    match timeout(LIMIT, transport.missing(MissingRequest { caller, ids: Vec::new(), known: Vec::new() }))
        .await
    {
        // A transport that knows its callers and turns this one away has answered.
        Ok(Err(error)) if error.kind() == ErrorKind::Denied => Ok(()),
        Ok(answer) => answer.map(drop),
        Err(_) => Err(Error::new(ErrorKind::Timeout, "the store does not answer in time")),
    }
}
