//! Views: what an application shows, kept in the store.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde::{Deserialize, Serialize};
use synckit::conflict::Answer;
use synckit::view::{Changed, Row, View, ViewHandle};
use synckit::{
    AggregateId, Data, Endpoint, ErrorKind, Event, EventStore, KeepAll, ManualReview, NewEvent, NodeId,
    Replica, SyncManager,
};
use synckit_memory::MemoryStore;
use synckit_sqlite::SqliteStore;
use synckit_testkit::{Call, DamagedStore, Fault, FaultPlan, FaultyStore};

/// A task, in the form that one version of the program has.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Task {
    texts: Vec<String>,
    done: bool,
}

/// Lists tasks: the texts that stand, and in rows those that are not done by their last text.
struct Tasks {
    version: u32,
}

impl View for Tasks {
    type State = Task;

    fn name(&self) -> &str {
        "tasks"
    }

    fn version(&self) -> u32 {
        self.version
    }

    fn apply(&self, task: &mut Task, event: &Event) {
        match event.event_type.as_str() {
            "Edited" => task.texts.push(event.data.parse().expect("a text")),
            "Done" if self.version > 1 => task.done = true,
            _ => {}
        }
    }

    fn rows(&self, aggregate: &AggregateId, task: &Task) -> Vec<Row> {
        let text = task.texts.last().filter(|_| !task.done);
        text.map(|text| Row::new(format!("open/{text}"), aggregate.as_str())).into_iter().collect()
    }
}

fn memory(name: &str) -> MemoryStore {
    MemoryStore::new(NodeId::new(name).expect("valid")).expect("randomness")
}

fn task(name: &str) -> AggregateId {
    AggregateId::new(name).expect("valid")
}

fn edited(of: &str, text: &str) -> NewEvent {
    NewEvent::new("Edited", of, text).expect("valid")
}

fn done(of: &str) -> NewEvent {
    NewEvent::new("Done", of, &()).expect("valid")
}

fn tasks<S: EventStore>(replica: &Replica<S>, version: u32) -> ViewHandle<S, Tasks> {
    replica.with_view(Tasks { version }).expect("a good name")
}

async fn texts<S: EventStore>(view: &ViewHandle<S, Tasks>, of: &str) -> Vec<String> {
    view.get(&task(of)).await.expect("reads").map(|task| task.texts).unwrap_or_default()
}

async fn open_rows<S: EventStore>(view: &ViewHandle<S, Tasks>) -> Vec<String> {
    let rows = view.rows("open/", None, 100).await.expect("reads");
    rows.into_iter().map(|(aggregate, row)| format!("{aggregate} {}", row.key)).collect()
}

#[tokio::test]
async fn a_view_shows_what_was_recorded_and_a_second_look_is_one_call() {
    let plan = FaultPlan::new();
    let replica = Replica::new(FaultyStore::new(memory("a"), plan.clone()));
    let view = tasks(&replica, 2);
    assert_eq!(view.get(&task("t-1")).await.expect("reads"), None);
    for number in 0..3_000 {
        replica.record([edited("t-1", &number.to_string())]).await.expect("records");
    }
    replica.record([edited("t-2", "b"), edited("t-3", "a"), done("t-2")]).await.expect("records");
    assert_eq!(texts(&view, "t-1").await.len(), 3_000);
    let before = plan.total();
    assert_eq!(texts(&view, "t-3").await, ["a"]);
    assert_eq!(plan.total() - before, 1, "nothing has changed");
    let page = view.page("t-", Some(&task("t-1")), 1).await.expect("reads");
    assert_eq!(page, [(task("t-2"), Task { texts: vec!["b".to_owned()], done: true })]);
    assert_eq!(open_rows(&view).await, ["t-1 open/2999", "t-3 open/a"]);
    let last = view.rows("open/", Some(("open/2999", &task("t-1"))), 9).await.expect("reads");
    assert_eq!(
        last.iter().map(|(of, row)| (of.as_str(), &row.value)).collect::<Vec<_>>(),
        [("t-3", &serde_json::json!("t-3"))]
    );
}

