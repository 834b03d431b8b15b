//! A replica that holds only part of an aggregate does not decide by what it does not have.

use synckit::{Data, Digest, Endpoint, FieldMerge, Filter, NewEvent, Replica, SyncManager};

use super::{edit, live, manager, store};

#[tokio::test]
async fn where_a_filter_left_out_the_base_a_merge_is_left_to_those_who_hold_it() {
    let (a, b, c, hub) = (store("a"), store("b"), store("c"), store("hub"));
    let created = Data::json(r#"{"title":"x","text":"y"}"#).unwrap();
    manager(&a, &hub)
        .replica()
        .record([NewEvent::with_data("Created", "note", created).unwrap()])
        .await
        .unwrap();
    manager(&a, &hub).sync().await.unwrap();
    manager(&b, &hub).sync().await.unwrap();
    manager(&a, &hub).replica().record([edit("note", r#"{"title":"X","text":"y"}"#)]).await.unwrap();
    manager(&b, &hub).replica().record([edit("note", r#"{"title":"x","text":"Y"}"#)]).await.unwrap();
    let merging = |store: &synckit_memory::MemoryStore| {
        SyncManager::builder(
            Replica::builder(store.clone()).with_resolver(FieldMerge::new()).build(),
            Endpoint::new(hub.clone()),
        )
    };
    manager(&a, &hub).push().await.unwrap();
    merging(&b).build().push().await.unwrap();

    let partial = merging(&c).with_filter(Filter::new().with_type("Edited").unwrap()).build();
    let report = partial.sync().await.unwrap();
    assert_eq!((report.pulled, report.conflicts.left, report.conflicts.failed), (2, 1, 0));
    let reason = report.conflicts.open[0].reason.as_deref();
    assert_eq!(reason, Some("a filter left out here what the sides share"));

    assert_eq!(merging(&a).build().sync().await.unwrap().conflicts.settled, 1);
    assert_eq!(merging(&b).build().sync().await.unwrap().conflicts.left, 0);
    partial.sync().await.unwrap();
    assert!(partial.replica().conflicts().await.unwrap().is_empty());
    assert_eq!(Digest::of(&a).await.unwrap(), Digest::of(&b).await.unwrap());
    let shown = |events: Vec<synckit::Event>| -> Vec<String> {
        let contents = events.iter().map(|event| synckit::History::content(event).unwrap().data);
        contents.map(|data| data.as_json().unwrap().to_owned()).collect()
    };
    let merged = r#"{"text":"Y","title":"X"}"#;
    assert_eq!(shown(live(&a, "note").await).last().map(String::as_str), Some(merged));
    assert_eq!(shown(live(&c, "note").await), [merged]);
}
