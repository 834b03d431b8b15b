//! What every resolver must do: give the same ruling on every replica, every time.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use synckit_core::{Data, Event, NewEvent, NodeId, Result};
use synckit_plan::{Answer, Conflict, ConflictResolver, Ruling};

use crate::Rng;
use crate::samples::{Author, aggregate, node};

const NODES: [&str; 5] = ["ann", "bob", "cid", "dot", "eve"];

/// A resolver that is not the same on every replica, or whose answer cannot be carried out.
///
/// Replicas still converge with such a resolver, by the canonical order of the differing decisions. But each of them
/// is an extra event, and the winner is a matter of chance.
#[derive(Clone, Debug)]
pub struct Asymmetry {
    /// The number of the case that shows it.
    pub case: u64,
    /// The conflict.
    pub conflict: Conflict,
    /// What went wrong.
    pub message: String,
}

impl fmt::Display for Asymmetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "case {}: {}", self.case, self.message)?;
        writeln!(f, "base: {:?}", self.conflict.base.iter().map(|event| line(event)).collect::<Vec<_>>())?;
        for branch in &self.conflict.branches {
            writeln!(f, "side: {:?}", branch.events.iter().map(|event| line(event)).collect::<Vec<_>>())?;
        }
        Ok(())
    }
}

impl std::error::Error for Asymmetry {}

fn line(event: &Event) -> String {
    format!("{} {} {:?} at {}", event.id, event.event_type, event.data, event.time)
}

/// Checks a resolver on this many random conflicts of two to five sides: forms of a few fields, with and without a
/// base, plain and after an earlier resolution, some with payloads that are not objects.
///
/// `at` creates the resolver as a replica of this name would have it, so that a resolver that depends on the local
/// node is found. Each is asked twice, with the same events in another order of arrival. All rulings must be equal
/// and valid, and none may panic.
///
/// ```
/// use synckit_testkit::check_resolver;
///
/// check_resolver(100, |_| synckit::LastWriteWins)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// The first conflict on which the rulings differ.
pub fn check_resolver<R: ConflictResolver>(
    cases: u64,
    at: impl Fn(&NodeId) -> R,
) -> Result<(), Box<Asymmetry>> {
    let resolvers: Vec<R> = NODES.iter().map(|name| at(&node(name))).collect();
    for case in 0..cases {
        let mut rng = Rng::new(case);
        let mut events = history(&mut rng);
        let mut first: Option<(Ruling, Conflict)> = None;
        for resolver in resolvers.iter().chain(&resolvers) {
            rng.shuffle(&mut events);
            let conflict = Conflict::in_history(events.clone()).ok().flatten();
            let conflict = conflict.expect("the histories of the check are in conflict");
            let fail = |message: String| Box::new(Asymmetry { case, conflict: conflict.clone(), message });
            let ruling = catch_unwind(AssertUnwindSafe(|| resolver.resolve(&conflict)))
                .map_err(|_| fail("it panicked".to_owned()))?
                .map_err(|error| fail(format!("it failed: {error}")))?;
            if let Err(error) = conflict.settle(ruling.clone(), resolver.name()) {
                return Err(fail(format!("its ruling cannot be carried out: {error}")));
            }
            match &first {
                None => first = Some((ruling, conflict)),
                Some((other, same)) if *same == conflict && *other == ruling => {}
                Some((other, _)) => return Err(fail(format!("it said {other:?}, and then {ruling:?}"))),
            }
        }
    }
    Ok(())
}

/// Returns a history of one aggregate that is in conflict.
fn history(rng: &mut Rng) -> Vec<Event> {
    let sides = 2 + rng.below(NODES.len() - 1);
    let mut authors: Vec<Author> = NODES[..sides].iter().map(|name| Author::new(name)).collect();
    let mut events = Vec::new();
    for _ in 0..rng.below(3) {
        let by = rng.below(sides);
        let event = authors[by].write_this(edit(rng));
        authors.iter_mut().for_each(|author| author.see(&event));
        events.push(event);
    }
    for author in &mut authors {
        for _ in 0..1 + rng.below(3) {
            events.push(author.write_this(edit(rng)));
        }
    }
    if rng.chance(30) {
        events.extend(resolution_of_two(rng, &events));
    }
    events
}

/// Returns a resolution of the first two sides, while the others are still in conflict with it.
fn resolution_of_two(rng: &mut Rng, events: &[Event]) -> Option<Event> {
    let by = |event: &Event, names: &[&str]| {
        event.dot.as_ref().is_some_and(|dot| names.contains(&dot.node.as_str()))
    };
    if !events.iter().any(|event| by(event, &NODES[2..])) {
        return None;
    }
    let two: Vec<Event> = events.iter().filter(|event| by(event, &NODES[..2])).cloned().collect();
    let conflict = Conflict::in_history(two).ok()??;
    let answer = match rng.below(3) {
        0 => Answer::KeepAll,
        1 => Answer::Keep(conflict.branches[0].stands_for.id.clone()),
        _ => Answer::Merge(edit(rng)),
    };
    conflict.settle(answer, "earlier").ok()?
}

fn edit(rng: &mut Rng) -> NewEvent {
    let number = |rng: &mut Rng| rng.below(3);
    let text = match rng.below(10) {
        0 => number(rng).to_string(),
        1 => "{}".to_owned(),
        2 => format!(r#"{{"a":{},"tags":["{}"]}}"#, number(rng), number(rng)),
        _ => format!(
            r#"{{"a":{},"b":"{}","deep":{{"c":{},"d":[{}]}},"big":900719925474099{}}}"#,
            number(rng),
            number(rng),
            number(rng),
            number(rng),
            number(rng)
        ),
    };
    let event_type = if rng.chance(90) { "Edited" } else { "Renamed" };
    let data = Data::json(text).expect("the check writes valid JSON");
    NewEvent::with_data(event_type, aggregate("form"), data).expect("the check uses valid names")
}
