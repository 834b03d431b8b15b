//! Three people with a replica each, and the hub they sync with.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use synckit::{
    AggregateId, Data, Digest, Endpoint, Environment, History, NewEvent, NodeId, Replica, SyncManager,
    SystemEnvironment,
    conflict::{ConflictReport, SharedResolver},
};
use synckit_memory::MemoryStore;

pub(crate) type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;
pub(crate) type Person = SyncManager<MemoryStore, Endpoint<MemoryStore>>;

/// What the form says before they go offline, and how each of them leaves it.
const BEGINNING: &str = r#"{"title":"Summer fair","room":"A","guests":40,"tags":["music"]}"#;
const EDITS: [(&str, &str, &str); 3] = [
    (
        "ann",
        "changes the title, adds a tag",
        r#"{"title":"Summer party","room":"A","guests":40,"tags":["music","food"]}"#,
    ),
    ("ben", "expects 60 guests", r#"{"title":"Summer fair","room":"A","guests":60,"tags":["music"]}"#),
    (
        "cleo",
        "takes a larger room, expects 55 guests, adds a tag",
        r#"{"title":"Summer fair","room":"Hall","guests":55,"tags":["music","games"]}"#,
    ),
];

pub(crate) struct World {
    pub(crate) people: Vec<Person>,
}

/// A clock that the three share and that moves on by a minute with each edit, so that every run is the same.
#[derive(Clone, Default)]
struct Clock(Arc<AtomicU64>);

impl Environment for Clock {
    fn now(&self) -> u64 {
        1_764_000_000_000 + 60_000 * self.0.load(Ordering::Relaxed)
    }

    fn fill_random(&self, buffer: &mut [u8]) -> synckit::Result<()> {
        SystemEnvironment.fill_random(buffer)
    }
}

impl World {
    /// Creates the three, who all have the beginning; then each edits offline.
    pub(crate) async fn new(resolver: SharedResolver) -> Result<World> {
        let hub = MemoryStore::new(NodeId::new("hub")?)?;
        let (mut people, clock) = (Vec::new(), Clock::default());
        for (name, _, _) in EDITS {
            let store = MemoryStore::new(NodeId::new(name)?)?;
            let replica =
                Replica::builder(store).with_resolver(resolver.clone()).with_environment(clock.clone());
            people.push(SyncManager::new(replica.build(), Endpoint::new(hub.clone())));
        }
        people[0].replica().record([form(BEGINNING)?.with_id("beginning".parse()?)]).await?;
        for person in &people {
            person.sync().await?;
        }
        for (person, (name, _, edit)) in people.iter().zip(EDITS) {
            clock.0.fetch_add(1, Ordering::Relaxed);
            person.replica().record([form(edit)?.with_id(format!("{name}'s").parse()?)]).await?;
        }
        Ok(World { people })
    }

    /// Syncs everybody until all have seen what the others did. Returns what the syncs reported about conflicts.
    pub(crate) async fn meet(&self) -> Result<Vec<ConflictReport>> {
        let mut reports = Vec::new();
        for _ in 0..2 {
            for person in &self.people {
                reports.push(person.sync().await?.conflicts);
            }
        }
        let digest = Digest::of(self.people[0].replica().store()).await?;
        for person in &self.people {
            assert_eq!(Digest::of(person.replica().store()).await?, digest, "all hold the same events");
            assert_eq!(self.shown(person).await?, self.shown(&self.people[0]).await?, "all see the same");
        }
        Ok(reports)
    }

    /// Returns what an application shows of the form.
    pub(crate) async fn shown(&self, person: &Person) -> Result<Vec<String>> {
        let mut shown = Vec::new();
        for event in person.replica().history(&the_form()?).await?.live() {
            let event = History::content(event)?;
            shown.push(event.data.as_json().unwrap_or_default().to_owned());
        }
        // An edit replaces what it was made on top of.
        Ok(shown.into_iter().filter(|text| text != BEGINNING).collect())
    }
}

fn form(json: &str) -> Result<NewEvent> {
    Ok(NewEvent::with_data("FormSaved", the_form()?, Data::json(json)?)?)
}

pub(crate) fn the_form() -> Result<AggregateId> {
    Ok(AggregateId::new("form-7")?)
}

/// Prints what has happened before they sync.
#[allow(clippy::print_stdout, reason = "it shows what happens")]
pub(crate) fn introduce() {
    println!("The form says {BEGINNING}");
    for (name, what, _) in EDITS {
        println!("  offline, {name} {what}");
    }
}
