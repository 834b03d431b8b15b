//! The log of a replica in a store, in other groups: after every commit, a view shows the events that stand, wherever the
//! process that kept it has died.

use std::cell::LazyCell;

use synckit::plan::Receive;
use synckit::{Event, EventStore, Limits, NodeId, Replica, StoreId};
use synckit_memory::MemoryStore;
use synckit_testkit::views::{Trail, difference};
use synckit_testkit::{Fault, FaultPlan, FaultyStore};
use tokio::runtime::{Builder, Runtime};

use crate::replica::{NOW, entropy};

thread_local! {
    static RUNTIME: LazyCell<Runtime> =
        LazyCell::new(|| Builder::new_current_thread().build().expect("a runtime without I/O"));
}

/// Stores a log commit by commit, and looks at a view after each. `choices` says how many events a commit has, and at which
/// call of the store the process dies before that.
pub(crate) fn show_what_stands(log: &[Event], choices: u64) {
    RUNTIME.with(|runtime| runtime.block_on(follow(log, choices)));
}

async fn follow(log: &[Event], mut choices: u64) {
    let plan = FaultPlan::new();
    let store = MemoryStore::with_id(NodeId::new("V").expect("a short name"), StoreId::from_bytes([4; 16]));
    let store = FaultyStore::new(store.expect("randomness"), plan.clone());
    let view = Replica::new(store.clone()).with_view(Trail { version: 1 }).expect("a good name");
    let mut left = log;
    while !left.is_empty() {
        choices = choices.rotate_right(11);
        let (now, later) = left.split_at(left.len().min(1 + choices as usize % 6));
        left = later;
        let source = Some(StoreId::from_bytes([2; 16]));
        let receive = Receive::new(source, now.to_vec(), NOW, Limits::default(), entropy());
        let received = store.commit(receive).await.expect("stores");
        assert_eq!((received.accepted, &received.refused[..]), (now.len(), &[][..]));
        let fault = if choices & 64 == 0 { Fault::Crash } else { Fault::CrashAfter };
        plan.nth_of_all(1 + (choices >> 8) % 10, fault);
        // It may have caught up before.
        let _ = view.catch_up(|_, _| {}).await;
        plan.heal();
        assert_eq!(difference(&view).await.expect("reads"), None);
    }
}