/// A resolution changes the past, and so do the edits that it is about.
#[tokio::test]
async fn concurrent_edits_and_what_settles_them_change_what_is_shown() {
    let hub = memory("hub");
    let [ann, ben] = ["ann", "ben"].map(|name| {
        let replica = Replica::builder(memory(name)).with_resolver(ManualReview).build();
        SyncManager::new(replica, Endpoint::new(hub.clone()))
    });
    let [of_ann, of_ben] = [&ann, &ben].map(|manager| tasks(manager.replica(), 1));
    ann.replica().record([edited("t", "first")]).await.expect("records");
    ann.sync().await.expect("syncs");
    ben.sync().await.expect("syncs");
    ann.replica().record([edited("t", "hers")]).await.expect("records");
    ben.replica().record([edited("t", "his"), edited("t", "his again")]).await.expect("records");
    assert_eq!(texts(&of_ben, "t").await, ["first", "his", "his again"]);
    for manager in [&ann, &ben, &ann] {
        manager.sync().await.expect("syncs");
    }
    let both = texts(&of_ann, "t").await;
    assert_eq!(
        both.iter().map(String::as_str).collect::<BTreeSet<_>>(),
        ["first", "hers", "his", "his again"].into()
    );
    assert_eq!(texts(&of_ben, "t").await, both);
    let conflict = ann.replica().conflict(&task("t")).await.expect("reads").expect("a conflict");
    let hers =
        conflict.branches.iter().find(|branch| branch.head.author().is_some_and(|by| by.as_str() == "ann"));
    let keep = Answer::Keep(hers.expect("her side").head.id.clone());
    ann.replica().settle(&conflict, keep, "ann").await.expect("settles");
    for manager in [&ann, &ben] {
        manager.sync().await.expect("syncs");
    }
    for view in [&of_ann, &of_ben] {
        assert_eq!(texts(view, "t").await, ["first", "hers"]);
        assert_eq!(open_rows(view).await, ["t open/hers"]);
    }
    // A merge is shown as the event that it merges into.
    ann.replica().record([edited("t", "x")]).await.expect("records");
    ben.replica().record([edited("t", "y")]).await.expect("records");
    for manager in [&ann, &ben] {
        manager.sync().await.expect("syncs");
    }
    let conflict = ben.replica().conflict(&task("t")).await.expect("reads").expect("a conflict");
    ben.replica().settle(&conflict, Answer::Merge(edited("t", "x and y")), "ben").await.expect("settles");
    assert_eq!(texts(&of_ben, "t").await, ["first", "hers", "x and y"]);
}

/// The old program goes on while the new one builds its version beside, and then the old one is forgotten.
#[tokio::test]
async fn another_version_is_built_beside_the_old_one() {
    let replica = Replica::new(memory("a"));
    let old = tasks(&replica, 1);
    replica.record([edited("t", "a"), done("t")]).await.expect("records");
    assert_eq!(open_rows(&old).await, ["t open/a"]);
    let (new, mut seen) = (tasks(&replica, 2), Vec::new());
    new.catch_up(|reached, of| seen.push((reached, of))).await.expect("builds");
    assert_eq!(seen, [(0, 2), (2, 2)]);
    assert!(new.get(&task("t")).await.expect("reads").expect("a state").done);
    replica.record([edited("u", "b")]).await.expect("records");
    assert_eq!(open_rows(&old).await, ["t open/a", "u open/b"]);
    assert_eq!(open_rows(&new).await, ["u open/b"]);
    let notes = async |version: u32| {
        let prefix = format!("view/tasks/{version}/");
        let query = synckit::store::NoteQuery::Prefix { prefix, after: String::new(), limit: 100 };
        replica.store().notes(query).await.expect("reads").len()
    };
    assert_eq!((notes(1).await, notes(2).await), (5, 4));
    new.forget_other_versions().await.expect("forgets");
    assert_eq!((notes(1).await, notes(2).await), (0, 4));
}

/// The process dies at each call of the store in turn. The next one goes on from there.
#[tokio::test]
async fn a_build_that_is_broken_off_goes_on() {
    let store = memory("a");
    let replica = Replica::new(store.clone());
    for number in 0..2_500 {
        replica.record([edited(&format!("t-{}", number % 40), &number.to_string())]).await.expect("records");
    }
    let whole = tasks(&replica, 1).page("", None, 100).await.expect("reads");
    assert_eq!(whole.iter().map(|(_, task)| task.texts.len()).sum::<usize>(), 2_500);
    let mut died = 0;
    for call in 1..30 {
        let plan = FaultPlan::new();
        plan.nth_of_all(call, if call % 2 == 0 { Fault::Crash } else { Fault::CrashAfter });
        let dying = Replica::new(FaultyStore::new(store.clone(), plan));
        died += usize::from(tasks(&dying, 1).rebuild(|_, _| {}).await.is_err());
        if call % 3 == 0 {
            assert_eq!(tasks(&replica, 1).page("", None, 100).await.expect("reads"), whole, "call {call}");
        }
    }
    assert!(died > 5, "only {died} died");
    assert_eq!(tasks(&replica, 1).page("", None, 100).await.expect("reads"), whole);
}

