//! How a conflict is shown: its sides, and the fields that each of them has changed.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use synckit::{
    AggregateId, Conflict, Event, EventId,
    conflict::{Changes, FieldChange},
};

use crate::commands::history;
use crate::text;

/// A conflict as it is printed.
#[derive(Debug, Serialize)]
pub(in crate::commands) struct Shown {
    aggregate: AggregateId,
    /// When it was found here, in Unix milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    found_at: Option<u64>,
    /// Whether the log holds all that the sides share.
    whole: bool,
    base: Vec<Event>,
    sides: Vec<Side>,
    #[serde(skip)]
    in_full: bool,
}

#[derive(Debug, Serialize)]
struct Side {
    /// The value for --keep.
    keep: EventId,
    /// What the side shows.
    shows: Vec<Event>,
    /// The number of events since the sides parted.
    events: usize,
    /// The fields that it has changed; absent if it does not show a single JSON object.
    #[serde(skip_serializing_if = "Option::is_none")]
    changed: Option<Vec<FieldChange>>,
}

fn events(shared: &[Arc<Event>]) -> Vec<Event> {
    shared.iter().map(|event| Event::clone(event)).collect()
}

impl Shown {
    pub(in crate::commands) fn of(conflict: &Conflict, found_at: Option<u64>) -> Self {
        let changes = Changes::of(conflict).sides;
        let sides = conflict.branches.iter().map(|branch| {
            let changed = match branch.shows.as_slice() {
                [one] => {
                    changes.iter().find(|side| side.event == one.id).and_then(|side| side.fields.clone())
                }
                _ => None,
            };
            let keep = branch.stands_for.id.clone();
            Side { keep, shows: events(&branch.shows), events: branch.events.len(), changed }
        });
        Shown {
            aggregate: conflict.aggregate_id.clone(),
            found_at,
            whole: conflict.whole,
            base: events(&conflict.base),
            sides: sides.collect(),
            in_full: false,
        }
    }

    /// Adds what the sides show, for people.
    pub(in crate::commands) fn in_full(mut self) -> Self {
        self.in_full = true;
        self
    }

    fn line(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}  {}", text::plain(self.aggregate.as_str()), text::count(self.sides.len(), "side"))?;
        if let Some(found_at) = self.found_at {
            write!(f, ", found {}", text::time(found_at))?;
        }
        for side in &self.sides {
            let names = side.changed.iter().flatten().map(|change| change.field.as_str().to_owned());
            let names: Vec<String> = names.collect();
            let changed =
                if names.is_empty() { String::new() } else { format!(" changed {}", names.join(", ")) };
            write!(f, "\n  {}{}", text::plain(side.keep.as_str()), text::plain(&changed))?;
        }
        Ok(())
    }
}

/// The number of characters of a value that are shown.
const SHOWN: usize = 60;

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.in_full {
            return self.line(f);
        }
        write!(f, "{} is in conflict", text::plain(self.aggregate.as_str()))?;
        if !self.whole {
            f.write_str("; a filter left out here part of what the sides share")?;
        }
        for event in &self.base {
            write!(f, "\nbefore   {}", history::line(event))?;
        }
        for (number, side) in self.sides.iter().enumerate() {
            write!(f, "\n\nside {}   --keep {}", number + 1, text::plain(side.keep.as_str()))?;
            if side.events > 1 {
                write!(f, "   ({} since they parted)", text::count(side.events, "event"))?;
            }
            for event in &side.shows {
                write!(f, "\n  {}", history::line(event))?;
            }
            for FieldChange { field, before, after } in side.changed.iter().flatten() {
                let value = |text: &Option<String>| {
                    text.as_deref().map_or("nothing".into(), |text| text::short(text, SHOWN))
                };
                write!(f, "\n  {:<12} {} -> {}", text::plain(field.as_str()), value(before), value(after))?;
            }
        }
        Ok(())
    }
}
