//! Whole systems of any two stores and any transport, each tested with one story from beginning to end.
//!
//! A [`Cell`] names the parts of a system: the store of the replicas, the store of the hub, and the transport between
//! them. A [`Scenario`] is a story that must end well in every cell; [`ALL`] lists them.
//!
//! - `exchange`: replicas that recorded offline sync with a hub
//! - `interrupted`: repeated pushes, lost answers, crashes in the middle of a sync
//! - `refused`: one bad event among good ones
//! - `filters`: a filter that passes half, and one that is widened
//! - `conflicts`: concurrent edits of one thing are found and settled alike everywhere, and the loser is kept
//! - `restored`: a hub and a replica that come back from an older copy, a hub that was wiped
//! - `cost`: what one new event costs after a long history
//! - `faults`: replicas of both stores through random records, losses, crashes and partitions
//! - `any.rs`: stores and transports chosen at run time; `world.rs`: replicas and hubs; `ground.rs`: what is checked
//!
//! ```
//! use synckit_testkit::InProcess;
//! use synckit_testkit::scenario::{self, AnyStore, AnyWire, Cell, Ended};
//! # use synckit_core::{NodeId, Result};
//! # use synckit_memory::MemoryStore;
//! # struct Fresh;
//! # impl synckit_testkit::StoreFixture for Fresh {
//! #     type Store = MemoryStore;
//! #     async fn open(&self, node: &NodeId) -> Result<MemoryStore> { MemoryStore::new(node.clone()) }
//! #     fn survives_reopen(&self) -> bool { false }
//! #     fn opens_twice(&self) -> bool { false }
//! # }
//! # fn fixture() -> Fresh { Fresh }
//!
//! let store = AnyStore::new(fixture);
//! let cell = Cell::new(store.clone(), store, AnyWire::new(InProcess::default));
//! let exchange = scenario::named("exchange").expect("there is one");
//! assert_eq!(exchange.run(&cell), Ended::Well);
//! ```

mod any;
mod conflicts;
mod cost;
mod exchange;
mod faults;
mod filters;
mod ground;
mod interrupted;
mod refused;
mod restored;
mod world;

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use crate::case::Failure;

pub use any::{AnyStore, AnyWire};

/// The parts of a system, and the seed of everything random in it.
#[derive(Clone, Debug)]
pub struct Cell {
    replica: AnyStore,
    hub: AnyStore,
    wire: AnyWire,
    seed: u64,
}

impl Cell {
    /// Creates a cell of replicas with this store that call a hub with that store, over this transport. The seed is 1
    /// unless set.
    pub fn new(replica: AnyStore, hub: AnyStore, wire: AnyWire) -> Self {
        Cell { replica, hub, wire, seed: 1 }
    }

    /// Sets the seed.
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }
}

/// How a scenario that did not fail ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Everything was checked and holds.
    Well,
    /// The cell cannot run it, for this reason.
    Skipped(String),
}

pub(crate) type ScenarioResult = Result<Ended, Failure>;

type Story = for<'a> fn(&'a Cell) -> Pin<Box<dyn Future<Output = ScenarioResult> + Send + 'a>>;

/// A story that must end well in every cell.
pub struct Scenario {
    name: &'static str,
    about: &'static str,
    by_seed: bool,
    story: Story,
}

impl Scenario {
    /// Returns its name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Returns what it is about, in one line.
    pub fn about(&self) -> &'static str {
        self.about
    }

    /// Returns whether the seed matters: whether another seed gives another story.
    pub fn by_seed(&self) -> bool {
        self.by_seed
    }

    /// Runs it on a separate runtime with two workers.
    ///
    /// # Panics
    /// If it fails or hangs; the message says what was wrong.
    pub fn run(&self, cell: &Cell) -> Ended {
        let mut ended = Ended::Well;
        crate::run("scenario", async {
            ended = (self.story)(cell).await?;
            Ok(())
        });
        ended
    }
}

impl fmt::Debug for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scenario").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Every scenario.
pub const ALL: &[Scenario] = &[
    Scenario {
        name: "exchange",
        about: "replicas that recorded offline meet at a hub, and agree",
        by_seed: false,
        story: |cell| Box::pin(exchange::run(cell)),
    },
    Scenario {
        name: "interrupted",
        about: "a push twice, an answer lost, crashes of replica and hub in the middle of syncs",
        by_seed: true,
        story: |cell| Box::pin(interrupted::run(cell)),
    },
    Scenario {
        name: "refused",
        about: "one bad event of eleven is set aside, the other ten arrive",
        by_seed: false,
        story: |cell| Box::pin(refused::run(cell)),
    },
    Scenario {
        name: "filters",
        about: "a filter moves only what is new, a wider one brings what was left out",
        by_seed: false,
        story: |cell| Box::pin(filters::run(cell)),
    },
    Scenario {
        name: "conflicts",
        about: "of two edits made apart one stands everywhere, and the other can be read",
        by_seed: false,
        story: |cell| Box::pin(conflicts::run(cell)),
    },
    Scenario {
        name: "restored",
        about: "a hub from an older copy, a wiped hub, a replica from an older copy",
        by_seed: false,
        story: |cell| Box::pin(restored::run(cell)),
    },
    Scenario {
        name: "cost",
        about: "one new event after a long history takes two requests at most and under 2 KiB",
        by_seed: false,
        story: |cell| Box::pin(cost::run(cell)),
    },
    Scenario {
        name: "faults",
        about: "replicas of both stores through records, losses, crashes and partitions",
        by_seed: true,
        story: |cell| Box::pin(faults::run(cell)),
    },
];

/// Returns the scenario of this name.
pub fn named(name: &str) -> Option<&'static Scenario> {
    ALL.iter().find(|scenario| scenario.name == name)
}