/// The log is read before the view comes to it, also where parts end early because their events are large.
#[tokio::test]
async fn large_events_are_read_once() {
    const EVENTS: usize = 2_000;
    let plan = FaultPlan::new();
    let replica = Replica::new(FaultyStore::new(memory("desk"), plan.clone()));
    let text = "x".repeat(10 << 10);
    for first in (0..EVENTS).step_by(100) {
        let large = (first..first + 100).map(|_| NewEvent::new("Attached", "task", &text).expect("valid"));
        replica.record(large).await.expect("recorded");
    }
    replica.record([edited("task", "read it")]).await.expect("recorded");
    let before = plan.calls(Call::Read);
    let view = tasks(&replica, 1);
    view.catch_up(|_, _| {}).await.expect("catches up");
    // The first part shows how many fit, and the others have half of that.
    let reads = plan.calls(Call::Read) - before;
    assert!((5..=11).contains(&reads), "{reads} reads");
    assert_eq!(texts(&view, "task").await, ["read it"]);
}

/// Two handles on one file, as two processes have them: each sees what the other records, also while both catch up.
#[tokio::test(flavor = "multi_thread")]
async fn what_another_process_records_is_shown_and_watched() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("a.db");
    let one =
        Replica::new(SqliteStore::open_as(&path, NodeId::new("a").expect("valid")).await.expect("opens"));
    let two =
        Replica::new(SqliteStore::open_as(&path, NodeId::new("a").expect("valid")).await.expect("opens"));
    let (of_one, of_two) = (tasks(&one, 1), tasks(&two, 1));
    let mut changes = of_one.watch().await.expect("watches");
    for number in 0..50 {
        two.record([edited("t", &number.to_string())]).await.expect("records");
        let (here, there) = tokio::join!(texts(&of_one, "t"), texts(&of_two, "t"));
        assert_eq!((here.len(), there.len()), (number + 1, number + 1));
    }
    assert_eq!(changes.next().await.expect("waits"), Changed::Aggregates([task("t")].into()));
    two.record([edited("u", "x"), edited("v", "y")]).await.expect("records");
    assert_eq!(changes.next().await.expect("waits"), Changed::Aggregates([task("u"), task("v")].into()));
}

/// Every call can be made in a task of its own.
#[tokio::test(flavor = "multi_thread")]
async fn views_are_used_from_tasks() {
    let replica = Replica::new(memory("a"));
    let view = tasks(&replica, 1);
    replica.record([edited("t", "a")]).await.expect("records");
    let reading = view.clone();
    let answers = tokio::spawn(async move {
        reading.rebuild(|_, _| {}).await?;
        let page = reading.page("t", None, 10).await?;
        let rows = reading.rows("open/", None, 10).await?;
        let state = reading.get(&task("t")).await?;
        let mut changes = reading.watch().await?;
        reading.replica().record([edited("t", "b")]).await?;
        let changed = changes.next().await?;
        reading.forget_other_versions().await?;
        Ok::<_, synckit::Error>((page.len(), rows.len(), state.is_some(), changed))
    });
    let answers = answers.await.expect("ends").expect("answers");
    assert_eq!(answers, (1, 1, true, Changed::Aggregates([task("t")].into())));
}

#[tokio::test]
async fn a_log_that_is_replaced_is_shown_as_it_is_now() {
    let store = memory("a");
    let replica = Replica::new(store.clone());
    let view = tasks(&replica, 1);
    replica.record([edited("t", "a")]).await.expect("records");
    assert_eq!(texts(&view, "t").await, ["a"]);
    let backup = store.copy();
    replica.record([edited("t", "b")]).await.expect("records");
    let mut changes = view.watch().await.expect("watches");
    assert_eq!(texts(&view, "t").await, ["a", "b"]);
    store.restore(&backup);
    assert_eq!(changes.next().await.expect("waits"), Changed::All);
    assert_eq!(texts(&view, "t").await, ["a"]);
}

/// Lists texts. When it first sees the text `b`, its store is restored from a backup.
struct Restoring {
    store: MemoryStore,
    backup: MemoryStore,
    done: AtomicBool,
}

impl View for Restoring {
    type State = Vec<String>;

    fn name(&self) -> &str {
        "restoring"
    }

