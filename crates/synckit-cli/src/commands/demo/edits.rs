//! What the replicas record, chosen by a seed, and the reference that all logs are checked against.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use synckit::{AggregateId, Data, EventId, Metadata, NewEvent, Result};

/// The replicas.
pub(super) const NODES: [&str; 3] = ["a", "b", "c"];

/// Notes that all replicas edit offline.
const SHARED: usize = 3;
/// The number of edits recorded in one commit.
const COMMIT: usize = 50;
const WORDS: [&str; 8] = ["tide", "ember", "willow", "cobalt", "harbour", "quartz", "meadow", "signal"];

/// What the demo is going to do.
#[derive(Debug)]
pub(super) struct Plan {
    /// What each replica records first, in commits.
    pub(super) offline: Vec<Vec<Vec<NewEvent>>>,
    /// What the killed replica records after it starts again, in commits.
    pub(super) after_the_kill: Vec<Vec<NewEvent>>,
    /// The number of events that the killed replica pushes at once.
    pub(super) batch: usize,
    /// The push that it does not survive.
    pub(super) pushes_before_the_kill: usize,
}

/// Everything that was recorded, and by whom.
#[derive(Debug, Default)]
pub(super) struct Reference {
    events: HashMap<EventId, (NewEvent, &'static str)>,
    editors: BTreeMap<AggregateId, BTreeSet<&'static str>>,
}

/// Makes the plan; the seed decides it.
pub(super) fn plan(events: usize, seed: u64) -> Result<Plan> {
    let mut random = Random(seed);
    let after = (events / 150).max(1);
    let mut numbers = [0; NODES.len()];
    let mut offline = Vec::new();
    for (index, node) in NODES.into_iter().enumerate() {
        let share = (events - after + index) / NODES.len();
        // Each replica edits each shared note, at any place among its other edits.
        let mut notes: Vec<String> = (1..=SHARED).map(|note| format!("shared-{note}")).collect();
        notes.resize_with(share, || some_note(&mut random, node, share));
        random.shuffle(&mut notes);
        offline.push(commits(&mut random, node, &mut numbers[index], notes)?);
    }
    let own = (0..after).map(|_| some_note(&mut random, "b", events / NODES.len())).collect();
    let after_the_kill = commits(&mut random, "b", &mut numbers[1], own)?;
    let to_push = numbers[1] - after;
    let batch = (to_push / 8).clamp(1, 50);
    let pushes = to_push.div_ceil(batch);
    let pushes_before_the_kill = pushes / 4 + random.below(pushes / 2).max(1);
    Ok(Plan { offline, after_the_kill, batch, pushes_before_the_kill })
}

/// Returns one of the replica's own notes, each of which is edited about ten times, and now and then a shared one.
fn some_note(random: &mut Random, node: &str, edits: usize) -> String {
    match random.below(200) {
        0 => format!("shared-{}", 1 + random.below(SHARED)),
        _ => format!("{node}-{}", 1 + random.below((edits / 10).max(1))),
    }
}

fn commits(
    random: &mut Random,
    node: &'static str,
    number: &mut usize,
    notes: Vec<String>,
) -> Result<Vec<Vec<NewEvent>>> {
    let mut commits: Vec<Vec<NewEvent>> = Vec::new();
    for note in notes {
        *number += 1;
        let words: Vec<&str> = (0..2 + random.below(6)).map(|_| WORDS[random.below(WORDS.len())]).collect();
        // A number beyond 2⁵³ and one with a zero after the point must arrive unchanged, or the check fails.
        let text =
            format!(r#"{{"text":"{}","edit":{},"ratio":1.0}}"#, words.join(" "), u64::MAX - *number as u64);
        let event = NewEvent::with_data("NoteEdited", note, Data::json(text)?)?
            .with_id(EventId::new(format!("{node}-{number}"))?)
            .with_metadata(Metadata::of(&BTreeMap::from([("by", node)]))?);
        match commits.last_mut() {
            Some(commit) if commit.len() < COMMIT => commit.push(event),
            _ => commits.push(vec![event]),
        }
    }
    Ok(commits)
}

impl Reference {
    /// Adds what was recorded.
    pub(super) fn add(&mut self, node: &'static str, events: &[NewEvent]) {
        for event in events {
            self.editors.entry(event.aggregate_id.clone()).or_default().insert(node);
            if let Some(id) = &event.id {
                self.events.insert(id.clone(), (event.clone(), node));
            }
        }
    }

    /// Returns how many events were recorded.
    pub(super) fn len(&self) -> usize {
        self.events.len()
    }

    /// Returns what was recorded under an id, and by whom.
    pub(super) fn event(&self, id: &EventId) -> Option<(&NewEvent, &'static str)> {
        self.events.get(id).map(|(event, node)| (event, *node))
    }

    /// Iterates over the ids of everything that was recorded.
    pub(super) fn ids(&self) -> impl Iterator<Item = &EventId> {
        self.events.keys()
    }

    /// Returns the notes that more than one replica edited, none of which had seen the edits of another.
    pub(super) fn edited_by_several(&self) -> BTreeSet<AggregateId> {
        let several = self.editors.iter().filter(|(_, nodes)| nodes.len() > 1);
        several.map(|(note, _)| note.clone()).collect()
    }
}

/// SplitMix64: Steele, Lea, Flood, *Fast Splittable Pseudorandom Number Generators* (2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number below `end`, which is small compared with 2⁶⁴: then the remainder is even enough.
    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    /// Shuffles by the algorithm of Fisher and Yates.
    fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_records_as_many_events_as_asked_and_the_kill_is_in_the_middle() {
        for (events, seed) in (60..200).chain([3_000, 10_000]).zip(0..) {
            let plan = plan(events, seed).expect("valid");
            let all = plan.offline.iter().flatten().chain(&plan.after_the_kill).map(Vec::len).sum::<usize>();
            assert_eq!(all, events);
            let of_b: usize = plan.offline[1].iter().map(Vec::len).sum();
            let pushed = plan.pushes_before_the_kill * plan.batch;
            assert!(0 < pushed && pushed < of_b, "{events}, {seed}: {pushed} of {of_b}");
        }
    }

    #[test]
    fn the_seed_decides() {
        let text = |seed| format!("{:?}", plan(100, seed).expect("valid"));
        assert_eq!(text(1), text(1));
        assert_ne!(text(1), text(2));
    }
}
