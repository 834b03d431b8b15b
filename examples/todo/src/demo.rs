//! Two people with a list each.

use synckit::{Endpoint, NodeId};
use synckit_sqlite::SqliteStore;

use crate::{Result, open, sync};

/// Without a network, both rename the same to-do.
pub(crate) async fn run() -> Result {
    let directory = tempfile::tempdir()?;
    let hub =
        Endpoint::new(SqliteStore::open_as(directory.path().join("hub.db"), NodeId::new("hub")?).await?);
    let [ann, ben] = [
        open(directory.path().join("ann.db"), "ann").await?,
        open(directory.path().join("ben.db"), "ben").await?,
    ];
    crate::run(&ann, &["add", "buy milk"]).await?;
    for todos in [&ann, &ben] {
        sync(todos, hub.clone()).await?;
    }
    crate::run(&ann, &["rename", "1", "buy oat milk"]).await?;
    crate::run(&ben, &["rename", "1", "buy two pints of milk"]).await?;
    for todos in [&ann, &ben] {
        sync(todos, hub.clone()).await?;
    }
    crate::run(&ben, &["list"]).await?;
    crate::run(&ben, &["rename", "1", "buy two pints of oat milk"]).await?;
    crate::run(&ben, &["done", "1"]).await?;
    for todos in [&ben, &ann] {
        sync(todos, hub.clone()).await?;
    }
    crate::run(&ann, &["list"]).await
}
