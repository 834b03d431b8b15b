//! A fresh id for a store: every handle uses it, from the commit on.

use synckit_core::{Dot, ErrorKind, EventStore, Identity, Limits, Needs, Query, Renewal, Result, StoreId};
use synckit_plan::{Receive, Renew, StoreExt};

use super::{contents, log_of, open, record};
use crate::case::{CaseResult, skip};
use crate::fixture::StoreFixture;
use crate::samples::{Author, NOW, entropy, new_event};

/// Renews the store that has this id.
async fn renew(store: &impl EventStore, id: StoreId) -> Result<Identity> {
    store.commit(Renew::new(id, Renewal::Asked, NOW, entropy())).await
}

/// Checks that this is the id of the store in all it returns, and in how it decides about a commit.
async fn check_id(store: &impl EventStore, id: StoreId) -> Result<()> {
    assert_eq!(store.head().await?.store, id);
    assert_eq!(store.read(Query::after(0)).await?.store, id);
    assert_eq!(store.read(Query::after(u64::MAX)).await?.store, id);
    assert_eq!(store.facts(Needs::default()).await?.head.store, id);
    // Events that come from the store itself are refused, and those from the id that it gave up are not.
    let own =
        Receive::new(Some(id), Author::new("far").write_many("y", 1), NOW, Limits::default(), entropy());
    let refused = store.commit(own).await.map_err(|error| error.kind());
    assert_eq!(refused, Err(ErrorKind::Conflict));
    Ok(())
}

/// Events are recorded between renewals through either handle, so that the case tests what a handle keeps from one
/// commit to the next.
pub async fn every_handle_goes_by_the_new_id<F: StoreFixture>(fixture: &F) -> CaseResult {
    let mut handles = vec![open(fixture).await?];
    if fixture.opens_twice() {
        handles.push(open(fixture).await?);
    }
    let mut gone = Vec::new();
    for round in 0..4 {
        for (at, store) in handles.iter().enumerate() {
            for part in 0..2 {
                record(store, vec![new_event("x", &format!("{round}-{at}-{part}"))]).await?;
            }
        }
        let (store, id) = (&handles[round % handles.len()], handles[0].head().await?.store);
        gone.push(id);
        let identity = renew(store, id).await?;
        let renewed = store.head().await?.store;
        assert!(!gone.contains(&renewed) && gone.iter().all(|id| identity.was(*id)));
        for (at, store) in handles.iter().enumerate() {
            check_id(store, renewed).await?;
            assert_eq!(store.identity().await?, identity);
            let event = record(store, vec![new_event("x", &format!("{round}-{at}"))]).await?.events.remove(0);
            assert_eq!(event.dot, Some(Dot::new(identity.author.clone(), at as u64 + 1)));
            check_id(store, renewed).await?;
        }
        // A late request, for an id that is gone, changes nothing.
        for store in &handles {
            let before = contents(store).await?;
            assert_eq!(renew(store, id).await?, identity);
            assert_eq!(contents(store).await?, before);
        }
    }
    let log = log_of(&handles[0]).await?;
    assert_eq!(log.len(), 4 * 3 * handles.len());
    Ok(())
}

/// After closing and opening, the store has the id and the name that it took.
pub async fn a_new_id_survives_closing<F: StoreFixture>(fixture: &F) -> CaseResult {
    if !fixture.survives_reopen() {
        return skip("a_new_id_survives_closing", "this log does not outlive its store");
    }
    let store = open(fixture).await?;
    record(&store, vec![new_event("x", "1")]).await?;
    let id = store.head().await?.store;
    let identity = renew(&store, id).await?;
    let (head, before) = (store.head().await?, contents(&store).await?);
    store.close().await?;
    drop(store);
    let store = open(fixture).await?;
    assert!(store.head().await? == head && head.store != id);
    assert_eq!((store.identity().await?, contents(&store).await?), (identity.clone(), before));
    check_id(&store, head.store).await?;
    let event = record(&store, vec![new_event("x", "2")]).await?.events.remove(0);
    assert_eq!(event.dot, Some(Dot::new(identity.author, 1)));
    Ok(())
}
