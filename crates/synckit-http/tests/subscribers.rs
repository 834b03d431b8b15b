//! What a subscriber costs the server once it is gone. The conformance suite checks that pages wait for one that does
//! not read.
#![allow(clippy::unwrap_used, reason = "in tests a panic is the report")]

mod common;

use std::time::Duration;

use common::{Server, event, page, pull};
use futures_util::StreamExt;
use synckit_core::{ErrorKind, Transport};
use synckit_http::ServerConfig;

#[tokio::test]
async fn a_subscriber_that_is_gone_frees_its_place() {
    let config = ServerConfig { subscriptions: 1, heartbeat_ms: 20, ..ServerConfig::default() };
    let server = Server::with(config).await;
    for number in 1..=20 {
        server.double.pages.lock().unwrap().push_back(Ok(page(vec![event(number, "1")])));
        let client = server.client();
        // The room of the one before is free as soon as the server has noticed that nobody is there.
        let freed = async {
            loop {
                match client.subscribe(pull()).await {
                    Ok(pages) => return pages,
                    Err(error) => assert_eq!(error.kind(), ErrorKind::Busy),
                }
            }
        };
        let mut pages = tokio::time::timeout(Duration::from_secs(30), freed).await.expect("it is freed");
        assert_eq!(pages.next().await.unwrap().unwrap().events.len(), 1);
        let other = server.client().subscribe(pull()).await.err().expect("there is room for one");
        assert_eq!(other.kind(), ErrorKind::Busy);
    }
}
