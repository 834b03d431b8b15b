//! The checks that every replica applies to a foreign resolution before storing it, and to its own before writing it.
//!
//! The work is proportional to the entries of all clocks in the resolution, times the logarithm of the number of nodes.

use synckit_core::{AggregateId, Error, Event, NodeId, Result, VectorClock};

use crate::conflict::resolution::{Decision, Kept, RESOLUTION_TYPE, Resolution, round_of};
use crate::conflict::side::Side;

impl Resolution {
    /// Checks a foreign resolution: that it can be read, that its id is the hash of its content, and that its content
    /// is possible.
    ///
    /// - There are two or more sides, sorted by dot. None of them has seen another together with everything that one
    ///   had seen.
    /// - The base is what all sides have seen, and no side repeats it.
    /// - The clock of the event is the join of what the sides have seen.
    /// - The kept event is a side, was seen by a side, or is an earlier resolution. A merged event is of the same
    ///   aggregate.
    /// - From round 2 on, it names a decision of the round before. Whether that one is held, the store has to check.
    ///
    /// # Errors
    /// `Invalid`, with the id of the event.
    pub fn check(event: &Event) -> Result<()> {
        let bad = |message: &str| Err(Error::invalid(message).with("event", &event.id));
        if !event.is_resolution() {
            return bad("this is not a resolution: a resolution has no dot");
        }
        if event.event_type.as_str() != RESOLUTION_TYPE {
            return bad(
                "the event has no dot: its author gives it one, with the next counter; only resolutions and \
                 restamps have none, and types that begin with `synckit.`",
            );
        }
        if !event.metadata.is_empty() {
            return bad("a resolution has metadata");
        }
        let resolution = match Resolution::read(event) {
            Ok(resolution) => resolution,
            Err(error) => {
                let message = format!("the data of a resolution cannot be read: {}", cause(&error));
                return Err(Error::invalid(message).with("event", &event.id).with_source(error));
            }
        };
        if resolution.id_of(event) != event.id {
            return bad("the id of a resolution is not the hash of what it says");
        }
        resolution
            .is_possible(&event.aggregate_id, &event.clock)
            .map_err(|error| error.with("event", &event.id))
    }

    /// Checks the content against the aggregate and the clock of its event.
    pub(super) fn is_possible(&self, aggregate: &AggregateId, clock: &VectorClock) -> Result<()> {
        order(&self.sides)?;
        apart(&self.base, &self.sides)?;
        factoring(&self.base, &self.sides, clock)?;
        self.overrides_the_round_before()?;
        match &self.decision {
            Decision::Keep(kept) => self.can_keep(kept, clock),
            Decision::Merge(content) if content.aggregate_id != *aggregate => {
                invalid("a resolution merges into another aggregate")
            }
            Decision::Merge(content) if content.event_type.as_str().starts_with("synckit.") => {
                invalid("a resolution merges into an event of a reserved type")
            }
            Decision::Merge(_) | Decision::KeepAll => Ok(()),
        }
    }

    fn overrides_the_round_before(&self) -> Result<()> {
        match (&self.overrides, self.round) {
            (None, 0 | 1) => Ok(()),
            (None, _) => invalid("a decision of round 2 or more does not say which decision it overrides"),
            (Some(_), 0 | 1) => invalid("a decision of round 0 or 1 says that it overrides another"),
            (Some(id), round) if round_of(id) != Some(round - 1) => {
                invalid("a decision overrides one that is not of the round before")
            }
            (Some(_), _) => Ok(()),
        }
    }

    fn can_keep(&self, kept: &Kept, clock: &VectorClock) -> Result<()> {
        match kept {
            Kept::Side(dot) if self.side(dot).is_none() => {
                invalid("a resolution keeps an event that is no side, without its clock")
            }
            Kept::Side(_) => Ok(()),
            Kept::Seen(dot, _) if self.side(dot).is_some() => {
                invalid("a resolution repeats the clock of the side it keeps")
            }
            Kept::Seen(dot, own) if dot.counter == 0 || own.counter(&dot.node) != dot.counter => {
                invalid("the clock of the event that a resolution keeps does not contain its dot")
            }
            Kept::Seen(dot, own)
                if !own.is_covered_by(clock)
                    || !self.sides.iter().any(|side| side.has_seen(&self.base, dot)) =>
            {
                invalid("a resolution keeps an event that no side has seen")
            }
            Kept::Seen(..) => Ok(()),
            Kept::Resolution(_, own) if own.is_empty() || own == clock || !own.is_covered_by(clock) => {
                invalid("a resolution keeps another that it has not seen")
            }
            Kept::Resolution(..) => Ok(()),
        }
    }
}

