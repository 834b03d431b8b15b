//! Rules read from a file decide like rules built in code, in each format, even when they are replaced at run time.

use synckit::{
    Conflict, Endpoint, KeepAll, NewEvent, NodeId, Replica, RuleResolver, SyncManager,
    conflict::{Answer, Closure},
    observe::Notice,
};
use synckit_memory::MemoryStore;
use synckit_rules::{Format, RuleReader};

const TOML: &str = r#"
fallback = "last-write-wins"

[[rules]]
name = "prices"
when = { field_clashes = "price" }
resolve = "review"

[[rules]]
name = "notes"
when = { aggregate_prefix = "note-", not = { origin = "import" } }

[[rules.rules]]
name = "merged"
when = { any = [{ metadata = { kind = "form" } }, { event_type = ["Form", "Sheet"] }] }
resolve = { use = "field-merge", fields = { tags = "union" } }

[[rules]]
name = "mine"
when = { aggregate = "special" }
resolve = "own"
"#;

const YAML: &str = r#"
fallback: last-write-wins
rules:
  - name: prices
    when: { field_clashes: price }
    resolve: review
  - name: notes
    when:
      aggregate_prefix: note-
      not: { origin: import }
    rules:
      - name: merged
        when:
          any:
            - metadata: { kind: form }
            - event_type: [Form, Sheet]
        resolve:
          use: field-merge
          fields: { tags: union }
  - name: mine
    when: { aggregate: special }
    resolve: own
"#;

const JSON: &str = r#"{
  "fallback": "last-write-wins",
  "rules": [
    {"name": "prices", "when": {"field_clashes": "price"}, "resolve": "review"},
    {"name": "notes", "when": {"aggregate_prefix": "note-", "not": {"origin": "import"}}, "rules": [
      {"name": "merged", "when": {"any": [{"metadata": {"kind": "form"}}, {"event_type": ["Form", "Sheet"]}]},
       "resolve": {"use": "field-merge", "fields": {"tags": "union"}}}
    ]},
    {"name": "mine", "when": {"aggregate": "special"}, "resolve": "own"}
  ]
}"#;

fn reader() -> RuleReader {
    RuleReader::new().with_resolver(Closure::new("own", |_: &Conflict| Ok(Answer::KeepAll)))
}

fn store(name: &str) -> MemoryStore {
    MemoryStore::new(NodeId::new(name).expect("a short name")).expect("randomness")
}

/// Returns the rules by which a sync settles conflicts in these aggregates; `review` for a conflict that is left.
async fn rules_of(resolver: &RuleResolver) -> Vec<(String, String)> {
    let (a, b, hub) = (store("a"), store("b"), store("hub"));
    for (side, store) in [("a", &a), ("b", &b)] {
        let manager = SyncManager::new(store.clone(), Endpoint::new(hub.clone()));
        let event = |event_type: &str, aggregate: &str, json: String| {
            let data = synckit::Data::json(json).expect("JSON");
            NewEvent::with_data(event_type, aggregate, data).expect("a good event")
        };
        let events = [
            event("Form", "note-1", format!(r#"{{"price":"{side}"}}"#)),
            event("Form", "note-2", format!(r#"{{"price":1,"tags":["{side}"]}}"#)),
            event("Other", "note-3", "1".to_owned()),
            event("Other", "special", "2".to_owned()),
        ];
        manager.replica().record(events).await.expect("recorded");
        let (send, settled) = std::sync::mpsc::channel();
        let observer = move |notice: &Notice<'_>| {
            let told = match notice {
                Notice::ConflictSettled { aggregate, resolution } => {
                    let resolution = synckit::conflict::Resolution::read(resolution).expect("readable");
                    (aggregate.to_string(), resolution.rule.expect("a rule"))
                }
                Notice::ConflictLeft { aggregate, .. } => (aggregate.to_string(), "review".to_owned()),
                _ => return,
            };
            send.send(told).expect("the test listens");
        };
        let manager = SyncManager::builder(
            Replica::builder(store.clone()).with_resolver(resolver.clone()).with_observer(observer).build(),
            Endpoint::new(hub.clone()),
        )
        .build();
        let report = manager.sync().await.expect("syncs");
        drop(manager);
        if side == "b" {
            assert_eq!((report.conflicts.found, report.conflicts.failed), (4, 0));
            let mut settled: Vec<_> = settled.into_iter().collect();
            settled.sort();
            return settled;
        }
    }
    Vec::new()
}

#[tokio::test]
async fn the_same_rules_in_three_formats_decide_alike() {
    for (text, format) in [(TOML, Format::Toml), (YAML, Format::Yaml), (JSON, Format::Json)] {
        let rules = reader().read(text, format).expect("a good file");
        let resolver = RuleResolver::new(rules).expect("good rules");
        let expected =
            [("note-1", "review"), ("note-2", "notes / merged"), ("note-3", "fallback"), ("special", "mine")];
        let expected = expected.map(|(aggregate, rule)| (aggregate.to_owned(), rule.to_owned()));
        assert_eq!(rules_of(&resolver).await, expected, "{format:?}");
    }
}

#[tokio::test]
async fn a_file_is_read_again_while_running_and_a_bad_one_changes_nothing() {
    let directory = std::env::temp_dir().join(format!("synckit-rules-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory");
    let path = directory.join("rules.toml");
    let resolver = RuleResolver::new(synckit::Rules::new(KeepAll)).expect("no rules");
    let used = resolver.clone();

    std::fs::write(&path, TOML).expect("written");
    resolver.replace(reader().read_file(&path).expect("a good file")).expect("good rules");
    let before = rules_of(&used).await;
    assert_eq!(before[3].1, "mine");

    std::fs::write(&path, TOML.replace("\"own\"", "\"owm\"")).expect("written");
    let error = reader().read_file(&path).expect_err("a mistake");
    let message = error.to_string();
    assert!(message.contains("21:11: no resolver is called `owm`"), "{message}");
    assert_eq!(rules_of(&used).await, before);

    assert_eq!(
        reader().read_file(directory.join("x.toml")).expect_err("no file").kind(),
        synckit::ErrorKind::NotFound
    );
    assert!(reader().read_file(directory.join("x.ini")).is_err());
    std::fs::remove_dir_all(&directory).expect("removed");
}
