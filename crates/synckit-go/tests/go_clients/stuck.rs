//! No client stops for good without an error that names the event: what used to stop one, or starve it.

use std::sync::Arc;

use serde_json::{Value, json};
use synckit_core::{Data, NewEvent};
use synckit_go::GoClients;
use synckit_http::HttpService;
use synckit_sqlite::SqliteStore;
use tower_service::Service;

use crate::hub::{Hub, event, new_event, node};
use crate::table::Table;

fn events(name: &str, of: &str, count: usize) -> Vec<NewEvent> {
    (0..count).map(|n| new_event(&format!("{name}-{n}"), of)).collect()
}

/// Records events at a replica and syncs it with the hub.
async fn write(hub: &Hub, name: &str, of: &str, count: usize) {
    let replica = hub.replica(name).await;
    for batch in events(name, of, count).chunks(1_000) {
        replica.replica().record(batch.to_vec()).await.unwrap();
    }
    replica.sync().await.unwrap();
}

fn bad_row() -> Value {
    json!({"id": "bad row", "type": "", "aggregate_id": "x", "data": 1, "metadata": null})
}

#[tokio::test]
async fn numbers_of_many_digits_come_back_in_their_shortest_form_and_are_the_same() {
    let hub = Hub::start().await;
    let replica = hub.replica("rep").await;
    let mut state = 4_711_u64;
    let numbers: Vec<String> = (0..500)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            format!("{}.{:016}", state >> 60, (state >> 8) % 10_000_000_000_000_000)
        })
        .chain(["9.3123119522727791".to_owned()])
        .collect();
    let new = numbers.iter().enumerate().map(|(n, number)| {
        let new = NewEvent::with_data("Noted", "x", Data::json(number).unwrap()).unwrap();
        new.with_id(format!("n{n}").parse().unwrap())
    });
    replica.replica().record(new).await.unwrap();
    replica.sync().await.unwrap();
    let as_go_writes_it = |number: &String| number.parse::<f64>().unwrap().to_string();
    let rows = numbers.iter().enumerate().map(|(n, number)| {
        let number = as_go_writes_it(number);
        format!(
            r#"{{"event":{{"id":"n{n}","type":"Noted","aggregate_id":"x","data":{number},"metadata":null}},"version":"{}"}}"#,
            n + 1
        )
    });
    let body = format!("[{}]", rows.collect::<Vec<_>>().join(","));
    let answer = hub.call("POST", "/clients/ann/push", "", body.as_bytes()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let body = body.replace("9.312311952272779", "9.312311952272777");
    let answer = hub.call("POST", "/clients/ann/push", "", body.as_bytes()).await;
    assert!(answer.status == 409 && answer.error().contains("\"n500\""), "{}", answer.text());
}

#[tokio::test]
async fn a_refused_row_is_named_at_every_sync_and_pulling_goes_on() {
    let hub = Hub::start().await;
    for table in [Table::new("/clients/ann"), Table::v0_8("/clients/bob")] {
        let mut table = table;
        let name = if hub.log().await.is_empty() { "first" } else { "second" };
        for n in 0..250 {
            if n == 150 {
                assert!(table.insert(bad_row()));
            }
            table.record(&format!("{name}-own-{n}"), "x");
        }
        for round in 0..4 {
            let writer = format!("{name}-{round}");
            write(&hub, &writer, "y", 30).await;
            let error = table.sync(&hub).await.expect_err("the row is refused");
            assert!(
                error.contains("event 1 \"bad row\"") || error.contains("event 50 \"bad row\""),
                "{error}"
            );
        }
        for n in 0..30 {
            assert!(table.holds(&format!("{name}-2-{n}")), "what was written two syncs ago is here");
        }
        table.delete("bad row");
        table.sync(&hub).await.unwrap();
        table.sync(&hub).await.unwrap();
        assert_eq!(table.ids(), hub.ids().await);
    }
}