fn invalid(message: &str) -> Result<()> {
    Err(Error::invalid(message))
}

/// Returns the first cause of an error.
fn cause<'a>(mut error: &'a (dyn std::error::Error + 'static)) -> &'a dyn std::error::Error {
    while let Some(source) = error.source() {
        error = source;
    }
    error
}

/// Checks that there are two or more sides, and that they are sorted.
fn order(sides: &[Side]) -> Result<()> {
    if sides.len() < 2 {
        return invalid("a resolution has fewer than two sides");
    }
    if sides.len() > VectorClock::MAX_NODES {
        return Err(Error::too_large("a resolution has more sides than a clock has nodes"));
    }
    for pair in sides.windows(2) {
        if pair[0].dot >= pair[1].dot {
            return invalid("the sides of a resolution are not sorted, each once");
        }
    }
    Ok(())
}

/// Checks that no side has seen another together with everything that one had seen. A dot that was seen without what it
/// had seen names two events.
fn apart(base: &VectorClock, sides: &[Side]) -> Result<()> {
    let covers = |by: &Side, side: &Side| by.dot != side.dot && by.covers(base, &side.above);
    for by in sides {
        let seen = by.above.iter().chain([(&by.dot.node, by.dot.counter)]);
        for (node, counter) in seen {
            let from = sides.partition_point(|side| side.dot.node < *node);
            let of =
                sides[from..].iter().take_while(|side| side.dot.node == *node && side.dot.counter <= counter);
            if of.into_iter().any(|side| covers(by, side)) {
                return invalid("a side of a resolution has seen another");
            }
        }
    }
    let by_all = |side: &&Side| side.dot.counter <= base.counter(&side.dot.node);
    match sides.iter().filter(by_all).any(|side| sides.iter().any(|by| covers(by, side))) {
        true => invalid("a side of a resolution was seen by all"),
        false => Ok(()),
    }
}

/// What the sides state about one node.
#[derive(Clone, Copy, Default)]
struct Column {
    /// The highest counter.
    most: u64,
    /// The number of sides that have seen more of it than the base.
    sides: usize,
}

/// Checks every column of the matrix of sides and nodes: the minimum is the base, the maximum is the clock, and what
/// exceeds the base is listed in the side. If all sides exceed the base, the minimum is greater than the base.
fn factoring(base: &VectorClock, sides: &[Side], clock: &VectorClock) -> Result<()> {
    let mut columns = vec![Column::default(); clock.len()];
    let nodes: Vec<&NodeId> = clock.iter().map(|(node, _)| node).collect();
    let mut see = |node: &NodeId, counter: u64, sides: usize| match nodes.binary_search(&node) {
        Ok(at) => {
            columns[at].most = counter.max(columns[at].most);
            columns[at].sides += sides;
            Ok(())
        }
        Err(_) => invalid(NOT_THE_JOIN),
    };
    for (node, counter) in base.iter() {
        see(node, counter, 0)?;
    }
    for Side { dot, above } in sides {
        if dot.counter < base.counter(&dot.node) {
            return invalid("all sides of a resolution say to have seen more of a node than one of its own");
        }
        see(&dot.node, dot.counter, usize::from(dot.counter > base.counter(&dot.node)))?;
        for (node, counter) in above.iter() {
            if *node == dot.node {
                return invalid("a side of a resolution repeats its own dot");
            }
            if counter <= base.counter(node) {
                return invalid("a side of a resolution repeats what all had seen");
            }
            see(node, counter, 1)?;
        }
    }
    if columns.iter().any(|column| column.sides == sides.len()) {
        return invalid("the base of a resolution lacks something that all sides have seen");
    }
    if columns.iter().zip(clock.iter()).any(|(column, (_, counter))| column.most != counter) {
        return invalid(NOT_THE_JOIN);
    }
    Ok(())
}

const NOT_THE_JOIN: &str = "the clock of a resolution is not what its sides have seen together";