    fn apply(&self, texts: &mut Vec<String>, event: &Event) {
        let text: String = event.data.parse().expect("a text");
        if text == "b" && !self.done.swap(true, Ordering::Relaxed) {
            self.store.restore(&self.backup);
        }
        texts.push(text);
    }
}

/// What was read of a log that is gone when it is to be kept is not kept.
#[tokio::test]
async fn a_log_that_is_replaced_while_a_view_catches_up_is_shown_as_it_is_now() {
    let store = memory("a");
    let replica = Replica::new(store.clone());
    replica.record([edited("t", "a")]).await.expect("records");
    let backup = store.copy();
    Replica::new(backup.clone()).record([edited("t", "other")]).await.expect("records");
    replica.record([edited("t", "b")]).await.expect("records");
    let view = Restoring { store, backup, done: AtomicBool::new(false) };
    let view = replica.with_view(view).expect("a good name");
    assert_eq!(view.get(&task("t")).await.expect("reads"), Some(vec!["a".to_owned(), "other".to_owned()]));
}

/// What a newer program has written is passed on, and shown as far as this one knows it.
#[tokio::test]
async fn an_unknown_event_goes_through_an_old_program() {
    let (hub, old, new) = (memory("hub"), memory("old"), memory("new"));
    let replica = Replica::new(old.clone());
    let view = tasks(&replica, 1);
    Replica::new(new.clone()).record([edited("t", "a")]).await.expect("records");
    let labelled = NewEvent::new("Labelled", "t", &serde_json::json!({"color": "red"})).expect("valid");
    Replica::new(new.clone()).record([labelled, edited("t", "b")]).await.expect("records");
    SyncManager::new(new, Endpoint::new(old.clone())).sync().await.expect("syncs");
    SyncManager::new(old, Endpoint::new(hub.clone())).sync().await.expect("syncs");
    assert_eq!(texts(&view, "t").await, ["a", "b"]);
    assert_eq!(hub.head().await.expect("answers").position, 3);
}

/// Counts what it cannot read.
struct Notes;

impl View for Notes {
    type State = (Vec<String>, u32);

    fn name(&self) -> &str {
        "notes"
    }

    fn apply(&self, (texts, _): &mut Self::State, event: &Event) {
        texts.push(
            event.data.parse::<serde_json::Value>().expect("JSON")["text"]
                .as_str()
                .expect("a text")
                .to_owned(),
        );
    }

    fn apply_unknown(&self, (_, unknown): &mut Self::State, _: &Event) {
        *unknown += 1;
    }
}

/// Three programs of different age exchange events, and each shows what it can read.
#[tokio::test]
async fn events_of_older_and_newer_programs_are_read_as_far_as_possible() {
    let in_version = |name: &str, version: u32| {
        let mut builder = Replica::builder(memory(name));
        if version > 1 {
            let to_object = |data: Data| Data::of(&serde_json::json!({ "text": data.parse::<String>()? }));
            builder = builder.with_upcaster("Edited", 1, to_object).expect("a good name");
        }
        if version > 2 {
            builder = builder.with_upcaster("Edited", 2, Ok).expect("a good name");
        }
        builder.build()
    };
    let [first, second, third] =
        [("first", 1), ("second", 2), ("third", 3)].map(|(name, of)| in_version(name, of));
    let in_object =
        |text: &str| NewEvent::new("Edited", "t", &serde_json::json!({ "text": text })).expect("valid");
    let hub = memory("hub");
    for (replica, event) in [
        (&first, edited("t", "a")),
        (&second, in_object("b")),
        (&third, in_object("c")),
        (&second, in_object("d")),
    ] {
        let manager = SyncManager::new(replica.clone(), Endpoint::new(hub.clone()));
        manager.sync().await.expect("syncs");
        replica.record([event]).await.expect("records");
        manager.sync().await.expect("syncs");
    }
    for replica in [&second, &third] {
        SyncManager::new(replica.clone(), Endpoint::new(hub.clone())).sync().await.expect("syncs");
    }
    let shown = async |replica: &Replica<MemoryStore>| {
        let view = replica.with_view(Notes).expect("a good name");
        view.get(&task("t")).await.expect("reads").expect("a state")
    };
    let text = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    assert_eq!(shown(&second).await, (text(&["a", "b", "d"]), 1));
    assert_eq!(shown(&third).await, (text(&["a", "b", "c", "d"]), 0));
    assert_eq!(second.digest().await.expect("reads"), third.digest().await.expect("reads"));
}

/// Counts how often it is called.
struct Counting(Arc<AtomicUsize>);

impl View for Counting {
    type State = Vec<String>;