#[tokio::test]
async fn a_filter_that_leaves_out_whole_pages_does_not_starve_what_comes_later() {
    let wanted = |event: &Value| event["aggregate_id"].as_str().unwrap().starts_with("wanted");
    for mut ann in
        [Table::new("/clients/ann").with_filter(wanted), Table::v0_8("/clients/ann").with_filter(wanted)]
    {
        let hub = Hub::start().await;
        write(&hub, "unwanted", "x", 3_500).await;
        write(&hub, "some", "wanted", 1).await;
        for sync in 0.. {
            assert!(sync < 10, "four pages, and two are sent again before the filter is noticed");
            ann.sync(&hub).await.unwrap();
            if ann.holds("some-0") {
                break;
            }
        }
        ann.record("own", "wanted too");
        write(&hub, "more", "wanted as well", 1).await;
        ann.sync(&hub).await.unwrap();
        assert!(ann.holds("more-0") && hub.ids().await.contains("own"));
        assert_eq!(ann.ids().len(), 3);
    }
}

#[tokio::test]
async fn a_filter_that_leaves_out_some_events_gets_all_others_and_is_not_thought_to_have_seen_them() {
    let hub = Hub::start().await;
    let mut ann = Table::new("/clients/ann").with_filter(|event| event["type"] == "Noted");
    let replica = hub.replica("rep").await;
    let new = |n: usize| {
        let id = format!("r{n}").parse().unwrap();
        let kind = if n.is_multiple_of(3) { "Noted" } else { "Other" };
        NewEvent::new(kind, format!("a{n}").as_str(), &n).unwrap().with_id(id)
    };
    replica.replica().record((0..1_000).map(new)).await.unwrap();
    replica.replica().record((1_000..2_000).map(new)).await.unwrap();
    replica.sync().await.unwrap();
    for _ in 0..3 {
        ann.sync(&hub).await.unwrap();
    }
    assert_eq!(ann.ids().len(), 667);
    ann.record("on-seen", "a0");
    ann.record("on-filtered", "a1");
    ann.sync(&hub).await.unwrap();
    assert_eq!(hub.conflicts().await, ["a1"]);
}

/// The hub cannot know that a filter was changed, and asks for the rows after the last one it has seen.
#[tokio::test]
async fn older_rows_that_a_wider_filter_lets_through_are_pushed_under_another_name_only() {
    let hub = Hub::start().await;
    let mut ann = Table::new("/clients/ann").with_filter(|event| event["type"] == "Noted");
    let mut left_out = event("left out", "x", json!(1))["event"].take();
    left_out["type"] = json!("Drafted");
    assert!(ann.insert(left_out));
    ann.record("noted", "x");
    for _ in 0..2 {
        ann.sync(&hub).await.unwrap();
    }
    assert!(hub.ids().await.contains("noted") && !hub.ids().await.contains("left out"));
    let mut ann = ann.with_filter(|_| true);
    ann.record("later", "x");
    for _ in 0..3 {
        ann.sync(&hub).await.unwrap();
    }
    assert!(hub.ids().await.contains("later") && !hub.ids().await.contains("left out"));
    let mut bob = Table::new("/clients/bob");
    for (_, row) in &ann.rows {
        assert!(bob.insert(row.clone()));
    }
    bob.sync(&hub).await.unwrap();
    assert!(hub.ids().await.contains("left out"));
    assert_eq!(hub.log().await.len(), 3, "what the hub had is the same event");
}

#[tokio::test]
async fn a_large_table_reaches_its_new_row_within_the_time_of_one_sync() {
    let hub = Hub::start().await;
    let mut ann = Table::new("/clients/ann").with_requests(30);
    for n in 0..3_100 {
        ann.record(&format!("ann-{n}"), "x");
    }
    assert_eq!(ann.sync(&hub).await, Err("context deadline exceeded".to_owned()), "32 batches");
    ann.sync(&hub).await.unwrap();
    assert_eq!(hub.log().await.len(), 3_100);
    for round in 0..3 {
        let pushed = ann.pushed;
        ann.record(&format!("new-{round}"), "x");
        ann.sync(&hub).await.unwrap();
        assert!(hub.ids().await.contains(&format!("new-{round}")));
        assert_eq!(ann.pushed - pushed, 2, "the new row, and the one before it");
    }
    let hub = hub.restart().await;
    ann.record("after a restart", "x");
    ann.sync(&hub).await.unwrap();
    assert!(hub.ids().await.contains("after a restart"));
}

