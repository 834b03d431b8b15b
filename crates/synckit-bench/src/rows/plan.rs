//! Planning a page, without a store.

use std::time::{Duration, Instant};

use synckit::{
    Limits, NodeId, StoreId,
    plan::Receive,
    store::{Facts, Identity, LogHead, Note, Plan, Planning, Secret, Step},
};

use crate::measure::{Measured, Scale};
use crate::sample::{NOW, PAGE, Samples, Spread, entropy};

/// The number of pages planned in one measurement.
const PAGES: u32 = 50;

/// Plans page after page of new events, and keeps what a store would know after each.
#[derive(Debug)]
pub struct PageOfEvents {
    samples: Samples,
    known: Facts,
}

impl PageOfEvents {
    /// Starts with an empty log.
    ///
    /// # Errors
    /// None that a sample could cause.
    pub fn new() -> synckit::Result<PageOfEvents> {
        let identity = Note::json(
            Note::NODE.to_owned(),
            &Identity::new(NodeId::new("bench")?, Secret::from_bytes([9; 16])),
        )?;
        let head = LogHead { store: StoreId::from_bytes([7; 16]), position: 0, mark: None };
        let mut known = Facts::at(head);
        known.notes.insert(identity.key, identity.value);
        Ok(PageOfEvents { samples: Samples::new(Spread::default())?, known })
    }

    /// Plans the next page, and returns how long it takes. Fetching, which a store would do for it, is not counted.
    ///
    /// # Errors
    /// If the planning asks twice.
    pub fn page(&mut self) -> Measured<Duration> {
        let events = self.samples.take(PAGE)?;
        let receive =
            Receive::new(Some(StoreId::from_bytes([9; 16])), events, NOW, Limits::default(), entropy());
        let started = Instant::now();
        let (mut planning, needs) = Planning::begin(receive);
        let asking = started.elapsed();
        let mut facts = Facts::at(self.known.head);
        for key in needs.notes {
            if let Some(value) = self.known.notes.get(&key) {
                facts.notes.insert(key, value.clone());
            }
        }
        let started = Instant::now();
        let step = planning.step(facts)?;
        let planning = started.elapsed();
        let Step::Write(Plan { append, put, .. }, _) = step else { return Err("a plan asked twice".into()) };
        assert_eq!(append.len(), PAGE, "every sample is new");
        self.known.notes.extend(put.into_iter().map(|note| (note.key, note.value)));
        Ok(asking + planning)
    }
}

/// Returns the microseconds per event, for pages of 1,000 events over 1,000 aggregates that all have a history.
pub(super) fn microseconds(_: Scale) -> Measured<f64> {
    let mut planner = PageOfEvents::new()?;
    // The history begins with the first page.
    planner.page()?;
    let mut spent = Duration::ZERO;
    for _ in 0..PAGES {
        spent += planner.page()?;
    }
    Ok((spent / PAGES).as_secs_f64() * 1e6 / PAGE as f64)
}
