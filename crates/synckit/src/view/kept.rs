//! What is kept in the notebook, and under which keys.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use synckit_core::{
    AggregateId, Error, Event, Facts, Needs, Note, Plan, Planner, Position, Result, Step, Timestamp,
    VectorClock,
};

use crate::view::{Row, View};

/// Separates the key of a row from its aggregate. It sorts before all that a key may contain.
const END: char = '\u{1}';

/// The keys of one version of a view.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    /// The prefix of the keys of all versions.
    pub(super) versions: String,
    /// The prefix of all keys.
    pub(super) prefix: String,
    /// The key of [`At`].
    pub(super) at: String,
    /// The prefix of the keys of states.
    states: String,
    /// The prefix of the keys of rows.
    rows: String,
    /// The prefix of the keys of bases.
    bases: String,
}

impl Keys {
    pub(super) fn of(view: &impl View) -> Result<Self> {
        let name = view.name();
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if name.is_empty() || name.len() > 64 || !name.chars().all(plain) {
            let message = "the name of a view has 1 to 64 letters, digits, `-`, `_` and `.`";
            return Err(Error::invalid(message).with("name", name));
        }
        let versions = format!("view/{name}/");
        let prefix = format!("{versions}{}/", view.version());
        let under = |name: &str| format!("{prefix}{name}");
        let [at, states, rows, bases] = ["at", "state/", "row/", "base/"].map(under);
        Ok(Keys { versions, at, states, rows, bases, prefix })
    }

    /// Returns the key of the state of an aggregate, or the prefix of the keys of several.
    pub(super) fn state(&self, aggregate: &str) -> String {
        format!("{}{aggregate}", self.states)
    }

    /// Returns the key of the base of an aggregate.
    pub(super) fn base(&self, aggregate: &str) -> String {
        format!("{}{aggregate}", self.bases)
    }

    /// Returns the aggregate whose state is under this key.
    pub(super) fn of_state(&self, key: &str) -> Result<AggregateId> {
        let aggregate = key.strip_prefix(&self.states).and_then(|aggregate| aggregate.parse().ok());
        aggregate.ok_or_else(|| Error::corrupt("this is not the key of a state").with("key", key))
    }

    /// Returns the prefix of the keys of rows.
    pub(super) fn rows(&self, prefix: &str) -> String {
        format!("{}{prefix}", self.rows)
    }

    /// Returns the key of a row.
    pub(super) fn row(&self, key: &str, aggregate: &AggregateId) -> String {
        format!("{}{key}{END}{aggregate}", self.rows)
    }

    /// Returns the key and the aggregate of the row under this key.
    pub(super) fn of_row(&self, key: &str) -> Result<(String, AggregateId)> {
        let row = key.strip_prefix(&self.rows).and_then(|row| row.split_once(END));
        let row = row.and_then(|(key, aggregate)| Some((key.to_owned(), aggregate.parse().ok()?)));
        row.ok_or_else(|| Error::corrupt("this is not the key of a row").with("key", key))
    }
}

/// Up to where a view has the log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct At {
    pub(super) upto: Position,
    /// Positions before that whose rows were damaged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) gaps: Vec<Position>,
    /// Whether what was kept before has to be deleted first.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) clears: bool,
}

/// The state of an aggregate.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Kept<T> {
    /// The position up to which the log was looked through for its events.
    pub(super) upto: Position,
    /// The stamp of its only head. Absent while there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) top: Option<Top>,
    /// The keys of its rows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) rows: Vec<String>,
    pub(super) state: T,
}

/// The stamp of a head.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Top {
    pub(super) clock: VectorClock,
    pub(super) time: Timestamp,
}

impl Top {
    pub(super) fn of(event: &Event) -> Self {
        Top { clock: event.clock.clone(), time: event.time }
    }

    /// Returns whether an event comes after this head and all that it has seen: nothing before it changes.
    pub(super) fn is_before(&self, event: &Event) -> bool {
        let Some(dot) = &event.dot else { return false };
        self.time < event.time && self.clock.is_covered_by(&event.clock) && !self.clock.has_seen(dot)
    }
}

impl<T: Serialize + DeserializeOwned> Kept<T> {
    /// Reads a state.
    pub(super) fn read(key: &str, value: &[u8]) -> Result<Self> {
        serde_json::from_slice(value).map_err(|error| {
            let message = "the state that a view has kept cannot be read; if the form of the state has changed, give the view another version";
            Error::corrupt(message).with("key", key).with_source(error)
        })
    }
}

/// Checks the keys of rows.
pub(super) fn check(rows: &[Row], aggregate: &AggregateId) -> Result<()> {
    match rows.iter().find(|row| row.key.len() > Row::MAX_KEY || row.key.contains(char::is_control)) {
        None => Ok(()),
        Some(row) => {
            let message = format!(
                "the key of a row has at most {} bytes and no control characters; change what the view returns",
                Row::MAX_KEY
            );
            let key: String = row.key.chars().take(64).collect();
            Err(Error::invalid(message).with("aggregate", aggregate).with("key begins", format!("{key:?}")))
        }
    }
}

/// Changes notes if the note of the view's place is still what it was. Returns whether it was.
#[derive(Clone, Debug)]
pub(super) struct Advance {
    pub(super) key: String,
    pub(super) was: Option<Vec<u8>>,
    pub(super) put: Vec<Note>,
    pub(super) delete: Vec<String>,
}

impl Planner for Advance {
    type Outcome = bool;

    fn needs(&mut self) -> Needs {
        Needs { notes: vec![self.key.clone()], ..Needs::default() }
    }

    fn plan(&mut self, facts: &Facts, _round: usize) -> Result<Step<bool>> {
        if facts.note(&self.key) != self.was.as_deref() {
            return Ok(Step::Write(Plan::default(), false));
        }
        let (mut put, delete) = (std::mem::take(&mut self.put), std::mem::take(&mut self.delete));
        put.sort_unstable_by(|left, right| left.key.cmp(&right.key));
        Ok(Step::Write(Plan { put, delete, ..Plan::default() }, true))
    }
}