#[tokio::test]
async fn a_page_follows_each_pull_and_what_was_pulled_is_pushed_once() {
    let hub = Hub::holding(6_000).await;
    let mut ann = Table::new("/clients/ann");
    for _ in 0..3 {
        assert_eq!(ann.sync(&hub).await, Ok(1_000));
    }
    for _ in 0..3 {
        assert_eq!(ann.pull(&hub).await, Ok(1_000), "a pull alone goes on too");
    }
    assert_eq!(ann.sync(&hub).await, Ok(0));
    assert_eq!(ann.ids(), hub.ids().await);
    assert!(ann.pushed < 6_100, "{}", ann.pushed);
}

#[tokio::test]
async fn an_answer_that_was_lost_comes_again_even_if_the_client_writes_at_every_sync() {
    let hub = Hub::start().await;
    let mut ann = Table::new("/clients/ann");
    ann.sync(&hub).await.unwrap();
    for round in 0..5 {
        ann.record(&format!("before-{round}"), "x");
        write(&hub, &format!("rep-{round}"), "y", 2).await;
        ann.ask_for_more(&hub).await;
        ann.record(&format!("after-{round}"), "x");
        ann.push(&hub).await.unwrap();
        ann.record(&format!("later-{round}"), "x");
        ann.sync(&hub).await.unwrap();
    }
    for _ in 0..3 {
        ann.sync(&hub).await.unwrap();
    }
    assert_eq!(ann.ids(), hub.ids().await);
    assert_eq!(hub.conflicts().await, [""; 0]);
}

#[tokio::test]
async fn a_table_that_was_restored_from_a_copy_and_grew_is_shown_again() {
    let hub = Hub::start().await;
    let mut ann = Table::new("/clients/ann");
    (0..10).for_each(|n| ann.record(&format!("ann-{n}"), "x"));
    ann.sync(&hub).await.unwrap();
    let mut copy = ann.copy();
    write(&hub, "rep", "y", 5).await;
    (10..20).for_each(|n| ann.record(&format!("ann-{n}"), "x"));
    for _ in 0..2 {
        ann.sync(&hub).await.unwrap();
    }
    (0..30).for_each(|n| copy.record(&format!("copy-{n}"), "x"));
    for _ in 0..4 {
        copy.sync(&hub).await.unwrap();
    }
    assert_eq!(hub.log().await.len(), 10 + 5 + 10 + 30);
    assert_eq!(copy.ids(), hub.ids().await, "it gets back what only its old table had");
}

#[tokio::test]
async fn rows_that_were_deleted_leave_gaps_and_nothing_stops() {
    let hub = Hub::start().await;
    let mut ann = Table::new("/clients/ann");
    for n in 0..500 {
        ann.record(&format!("ann-{n}"), "x");
    }
    for n in (0..500).step_by(7).chain([1, 99, 100, 101, 499, 498]) {
        if ann.holds(&format!("ann-{n}")) {
            ann.delete(&format!("ann-{n}"));
        }
    }
    ann.sync(&hub).await.unwrap();
    assert_eq!(ann.ids(), hub.ids().await);
    let last = ann.rows.last().unwrap().1["id"].as_str().unwrap().to_owned();
    ann.delete(&last);
    ann.record("new", "x");
    for _ in 0..2 {
        ann.sync(&hub).await.unwrap();
    }
    assert!(hub.ids().await.contains("new"));
    write(&hub, "rep", "y", 5).await;
    for _ in 0..2 {
        ann.sync(&hub).await.unwrap();
    }
    assert!(ann.holds("rep-4"));
}

