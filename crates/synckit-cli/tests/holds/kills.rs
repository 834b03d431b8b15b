//! Processes killed at random points: nothing is lost, nothing is stored twice.

use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use synckit::{RetryPolicy, SyncManager};
use synckit_http::HttpTransport;
use synckit_testkit::Rng;

use crate::process::{serve, synckit};
use crate::support::{Hub, assert_causal, assert_same, folder, open, record, settle, until_ok};

const SIGKILL: i32 = 9;
const KILLS: usize = 100;

/// Kills a sync after a random part of its longest time, and returns whether it was killed before it ended.
fn killed_in_its_midst(child: &mut Child, within: Duration, rng: &mut Rng) -> bool {
    let deadline = Instant::now() + within.mul_f64(rng.below(1_000) as f64 / 1_000.0);
    while Instant::now() < deadline {
        if child.try_wait().expect("the sync can be waited for").is_some() {
            return false;
        }
        std::thread::yield_now();
    }
    child.kill().expect("the sync is killed");
    child.wait().expect("the sync ends").signal() == Some(SIGKILL)
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_killed_a_hundred_times_in_push_and_in_pull() {
    let folder = folder();
    let hub = Hub::start(folder.path()).await;
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (a, b) = (open(folder.path(), "a").await, open(folder.path(), "b").await);
    let sync = |name: &str| {
        let mut command = synckit(&["sync", "--db", &path(&format!("{name}.db")), "--batch", "10", &hub.url]);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("a sync starts")
    };
    let (mut rng, mut kills, mut events) = (Rng::new(20), [0, 0], 0);
    // The longest time of a sync with this backlog, including the start of the process.
    let mut longest = Duration::from_millis(200);
    for attempt in 0..20 * KILLS {
        if kills.iter().all(|kills| *kills >= KILLS / 2) {
            break;
        }
        let side = attempt % 2;
        let (manager, name) = if side == 0 { (hub.manager(&a), "a") } else { (hub.manager(&b), "b") };
        record(&manager, &format!("{name} before attempt {attempt}"), 20, 7).await;
        events += 20;
        let started = Instant::now();
        if killed_in_its_midst(&mut sync(name), longest, &mut rng) {
            kills[side] += 1;
        } else {
            longest = started.elapsed().min(longest);
        }
    }
    assert!(kills.iter().all(|kills| *kills >= KILLS / 2), "killed only {kills:?} times");
    settle(&[&hub.manager(&a), &hub.manager(&b)]).await;
    let all = [&hub.store, &a, &b];
    assert_same(&all, events).await;
    for store in all {
        assert_causal(store).await;
    }
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_killed_a_hundred_times_in_push_and_in_pull() {
    let folder = folder();
    let file = folder.path().join("hub.db");
    let (a, b) = (open(folder.path(), "a").await, open(folder.path(), "b").await);
    let manager = |store: &synckit_sqlite::SqliteStore, url: &str| {
        let transport = HttpTransport::new(url).expect("a good address");
        SyncManager::builder(store.clone(), transport)
            .with_retry(RetryPolicy::never())
            .with_batch_size(10)
            .with_call_timeout(Duration::from_secs(10))
            .build()
    };
    let (mut rng, mut broken, mut events) = (Rng::new(21), 0, 0);
    // The shortest time of both syncs in which the hub outlived them.
    let mut shortest = Duration::from_millis(100);
    for round in 0..KILLS {
        let (mut hub, url) = serve(&file);
        let (to_a, to_b) = (manager(&a, &url), manager(&b, &url));
        record(&to_a, &format!("a in round {round}"), 30, 7).await;
        record(&to_b, &format!("b in round {round}"), 30, 7).await;
        events += 60;
        let syncs = tokio::spawn(async move {
            let started = Instant::now();
            let whole = to_a.sync().await.is_ok() & to_b.sync().await.is_ok();
            whole.then(|| started.elapsed())
        });
        let delay = shortest.mul_f64(rng.below(1_000) as f64 / 1_000.0);
        tokio::time::sleep(delay).await;
        hub.kill().expect("the hub is killed");
        hub.wait().expect("the hub ends");
        match syncs.await.expect("the syncs end") {
            Some(took) => shortest = took.min(shortest),
            None => broken += 1,
        }
    }
    assert!(broken >= KILLS / 2, "only {broken} of {KILLS} kills came in the midst of a sync");
    let (mut hub, url) = serve(&file);
    let (to_a, to_b) = (manager(&a, &url), manager(&b, &url));
    until_ok(3, || to_a.sync()).await;
    settle(&[&to_a, &to_b]).await;
    hub.kill().expect("the hub is killed");
    hub.wait().expect("the hub ends");
    let hub_store =
        synckit_sqlite::SqliteStore::open(synckit_sqlite::SqliteConfig::new(&file)).await.expect("opens");
    let all = [&hub_store, &a, &b];
    assert_same(&all, events).await;
    for store in all {
        assert_causal(store).await;
    }
}