    fn name(&self) -> &str {
        "counting"
    }

    fn apply(&self, texts: &mut Vec<String>, event: &Event) {
        self.0.fetch_add(1, Ordering::Relaxed);
        texts.push(event.data.parse().expect("a text"));
    }
}

/// Edits that meet again and again in a long aggregate cost what is since they last met. One from before is found.
#[tokio::test]
async fn a_past_that_changes_near_its_end_is_folded_from_there() {
    let hub = memory("hub");
    let [ann, ben, old] = ["ann", "ben", "old"].map(|name| {
        let replica = Replica::builder(memory(name)).with_resolver(KeepAll).build();
        SyncManager::new(replica, Endpoint::new(hub.clone()))
    });
    let counted = Arc::new(AtomicUsize::new(0));
    let view = ann.replica().with_view(Counting(counted.clone())).expect("a good name");
    let shown = async || {
        let before = counted.load(Ordering::Relaxed);
        let shown = view.get(&task("t")).await.expect("reads").expect("a state");
        let history = ann.replica().history(&task("t")).await.expect("reads");
        let stands: Vec<String> = history.live().map(|event| event.data.parse().expect("a text")).collect();
        assert_eq!(shown, stands);
        counted.load(Ordering::Relaxed) - before
    };
    ann.replica().record([edited("t", "first")]).await.expect("records");
    ann.sync().await.expect("syncs");
    old.sync().await.expect("syncs");
    ann.replica().record((0..600).map(|number| edited("t", &number.to_string()))).await.expect("records");
    let both_edit = async |number: usize| {
        for manager in [&ann, &ben] {
            manager.sync().await.expect("syncs");
        }
        ann.replica().record([edited("t", &format!("hers {number}"))]).await.expect("records");
        ben.replica().record([edited("t", &format!("his {number}"))]).await.expect("records");
        for manager in [&ben, &ann] {
            manager.sync().await.expect("syncs");
        }
    };
    both_edit(0).await;
    assert!(shown().await > 600, "there is no other state yet");
    for number in 1..10 {
        both_edit(number).await;
        let calls = shown().await;
        assert!(calls < 10, "{calls} events were folded");
    }
    old.replica().record([edited("t", "from before")]).await.expect("records");
    old.sync().await.expect("syncs");
    ann.sync().await.expect("syncs");
    assert!(shown().await > 600, "everything else has not seen it");
    both_edit(10).await;
    let calls = shown().await;
    assert!(calls < 10, "{calls} events were folded");
}

/// A damaged row hides its event and nothing else, until it can be read again.
#[tokio::test]
async fn a_damaged_row_is_left_out_until_it_is_mended() {
    let store = DamagedStore::new(memory("a"));
    let replica = Replica::new(store.clone());
    let view = tasks(&replica, 1);
    let events = ["a", "b", "c"].map(|text| edited("t", text));
    replica.record(events.into_iter().chain([edited("u", "x")])).await.expect("records");
    store.damage(2);
    assert_eq!((texts(&view, "t").await.len(), texts(&view, "u").await.len()), (2, 1));
    replica.record([edited("t", "d")]).await.expect("records");
    assert_eq!(texts(&view, "t").await, ["a", "c", "d"]);
    store.damage(0);
    assert_eq!(texts(&view, "t").await, ["a", "b", "c", "d"]);
}

/// Returns rows with this key.
struct Keyed(&'static str);

impl View for Keyed {
    type State = u64;

    fn name(&self) -> &str {
        self.0
    }

    fn apply(&self, _: &mut u64, _: &Event) {}

    fn rows(&self, _: &AggregateId, _: &u64) -> Vec<Row> {
        vec![Row::new("a\nb", 1)]
    }
}

#[tokio::test]
async fn wrong_names_keys_and_forms_are_said() {
    let replica = Replica::new(memory("a"));
    for name in ["", "a/b", "a b", "ä"] {
        let error = replica.with_view(Keyed(name)).expect_err("is no name");
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    }
    replica.record([edited("t", "a")]).await.expect("records");
    let error =
        replica.with_view(Keyed("keyed")).expect("a name").get(&task("t")).await.expect_err("a bad key");
    assert!(error.to_string().contains("no control characters"), "{error}");
    // Another view under the same name and version, with a state of another form.
    assert_eq!(texts(&tasks(&replica, 1), "t").await, ["a"]);
    let error =
        replica.with_view(Keyed("tasks")).expect("a name").get(&task("t")).await.expect_err("another form");
    assert!(error.to_string().contains("give the view another version"), "{error}");
}
