//! Hello: who the peer is, how far each side has the other's log, and whether this log was restored or copied.

// Three phases, each with a type for what it passes on:
// - `prepare.rs`: what is known beforehand; `Prepared`
// - this file: what the peer says; `Said`
// - `reconcile.rs`: what follows from both; a `Peer`, or a fresh identity
// - `handover.rs`: a few new events that are sent with the hello

mod handover;
mod prepare;
mod reconcile;

use synckit_core::{
    Caller, Error, ErrorKind, EventStore, Facts, HelloRequest, HelloResponse, Identity, PROTOCOL_VERSION,
    Query, Renewal, Result, StoreId, Transport,
};
use synckit_plan::Renew;

use crate::peer_notes::places_in;
use crate::sync::peer::Peer;
use crate::sync::session::Session;
pub(crate) use handover::Read;

/// The peer that was met last, and how that sync ended.
#[derive(Clone, Debug)]
pub(crate) struct Met {
    pub(crate) peer: StoreId,
    /// The query for what is to be pushed next, and what the exchange wrote last to the note of turns.
    pub(crate) left: Option<(Query, Vec<u8>)>,
}

impl Met {
    pub(crate) fn with(peer: StoreId) -> Self {
        Met { peer, left: None }
    }
}

/// What is known before the hello.
struct Prepared {
    /// The peer that is expected to respond.
    expected: Option<StoreId>,
    /// What is known of the local log and of that peer.
    facts: Facts,
    identity: Identity,
    caller: Caller,
    request: HelloRequest,
    /// What was read to be pushed first.
    read: Option<Read>,
}

/// What the peer said.
struct Said {
    hello: HelloResponse,
    /// What is known of the local log and of the peer, if it is not the expected one.
    facts: Option<Facts>,
    /// Whether that was read after it said hello.
    is_late: bool,
}

impl<S: EventStore, T: Transport> Session<'_, S, T> {
    /// Says hello. `None` if this replica turns out to be restored or copied, or to share its name. It then has a fresh
    /// id and a fresh name, and is a stranger to the peer.
    pub(super) async fn meet(&mut self) -> Result<Option<Peer>> {
        let prepared = self.prepare().await?;
        let hello = match self.calls.hello(prepared.request.clone()).await {
            // The peer uses this store's id.
            Err(error) if error.kind() == ErrorKind::Conflict => {
                return self.renew(&prepared.caller, Renewal::CopyInUse, error).await.map(|()| None);
            }
            hello => hello?,
        };
        let said = self.introduce(&prepared, hello).await?;
        self.reconcile(prepared, said).await
    }

    /// Reads what is known of an unexpected peer, and says hello again if anything is. Its log may be replaced in between,
    /// by one of which other places are known.
    async fn introduce(&self, prepared: &Prepared, mut hello: HelloResponse) -> Result<Said> {
        let (mut asked, mut facts, mut is_late) = (prepared.expected, None, false);
        while asked != Some(hello.store) {
            asked = Some(hello.store);
            let stores: Vec<StoreId> = hello.former.iter().copied().chain([hello.store]).collect();
            let about = self.ask_about(&stores).await?;
            let known = places_in(hello.store, &about)?;
            facts = Some(about);
            is_late = known.is_empty();
            if !is_late {
                let request = HelloRequest { known, ahead: None, ..prepared.request.clone() };
                hello = self.calls.hello(request).await?;
            }
        }
        Ok(Said { hello: checked(hello)?, facts, is_late })
    }

    /// Takes a fresh id and a fresh name, at most once per reason in a sync. A second time, returns the error.
    async fn renew(&mut self, caller: &Caller, why: Renewal, error: Error) -> Result<()> {
        if self.renewed_for.contains(&why) && why != Renewal::SetBack {
            return Err(error);
        }
        self.renewed_for.push(why);
        let renew = Renew::new(caller.store, why, self.replica.now(), self.replica.entropy()?);
        let identity = self.store.commit(renew).await?;
        self.renewed(identity.author, why);
        Ok(())
    }
}

fn checked(hello: HelloResponse) -> Result<HelloResponse> {
    if hello.protocol == PROTOCOL_VERSION {
        return Ok(hello);
    }
    Err(Error::new(ErrorKind::Unsupported, "the peer speaks another version; upgrade the older side")
        .with("peer's version", hello.protocol)
        .with("version here", PROTOCOL_VERSION))
}
