//! What a view keeps, as an application queries it past the store.

use std::collections::BTreeMap;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, Connection, SqliteConnection};
use synckit::view::View;
use synckit::{Event, NewEvent, NodeId, Replica};
use synckit_sqlite::SqliteStore;

/// Counts what was sold.
struct Sold;

impl View for Sold {
    type State = BTreeMap<String, i64>;

    fn name(&self) -> &str {
        "sold"
    }

    fn apply(&self, sold: &mut Self::State, _: &Event) {
        *sold.entry("items".to_owned()).or_default() += 1;
    }
}

/// As documented for applications: states can be queried, and an index of one's own is kept and used.
#[tokio::test]
async fn what_a_view_keeps_can_be_queried_with_sql() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("a.db");
    let node = |name: &str| NodeId::new(name).expect("valid");
    let store = SqliteStore::open_as(&path, node("n")).await.expect("opens");
    let replica = Replica::new(store);
    let view = replica.with_view(Sold).expect("a good name");
    let sold = |of: &str| NewEvent::new("Sold", of, &1).expect("valid");
    replica.record([sold("apple"), sold("pear"), sold("apple")]).await.expect("records");
    view.catch_up(|_, _| {}).await.expect("catches up");
    let options = SqliteConnectOptions::new().filename(&path);
    let mut connection = SqliteConnection::connect_with(&options).await.expect("connects");
    let (field, states) = (
        "json_extract(CAST(value AS TEXT), '$.state.items')",
        "key >= 'view/sold/1/state/' AND key < 'view/sold/1/state0'",
    );
    let index = format!("CREATE INDEX sold_items ON notes ({field}) WHERE {states}");
    sqlx::raw_sql(AssertSqlSafe(index)).execute(&mut connection).await.expect("creates");
    replica.record([sold("plum"), sold("plum")]).await.expect("records");
    view.catch_up(|_, _| {}).await.expect("catches up");
    let select = format!("SELECT substr(key, 19) FROM notes WHERE {states} AND {field} = 2 ORDER BY key");
    let found: Vec<String> =
        sqlx::query_scalar(AssertSqlSafe(select.clone())).fetch_all(&mut connection).await.expect("selects");
    assert_eq!(found, ["apple", "plum"]);
    let plan: Vec<(i64, i64, i64, String)> =
        sqlx::query_as(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {select}")))
            .fetch_all(&mut connection)
            .await
            .expect("explains");
    assert!(plan.iter().any(|(.., step)| step.contains("sold_items")), "{plan:?}");
    connection.close().await.expect("closes");
    // The store opens as before.
    drop((view, replica));
    SqliteStore::open_as(&path, node("n")).await.expect("opens");
}
