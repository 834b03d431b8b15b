//! How much memory a pull of a long history takes on either side, measured on real processes.

use crate::process::{MIB, memory, serve, synckit};
use crate::support::{Hub, folder, open, record};

/// Runs a sync to its end, and returns its highest memory use.
fn sync(db: &str, node: &str, url: &str) -> u64 {
    let mut child = synckit(&["sync", "--db", db, "--node", node, url]).spawn().expect("a sync");
    let mut peak = 0;
    loop {
        peak = memory(child.id(), "VmHWM").unwrap_or(0).max(peak);
        if let Some(status) = child.try_wait().expect("the sync can be waited for") {
            assert!(status.success());
            return peak;
        }
        std::thread::yield_now();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_of_100_000_events_grows_neither_side_by_64_mib() {
    let folder = folder();
    let hub = Hub::start(folder.path()).await;
    let source = open(folder.path(), "source").await;
    let manager = hub.manager(&source);
    for _ in 0..20 {
        record(&manager, &"history ".repeat(30), 5_000, 1_000).await;
    }
    manager.sync().await.expect("the source syncs");
    hub.stop().await;

    let path = |name: &str| folder.path().join(name).display().to_string();
    let (mut empty, empty_url) = serve(&folder.path().join("empty.db"));
    let idle = sync(&path("idle.db"), "idle", &empty_url);
    empty.kill().expect("the empty hub is ended");
    empty.wait().expect("the empty hub ends");

    let (mut hub, url) = serve(&folder.path().join("hub.db"));
    let before = memory(hub.id(), "VmHWM").expect("the hub runs");
    let client = sync(&path("b.db"), "b", &url);
    let server = memory(hub.id(), "VmHWM").expect("the hub runs");
    hub.kill().expect("the hub is ended");
    hub.wait().expect("the hub ends");

    assert!(client < idle + 64 * MIB, "the client grew from {} to {} MiB", idle / MIB, client / MIB);
    assert!(server < before + 64 * MIB, "the hub grew from {} to {} MiB", before / MIB, server / MIB);
    let b = open(folder.path(), "b").await;
    let status = synckit::SyncManager::new(b, synckit::Endpoint::new(source))
        .replica()
        .status()
        .await
        .expect("a status");
    assert_eq!(status.events, 100_000);
}