#[tokio::test]
async fn a_client_without_a_name_only_reads_and_is_told_so() {
    let hub = Hub::holding(3).await;
    let mut table = Table::new("");
    table.record("mine", "x");
    for _ in 0..2 {
        let error = table.sync(&hub).await.expect_err("it has no name");
        assert!(error.contains("\"mine\"") && error.contains("/clients/NAME"), "{error}");
    }
    assert_eq!(hub.log().await.len(), 3);
}

#[tokio::test]
async fn the_paths_without_a_name_are_closed_unless_they_are_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteStore::open_as(directory.path().join("hub.db"), node("hub")).await.unwrap();
    let clients = GoClients::new(store.clone()).with_client("ann", node("go-ann")).unwrap();
    let mut service =
        HttpService::new(synckit::Endpoint::new(store)).with_routes(clients.routes().await.unwrap());
    for (path, status) in
        [("/pull", 404), ("/latest-version", 404), ("/sync/sse", 404), ("/clients/ann/pull", 200)]
    {
        let request = http::Request::get(path).body(String::new()).unwrap();
        assert_eq!(service.call(request).await.unwrap().status(), status, "{path}");
    }
}

/// What is logged on this thread, in a file.
struct Log {
    directory: tempfile::TempDir,
    _guard: tracing::subscriber::DefaultGuard,
}

impl Log {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = Arc::new(std::fs::File::create(directory.path().join("hub.log")).unwrap());
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(file).finish();
        Log { directory, _guard: tracing::subscriber::set_default(subscriber) }
    }

    /// Returns the last line with this word.
    fn about(&self, word: &str) -> String {
        let text = std::fs::read_to_string(self.directory.path().join("hub.log")).unwrap();
        text.lines().rev().find(|line| line.contains(word)).expect("a line about it").to_owned()
    }
}

#[tokio::test]
async fn the_hub_logs_which_client_is_stuck_and_why() {
    let log = Log::start();
    let hub = Hub::start().await;
    let answer =
        hub.post("/clients/ann/push", &json!([event("fine", "x", json!(1)), {"event": bad_row()}])).await;
    assert_eq!(answer.status, 400);
    let line = log.about("stuck");
    assert!(line.contains("WARN") && line.contains("go-ann") && line.contains("bad row"), "{line}");
}

#[tokio::test]
async fn a_batch_that_is_too_large_is_stored_as_far_as_it_fits_and_the_next_event_is_named() {
    let log = Log::start();
    let hub = Hub::start().await;
    let clients = [("ann", Table::v0_8("/clients/ann")), ("bob", Table::new("/clients/bob"))];
    for (name, mut table) in clients {
        // A batch of 100 such events has 20 MB, of which the first 10 MiB fit, or 20 MiB unpacked.
        let text = "0123456789".repeat(if name == "ann" { 20_000 } else { 24_000 });
        for n in 0..150 {
            let id = format!("{name}-{n}");
            assert!(table.insert(event(&id, &format!("x{n}"), json!(text))["event"].take()));
        }
        let mut stored = 0;
        while let Err(error) = table.sync(&hub).await {
            let now = hub.ids().await.iter().filter(|id| id.starts_with(name)).count();
            assert!(now > stored, "every sync gets on: {error}");
            stored = now;
            // Where the id comes after the data, it is not in what fits.
            let (next, last) =
                (format!("{name}-{stored}"), format!("the one after \"{name}-{}\"", stored - 1));
            let named = |text: &str| text.contains(&next) || text.contains(&last);
            assert!(named(&error) && error.contains("SyncOptions.BatchSize"), "{error}");
            let line = log.about("stuck");
            assert!(line.contains(&format!("go-{name}")) && named(&line), "{line}");
        }
        assert!(stored > 0, "it was too much at a time");
        assert!(hub.ids().await.contains(&format!("{name}-149")));
        // It goes on receiving and writing as before.
        table.record(&format!("{name}-later"), "x");
        table.sync(&hub).await.unwrap();
        assert!(hub.ids().await.contains(&format!("{name}-later")));
    }
}
