//! What a client had seen when it wrote an event, and what is a conflict.

use crate::hub::{Hub, new_event};
use crate::table::Table;

#[tokio::test]
async fn an_edit_on_what_was_not_seen_is_a_conflict_and_on_what_was_seen_is_none() {
    let hub = Hub::start().await;
    let replica = hub.replica("rep").await;
    replica.replica().record([new_event("r1", "x"), new_event("r2", "y")]).await.unwrap();
    replica.sync().await.unwrap();
    let mut ann = Table::new("/clients/ann");
    ann.record("a1", "x");
    ann.sync(&hub).await.unwrap();
    assert_eq!(hub.conflicts().await, ["x"], "it had not seen r1 when it wrote");
    assert_eq!(ann.sync(&hub).await, Ok(2), "r1 and r2");
    ann.record("a2", "x");
    ann.record("a3", "y");
    ann.sync(&hub).await.unwrap();
    assert_eq!(hub.conflicts().await, [""; 0], "a2 is on top of both");
    let report = replica.sync().await.unwrap();
    assert_eq!(report.pulled, 3);
    let log = hub.log().await;
    let of = |id: &str| log.iter().find(|stored| stored.event.id.as_str() == id).unwrap().event.clone();
    assert!(of("a3").has_seen(&of("r2")) && !of("a1").has_seen(&of("r1")));
    assert_eq!(of("a3").dot.unwrap().node.as_str(), "go-ann");
}

#[tokio::test]
async fn an_edit_that_stands_before_what_was_pulled_in_the_same_push_had_not_seen_it() {
    let hub = Hub::start().await;
    let replica = hub.replica("rep").await;
    let mut ann = Table::new("/clients/ann");
    ann.record("a1", "w");
    ann.sync(&hub).await.unwrap();
    ann.record("a2", "x");
    replica.replica().record([new_event("r1", "x")]).await.unwrap();
    replica.sync().await.unwrap();
    ann.sync(&hub).await.unwrap();
    assert_eq!(hub.conflicts().await, ["x"]);
}

#[tokio::test]
async fn an_answer_that_is_lost_is_no_proof_that_anything_was_seen() {
    let hub = Hub::start().await;
    let replica = hub.replica("rep").await;
    let mut ann = Table::new("/clients/ann");
    ann.record("a1", "w");
    ann.sync(&hub).await.unwrap();
    replica.replica().record([new_event("r1", "x")]).await.unwrap();
    replica.sync().await.unwrap();
    assert_eq!(ann.ask_for_more(&hub).await.json().as_array().unwrap().len(), 1, "and nothing of it arrives");
    ann.record("a2", "x");
    ann.push(&hub).await.unwrap();
    assert_eq!(hub.conflicts().await, ["x"]);
    assert_eq!(ann.pull(&hub).await, Ok(1), "it comes again");
}
