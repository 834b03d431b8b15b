//! Why an event stands or not, what was decided, and who is notified.

use std::sync::{Arc, Mutex};

use synckit::{
    ErrorKind, FirstWriteWins, LastWriteWins, ManualReview, Replica, RuleResolver, Rules, SyncManager,
    conflict::{Answer, Condition, Rule},
    observe::Notice,
};

use super::{conflict_of, edited_apart, id, live, manager};

#[tokio::test]
async fn an_event_is_explained_with_the_rule_and_the_resolver_that_decided() {
    let (_, b, hub) = edited_apart(1).await;
    let rules = Rules::new(LastWriteWins).with_rule(Rule::new(
        "notes",
        Condition::AggregatePrefix("note-".into()),
        FirstWriteWins,
    ));
    let told = Arc::new(Mutex::new(Vec::new()));
    let hook = told.clone();
    let by_rules = SyncManager::builder(
        Replica::builder(b.clone())
            .with_resolver(RuleResolver::new(rules).unwrap())
            .with_observer(move |notice: &Notice<'_>| {
                let told = match notice {
                    Notice::RuleMatched { rule, .. } => format!("rule {rule}"),
                    Notice::ConflictSettled { aggregate, .. } => format!("settled {aggregate}"),
                    Notice::ConflictLeft { .. } | Notice::ConflictFailed { .. } => format!("{notice:?}"),
                    _ => return,
                };
                hook.lock().unwrap().push(told);
            })
            .build(),
        synckit::Endpoint::new(hub.clone()),
    )
    .build();
    let report = by_rules.sync().await.unwrap();
    assert_eq!(report.conflicts.settled_by.get("rules: notes"), Some(&1));
    assert_eq!(*told.lock().unwrap(), ["rule notes", "settled note-00000"]);

    let stands = live(&b, "note-00000").await.remove(0);
    let history = by_rules.replica().history(&id("note-00000")).await.unwrap();
    let lost = history
        .entries()
        .iter()
        .find(|entry| matches!(entry.standing, synckit::conflict::Standing::Superseded { .. }));
    let lost = lost.expect("the losing edit is in the history").event.clone();
    let why = by_rules.replica().explain(&lost.id).await.unwrap();
    assert!(!why.stands && why.seen == 0 && why.on_top_of.is_empty());
    assert_eq!(why.concurrent_with, std::slice::from_ref(&stands.id));
    let decided = why.decided.unwrap();
    assert_eq!((decided.by.as_str(), decided.rule.as_deref()), ("rules", Some("notes")));
    assert_eq!(
        (decided.reason.as_deref(), decided.kept, decided.kept_dot),
        (Some("first-write-wins"), Some(stands.id.clone()), stands.dot.clone())
    );
    assert!(decided.settled.contains(&lost.dot.unwrap()) && decided.settled.len() == 2);
    assert_eq!(
        why.because,
        format!("it does not stand: rules (rule notes) kept {}, because: first-write-wins", stands.id)
    );
    let why = by_rules.replica().explain(&stands.id).await.unwrap();
    assert!(why.stands && why.because.starts_with("it stands: rules (rule notes) kept"), "{why:?}");
    let why = by_rules.replica().explain(&decided.resolution).await.unwrap();
    assert_eq!((why.seen, why.on_top_of.len(), why.dot), (2, 2, None));
    let error = by_rules.replica().explain(&"nobody".parse().unwrap()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn all_decisions_are_listed_page_by_page_and_exported() {
    let (_, b, hub) = edited_apart(30).await;
    manager(&b, &hub).sync().await.unwrap();
    let person = manager(&b, &hub);
    let top = person.replica().heads(&id("note-00007")).await.unwrap();
    let conflict = person.replica().settled_conflict(&id("note-00007"), &top[0]).await.unwrap();
    person.replica().settle(&conflict, Answer::KeepAll, "ann").await.unwrap();
    let (mut entries, mut lines, mut after) = (Vec::new(), Vec::new(), 0);
    loop {
        let page = person.replica().audit(after, 10).await.unwrap();
        assert!(page.entries.len() <= 10 && page.scanned_to > after);
        page.write_json_lines(&mut lines).unwrap();
        after = page.scanned_to;
        entries.extend(page.entries);
        if !page.more {
            break;
        }
    }
    assert_eq!(entries.len(), 31);
    let by_ann = entries.last().unwrap();
    assert_eq!((by_ann.by.as_str(), by_ann.by_person, by_ann.decision), ("ann", true, "keep_all"));
    let kept = entries.iter().filter_map(|entry| entry.kept.as_ref().zip(entry.kept_dot.as_ref()));
    assert_eq!(kept.count(), 30, "by id and by dot");
    assert_eq!(entries.iter().filter(|entry| !entry.by_person && entry.by == "last-write-wins").count(), 30);
    let exported: Vec<serde_json::Value> =
        String::from_utf8(lines).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(exported.len(), 31);
    assert_eq!(exported[30]["decision"], "keep_all");
}

#[tokio::test]
async fn what_is_left_is_told_too() {
    let (_, b, hub) = edited_apart(1).await;
    let told = Arc::new(Mutex::new(Vec::new()));
    let hook = told.clone();
    let left = SyncManager::builder(
        Replica::builder(b.clone())
            .with_resolver(ManualReview)
            .with_observer(move |notice: &Notice<'_>| {
                if let Notice::ConflictLeft { aggregate, .. } = notice {
                    hook.lock().unwrap().push(aggregate.to_string());
                }
            })
            .build(),
        synckit::Endpoint::new(hub.clone()),
    )
    .build();
    left.sync().await.unwrap();
    assert_eq!(*told.lock().unwrap(), ["note-00000"]);
    let side = &conflict_of(&b, "note-00000").await.branches[0].stands_for;
    let why = left.replica().explain(&side.id).await.unwrap();
    assert!(why.stands && why.decided.is_none() && why.because.contains("nobody has decided"), "{why:?}");
}
