//! The planning of a page, without a store.

use std::time::Instant;

use synckit::notes::{self, Identity, Note};
use synckit::plan::{Intent, Planning, Receive, Step};
use synckit::{Facts, Limits, LogHead, NodeId, Plan, StoreId};

use crate::measure::{Measured, Scale};
use crate::sample::{NOW, PAGE, events};

/// How many pages are planned in one measurement.
const PAGES: usize = 50;

/// Microseconds an event, for pages of 1,000 events over 1,000 aggregates that all have a history.
pub(super) fn microseconds(_: Scale) -> Measured<f64> {
    let mut events = events(PAGE * (PAGES + 1))?.into_iter();
    let identity = Note::json(notes::NODE.to_owned(), &Identity::new(NodeId::new("bench")?))?;
    let head = LogHead { store: StoreId::from_bytes([7; 16]), position: 0 };
    let mut known = Facts::at(head);
    known.notes.insert(identity.key, identity.value);
    let mut spent = 0.0;
    for page in 0..=PAGES {
        let page_events: Vec<_> = events.by_ref().take(PAGE).collect();
        let receive = Receive::new(Some(StoreId::from_bytes([9; 16])), page_events, NOW, Limits::default());
        let started = Instant::now();
        let (mut planning, needs) = Planning::begin(Intent::Receive(receive));
        let asking = started.elapsed();
        // What a store would fetch is not part of the planning.
        let mut facts = Facts::at(head);
        for key in needs.notes {
            if let Some(value) = known.notes.get(&key) {
                facts.notes.insert(key, value.clone());
            }
        }
        let started = Instant::now();
        let step = planning.step(facts)?;
        if page > 0 {
            spent += (asking + started.elapsed()).as_secs_f64();
        }
        let Step::Write(Plan { append, put, .. }, _) = step else { return Err("a plan asked twice".into()) };
        assert_eq!(append.len(), PAGE, "every sample is new");
        known.notes.extend(put.into_iter().map(|note| (note.key, note.value)));
    }
    Ok(spent * 1e6 / (PAGES * PAGE) as f64)
}
