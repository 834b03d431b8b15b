//! What a resolution says, which foreign ones are refused, and what resolutions cost.

use std::time::Instant;

use proptest::prelude::*;
use sha2::{Digest, Sha256};
use synckit_core::{Data, Dot, Event, EventId, Metadata, NewEvent, NodeId, Timestamp, VectorClock};
use synckit_plan::{Answer, Conflict, Decision, Kept, Resolution, Side};

fn node(name: &str) -> NodeId {
    NodeId::new(name).expect("a short name")
}

fn dot(name: &str, counter: u64) -> Dot {
    Dot::new(node(name), counter)
}

fn clock(entries: &[(&str, u64)]) -> VectorClock {
    VectorClock::from_entries(entries.iter().map(|(name, counter)| (node(name), *counter))).expect("few")
}

fn new_event(aggregate: &str) -> NewEvent {
    NewEvent::with_data("T", aggregate, Data::json("1").expect("JSON")).expect("a good event")
}

/// Creates the event with this dot, whose author had seen this clock before.
fn event(dot: Dot, seen: &VectorClock) -> Event {
    let mut clock = seen.clone();
    clock.observe(&dot).expect("few nodes");
    let NewEvent { event_type, aggregate_id, data, metadata, .. } = new_event("x");
    Event {
        id: EventId::new(format!("e-{dot}")).expect("a short id"),
        event_type,
        aggregate_id,
        data,
        metadata,
        time: Timestamp::from_millis(clock.iter().map(|(_, counter)| counter).sum()),
        dot: Some(dot),
        clock,
    }
}

fn conflict(log: &[Event]) -> Conflict {
    Conflict::in_history(log.to_vec()).expect("readable").expect("there is a conflict")
}

fn settled(log: &[Event], answer: Answer) -> Event {
    conflict(log).settle(answer, "test").expect("a good answer").expect("a decision")
}

/// Creates three events that have not seen each other, on top of a common one.
fn three() -> Vec<Event> {
    let base = event(dot("a", 1), &clock(&[("z", 4)]));
    let more = clock(&[("a", 1), ("z", 5)]);
    vec![event(dot("a", 2), &base.clock), event(dot("b", 7), &more), event(dot("c", 1), &more), base]
}

fn resolution() -> Resolution {
    let log = three();
    Resolution::read(&settled(&log, Answer::Keep(log[1].id.clone()))).expect("readable")
}

/// Creates an event with this content and clock, and the id that belongs to them.
fn forged(resolution: &Resolution, clock: VectorClock) -> Event {
    let aggregate = new_event("x").aggregate_id;
    let mut event = resolution.clone().into_event(aggregate, Timestamp::from_millis(90)).expect("few nodes");
    event.clock = clock;
    event.id = id_of(&event, resolution.round);
    event
}

/// Computes the id as the protocol describes it, independently of the code.
fn id_of(event: &Event, round: u16) -> EventId {
    let mut binary = Vec::new();
    event.clock.encode(&mut binary);
    let time = event.time.to_bits().to_be_bytes();
    let parts: [&[u8]; 5] = [
        b"synckit resolution 2",
        event.aggregate_id.as_str().as_bytes(),
        &time,
        &binary,
        event.data.as_bytes(),
    ];
    let mut hashed = Vec::new();
    for part in parts {
        hashed.extend((part.len() as u64).to_be_bytes());
        hashed.extend(part);
    }
    let mut bytes = round.to_be_bytes().to_vec();
    bytes.extend(&Sha256::digest(hashed)[..14]);
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let parts = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
    EventId::new(parts.join("-")).expect("a UUID")
}

fn refused(event: &Event, why: &str) {
    let error = Resolution::check(event).expect_err(why);
    assert_eq!(error.kind(), synckit_core::ErrorKind::Invalid, "{error}");
    assert!(error.message().contains(why), "{why:?} is not in {error}");
}

/// Checks that a valid resolution with this one change is refused.
fn refused_saying(change: impl FnOnce(&mut Resolution), why: &str) {
    let mut changed = resolution();
    change(&mut changed);
    refused(&forged(&changed, changed.clock().expect("few nodes")), why);
}

#[test]
fn the_json_form_says_what_all_had_seen_once() {
    let log = three();
    let keep = settled(&log, Answer::Keep(log[1].id.clone()));
    assert_eq!(
        keep.data.as_json(),
        Some(
            r#"{"base":{"a":1,"z":4},"sides":[["a",2],["b",7,{"z":5}],["c",1,{"z":5}]],"decision":{"keep":["b",7]},"by":"test"}"#
        )
    );
    assert_eq!(keep.id, id_of(&keep, 0));
    assert_eq!(keep.clock, clock(&[("a", 2), ("b", 7), ("c", 1), ("z", 5)]));
    let person = conflict(&log).override_with(Answer::KeepAll, "ann").expect("good").expect("a decision");
    assert!(person.id.as_str().starts_with("0001") && person.id == id_of(&person, 1));
    let apart = [event(dot("a", 1), &VectorClock::new()), event(dot("b", 1), &VectorClock::new())];
    assert_eq!(
        settled(&apart, Answer::KeepAll).data.as_json(),
        Some(r#"{"sides":[["a",1],["b",1]],"decision":"keep_all","by":"test"}"#)
    );
}

/// Uses the example of `docs/protocol.md`.
#[test]
fn the_id_is_the_one_in_the_protocol() {
    let mut log = three();
    for event in &mut log {
        event.time = Timestamp::from_millis(1_764_000_000_000);
    }
    let keep = settled(&log, Answer::Keep(log[1].id.clone()));
    assert_eq!(keep.id.as_str(), "000085bc-1a22-8c43-abb9-3907e7929f3e");
}

#[test]
fn a_side_has_seen_what_its_event_has() {
    let log = three();
    let resolution = resolution();
    for (side, event) in resolution.sides.iter().zip(&log) {
        assert_eq!(Some(&side.dot), event.dot.as_ref());
        assert_eq!(side.clock(&resolution.base).expect("few nodes"), event.clock);
        assert!(side.covers(&resolution.base, &event.clock));
        for (node, counter) in clock(&[("a", 3), ("b", 8), ("c", 2), ("y", 1), ("z", 6)]).iter() {
            for counter in 1..=counter {
                let dot = Dot::new(node.clone(), counter);
                assert_eq!(side.has_seen(&resolution.base, &dot), event.clock.has_seen(&dot), "{dot}");
            }
        }
    }
}

#[test]
fn what_was_written_here_is_accepted_elsewhere() {
    let log = three();
    let mut all = vec![
        settled(&log, Answer::KeepAll),
        settled(&log, Answer::Keep(log[2].id.clone())),
        settled(&log, Answer::Merge(new_event("x"))),
    ];
    // On top of each: a branch that has seen some of its sides, and one that is kept although it is not a side.
    for earlier in all.clone() {
        let next = event(dot("c", 2), &log[2].clock);
        let with = [log.clone(), vec![earlier.clone(), next.clone()]].concat();
        let conflict = conflict(&with);
        for branch in &conflict.branches {
            let keep = Answer::Keep(branch.stands_for.id.clone());
            all.push(conflict.settle(keep, "test").expect("a good answer").expect("a decision"));
        }
    }
    let kept = all.iter().map(|event| Resolution::read(event).expect("readable").decision);
    let kept: Vec<_> = kept.collect();
    assert!(kept.iter().any(|one| matches!(one, Decision::Keep(Kept::Seen(..)))));
    assert!(kept.iter().any(|one| matches!(one, Decision::Keep(Kept::Resolution(..)))));
    for event in all {
        Resolution::check(&event).expect("it is accepted");
        let again: Event =
            serde_json::from_str(&serde_json::to_string(&event).expect("encodes")).expect("decodes");
        assert_eq!(again, event);
        let resolution = Resolution::read(&event).expect("readable");
        assert_eq!(resolution.into_event(event.aggregate_id.clone(), event.time).expect("few nodes"), event);
    }
}

#[test]
fn a_branch_whose_kept_event_a_filter_left_out_is_kept_by_the_name_of_the_event() {
    let log = three();
    let earlier = settled(&log[..2], Answer::Keep(log[1].id.clone()));
    let whole = conflict(&[log.clone(), vec![earlier.clone()]].concat());
    let partial = conflict(&[earlier.clone(), log[2].clone()]);
    let keep = |conflict: &Conflict| {
        let branch = conflict.branches.iter().find(|branch| branch.head.id == earlier.id).expect("on top");
        let keep = Answer::Keep(branch.stands_for.id.clone());
        conflict.settle(keep, "test").expect("a good answer").expect("a decision")
    };
    assert_eq!(keep(&whole), keep(&partial));
}

#[test]
fn a_taken_id_with_other_clocks_is_refused() {
    let good = forged(&resolution(), resolution().clock().expect("few nodes"));
    Resolution::check(&good).expect("it is accepted");
    let mut other = resolution();
    other.sides[1].above = clock(&[("y", 9), ("z", 5)]);
    let mut taken = forged(&other, other.clock().expect("few nodes"));
    Resolution::check(&taken).expect("under its own id it is another resolution");
    taken.id = good.id.clone();
    refused(&taken, "not the hash of what it says");
    let hash = "not the hash of what it says";
    refused(&Event { clock: clock(&[("a", 9)]), ..good.clone() }, hash);
    refused(&Event { time: good.time.next(), ..good.clone() }, hash);
    refused(&Event { aggregate_id: new_event("y").aggregate_id, ..good.clone() }, hash);
    let data = good.data.as_json().expect("JSON").replace(r#""by":"test""#, r#""by":"ann""#);
    refused(&Event { data: Data::json(data).expect("JSON"), ..good.clone() }, hash);
    let round = good.data.as_json().expect("JSON").replace(r#""by""#, r#""round":1,"by""#);
    refused(&Event { data: Data::json(round).expect("JSON"), ..good }, hash);
}

#[test]
fn another_type_and_metadata_are_refused() {
    let good = forged(&resolution(), resolution().clock().expect("few nodes"));
    let forgotten = Event { event_type: new_event("x").event_type, ..good.clone() };
    refused(&forgotten, "the event has no dot: its author gives it one");
    refused(&Event { dot: Some(dot("a", 2)), ..good.clone() }, "a resolution has no dot");
    let metadata = Metadata::json(r#"{"a":1}"#).expect("JSON");
    refused(&Event { metadata, ..good }, "has metadata");
}

#[test]
fn what_cannot_be_read_is_refused() {
    let good = forged(&resolution(), resolution().clock().expect("few nodes"));
    let json = good.data.as_json().expect("JSON");
    let sides: Vec<String> = (0..1_001).map(|number| format!(r#"["n{number}",1]"#)).collect();
    for bad in [
        "1".to_owned(),
        json.replacen('{', r#"{"extra":1,"#, 1),
        json.replacen('{', r#"{"by":"x","#, 1),
        json.replace(r#"["a",2]"#, r#"["a"]"#),
        json.replace(r#"["a",2]"#, r#"["a",2,{}]"#),
        json.replace(r#"["a",2]"#, r#"["a",2,{"z":5},1]"#),
        json.replace(r#"["a",2]"#, r#"["a",-2]"#),
        json.replace(r#"["a",2]"#, r#"["",2]"#),
        json.replace(r#"{"z":5}"#, r#"{"z":5,"z":5}"#),
        json.replace(r#"["b",7]}"#, r#"["b"]}"#),
        json.replace(r#"["b",7]}"#, r#"{"id":"r","clock":{"a":1},"more":1}}"#),
        json.replace(r#"{"keep":["b",7]}"#, r#""keep""#),
        json.replace(r#"{"keep":["b",7]}"#, r#"{"keep":["b",7],"merge":1}"#),
        json.replace(r#"["a",2]"#, &sides.join(",")),
    ] {
        assert_ne!(bad, json);
        refused(&Event { data: Data::json(&bad).expect("JSON"), ..good.clone() }, "cannot be read");
    }
    let unknown = json.replacen('{', r#"{"extra":1,"#, 1);
    let unknown = Event { data: Data::json(&unknown).expect("JSON"), ..good.clone() };
    refused(&unknown, "cannot be read: unknown field `extra`");
    refused(&Event { data: Data::bytes(*b"{}"), ..good }, "cannot be read");
}

#[test]
fn sides_that_are_no_sides_are_refused() {
    refused_saying(|it| it.sides.truncate(1), "fewer than two sides");
    refused_saying(|it| it.sides.clear(), "fewer than two sides");
    refused_saying(|it| it.sides.swap(0, 1), "not sorted, each once");
    refused_saying(|it| it.sides.insert(1, it.sides[1].clone()), "not sorted, each once");
    let earlier = Side { dot: dot("b", 6), above: clock(&[("z", 5)]) };
    refused_saying(|it| it.sides.insert(1, earlier), "has seen another");
    refused_saying(|it| it.sides[0].above = clock(&[("b", 7), ("z", 5)]), "has seen another");
    refused_saying(|it| it.sides[2].above = clock(&[("a", 3), ("z", 5)]), "has seen another");
    refused_saying(|it| it.base = clock(&[("a", 1), ("c", 1), ("z", 4)]), "was seen by all");
    refused_saying(|it| it.sides[0].dot.counter = 0, "was seen by all");
}

#[test]
fn another_way_to_say_the_same_clocks_is_refused() {
    refused_saying(|it| it.sides[0].above = clock(&[("z", 4)]), "repeats what all had seen");
    refused_saying(|it| it.sides[0].above = clock(&[("a", 2)]), "repeats its own dot");
    let lacks = "lacks something that all sides have seen";
    refused_saying(|it| it.sides[0].above = clock(&[("z", 6)]), lacks);
    refused_saying(
        |it| {
            it.base = clock(&[("a", 1)]);
            it.sides[0].above = clock(&[("z", 4)]);
        },
        lacks,
    );
    // Of a node that one side has authored and all others have seen.
    refused_saying(
        |it| {
            it.base = clock(&[("z", 4)]);
            it.sides[1].above = clock(&[("a", 1), ("z", 5)]);
            it.sides[2].above = clock(&[("a", 1), ("z", 5)]);
        },
        lacks,
    );
}

#[test]
fn a_clock_that_is_not_what_the_sides_have_seen_is_refused() {
    let it = resolution();
    for other in [
        clock(&[("a", 2), ("b", 7), ("c", 1), ("z", 6)]),
        clock(&[("a", 2), ("b", 7), ("c", 1), ("z", 4)]),
        clock(&[("a", 2), ("b", 7), ("c", 1)]),
        clock(&[("a", 2), ("b", 7), ("c", 1), ("y", 1), ("z", 5)]),
        clock(&[("a", 2), ("b", 8), ("c", 1), ("z", 5)]),
    ] {
        refused(&forged(&it, other), "not what its sides have seen together");
    }
}

#[test]
fn what_cannot_be_kept_or_merged_is_refused() {
    let keeping = |kept: Kept, why: &str| refused_saying(|it| it.decision = Decision::Keep(kept), why);
    keeping(Kept::Side(dot("b", 6)), "no side, without its clock");
    keeping(Kept::Side(dot("d", 1)), "no side, without its clock");
    keeping(Kept::Seen(dot("b", 7), clock(&[("b", 7)])), "repeats the clock of the side");
    for own in [clock(&[("a", 2)]), clock(&[("b", 1)])] {
        keeping(Kept::Seen(dot("a", 1), own), "does not contain its dot");
    }
    keeping(Kept::Seen(dot("y", 0), clock(&[("a", 1)])), "does not contain its dot");
    keeping(Kept::Seen(dot("y", 1), clock(&[("y", 1)])), "no side has seen");
    keeping(Kept::Seen(dot("a", 1), clock(&[("a", 1), ("y", 1)])), "no side has seen");
    let id = EventId::new("r").expect("a short id");
    for own in [resolution().clock().expect("few nodes"), clock(&[("y", 1)]), VectorClock::new()] {
        keeping(Kept::Resolution(id.clone(), own), "another that it has not seen");
    }
    refused_saying(|it| it.decision = Decision::Merge(new_event("y")), "into another aggregate");
    let reserved = NewEvent::with_data("synckit.resolution", "x", Data::json("1").expect("JSON"));
    let reserved = reserved.expect("a good event");
    refused_saying(|it| it.decision = Decision::Merge(reserved.clone()), "reserved type");
    assert!(conflict(&three()).settle(Answer::Merge(reserved), "test").is_err());
    let mut good = resolution();
    good.decision = Decision::Keep(Kept::Seen(dot("a", 1), clock(&[("a", 1), ("z", 4)])));
    Resolution::check(&forged(&good, good.clock().expect("few nodes"))).expect("it is accepted");
}

#[test]
fn a_made_up_round_is_refused() {
    let id = |text: &str| Some(EventId::new(text).expect("a short id"));
    let first = || id("0001aaaa-0000-8000-8000-000000000000");
    refused_saying(|it| it.round = 2, "does not say which decision it overrides");
    refused_saying(|it| it.round = u16::MAX, "does not say which decision it overrides");
    refused_saying(|it| it.overrides = first(), "round 0 or 1 says that it overrides");
    refused_saying(|it| (it.round, it.overrides) = (1, first()), "round 0 or 1 says that it overrides");
    for overrides in [first(), id("0003aaaa-0000-8000-8000-000000000000"), id("é"), id("r")] {
        refused_saying(|it| (it.round, it.overrides) = (3, overrides), "not of the round before");
    }
    let mut second = resolution();
    (second.round, second.overrides) = (2, first());
    Resolution::check(&forged(&second, second.clock().expect("few nodes"))).expect("it is accepted");
    let json = forged(&second, second.clock().expect("few nodes")).data;
    assert!(
        json.as_json()
            .expect("JSON")
            .ends_with(r#""by":"test","round":2,"overrides":"0001aaaa-0000-8000-8000-000000000000"}"#)
    );
}

/// Uses an author that claims to have seen an event, but not what that event had seen.
#[test]
fn clocks_that_contradict_each_other_are_settled_all_the_same() {
    let (first, other) = (event(dot("a", 1), &clock(&[("z", 5)])), event(dot("b", 1), &VectorClock::new()));
    let earlier = settled(&[first.clone(), other.clone()], Answer::KeepAll);
    let liar = event(dot("a", 2), &VectorClock::new());
    let conflict = conflict(&[first, other, earlier, liar]);
    let settled = conflict.settle(Answer::KeepAll, "test").expect("it can be").expect("it is settled");
    Resolution::check(&settled).expect("others take it");
    assert_eq!(conflict.settle(Answer::Review, "test").expect("no error"), None);
}

#[test]
fn dots_and_clocks_can_be_rewritten() {
    let log = three();
    let moved = |dot: &Dot| match dot.node.as_str() {
        "a" if dot.counter == 2 => Dot::new(node("d"), 1),
        _ => dot.clone(),
    };
    let moved_clock = |clock: &VectorClock| {
        let mut entries: Vec<(NodeId, u64)> =
            clock.iter().map(|(node, counter)| (node.clone(), counter)).collect();
        if clock.counter(&node("a")) == 2 {
            entries.retain(|(node, _)| node.as_str() != "a");
            entries.extend([(node("a"), 1), (node("d"), 1)]);
        }
        VectorClock::from_entries(entries)
    };
    let moved_log: Vec<Event> = log
        .iter()
        .map(|event| Event {
            dot: event.dot.as_ref().map(moved),
            clock: moved_clock(&event.clock).expect("few nodes"),
            ..event.clone()
        })
        .collect();
    let stamp = |dot: &Dot, clock: &VectorClock| Ok(Some((moved(dot), moved_clock(clock)?)));
    for answer in [Answer::KeepAll, Answer::Keep(log[0].id.clone()), Answer::Merge(new_event("x"))] {
        let before = settled(&log, answer.clone());
        let resolution = Resolution::read(&before).expect("readable");
        let resolution = resolution.map_stamps(stamp, |_| None).expect("few nodes");
        let after = resolution.into_event(before.aggregate_id.clone(), before.time).expect("few nodes");
        assert_eq!(after, settled(&moved_log, answer));
        assert_ne!(after.id, before.id);
        Resolution::check(&after).expect("it is accepted");
    }
    let earlier = EventId::new("r").expect("a short id");
    let mut keeps = resolution();
    keeps.decision = Decision::Keep(Kept::Resolution(earlier.clone(), clock(&[("a", 2)])));
    keeps.overrides = Some(earlier);
    let later = EventId::new("s").expect("a short id");
    let to_later = (later.clone(), clock(&[("a", 1), ("d", 1)]));
    let keeps = keeps.map_stamps(stamp, |_| Some(to_later.clone())).expect("few nodes");
    assert_eq!(keeps.overrides.as_ref(), Some(&later));
    let expected = Kept::Resolution(later, clock(&[("a", 1), ("d", 1)]));
    assert_eq!(keeps.decision, Decision::Keep(expected));
}

/// Settles a conflict of many sides, which must be small, and acceptable to others. Prints how long it takes.
fn settles_in_little(log: &[Event], sides: usize) -> Event {
    let begun = Instant::now();
    let conflict = conflict(log);
    let found = begun.elapsed();
    let keep = Answer::Keep(conflict.branches[conflict.branches.len() - 1].stands_for.id.clone());
    let resolution = conflict.settle(keep, "last-write-wins").expect("good").expect("a decision");
    let settled = begun.elapsed();
    Resolution::check(&resolution).expect("it is accepted");
    let checked = begun.elapsed();
    eprintln!(
        "{sides} sides, {} bytes: found in {found:?}, settled in {:?}, checked in {:?}",
        resolution.size(),
        settled - found,
        checked - settled
    );
    assert_eq!(Resolution::read(&resolution).expect("readable").sides.len(), sides);
    assert!(resolution.size() < 64 << 10, "it has {} bytes", resolution.size());
    resolution
}

fn writers() -> impl Iterator<Item = NodeId> {
    (0..900).map(|number| node(&format!("writer-{number}")))
}

#[test]
fn nine_hundred_writers_are_settled_by_one_resolution_under_64_kib() {
    let log: Vec<Event> = writers().map(|node| event(Dot::new(node, 1), &VectorClock::new())).collect();
    let resolution = settles_in_little(&log, 900);
    // One more side arrives.
    let late = [log.clone(), vec![resolution, event(dot("late", 1), &log[7].clock)]].concat();
    settles_in_little(&late, 900);
}

#[test]
fn nine_hundred_writers_who_share_a_past_are_settled_by_one_resolution_under_64_kib() {
    let shared = VectorClock::from_entries(writers().map(|node| (node, 1))).expect("at most a thousand");
    let mut log: Vec<Event> = writers().map(|node| event(Dot::new(node, 2), &shared)).collect();
    let resolution = settles_in_little(&log, 900);
    log.extend([resolution, event(dot("late", 1), &shared)]);
    settles_in_little(&log, 901);
}

#[test]
fn a_hundred_and_fifty_devices_that_edit_again_and_again_are_settled_in_little() {
    let devices: Vec<NodeId> = (0..150).map(|number| node(&format!("device-{number}"))).collect();
    let mut seen = VectorClock::new();
    for counter in 1..=40 {
        for device in &devices {
            seen.observe(&Dot::new(device.clone(), counter)).expect("few nodes");
        }
    }
    let base = event(Dot::new(devices[149].clone(), 41), &seen);
    let sides = devices[..3].iter().map(|device| event(Dot::new(device.clone(), 41), &base.clock));
    let log: Vec<Event> = sides.chain([base.clone()]).collect();
    let resolution = settles_in_little(&log, 3);
    assert!(resolution.size() < 6 << 10, "it has {} bytes", resolution.size());
    let all: Vec<Event> =
        devices[..149].iter().map(|device| event(Dot::new(device.clone(), 41), &base.clock)).collect();
    assert!(settles_in_little(&all, 149).size() < 16 << 10);
}

/// Generates events of a few nodes with transitive clocks: who writes, and what it has seen of the others.
fn logs() -> impl Strategy<Value = Vec<Event>> {
    let step = (0_usize..5, prop::collection::vec(any::<prop::sample::Index>(), 0..3));
    prop::collection::vec(step, 2..14).prop_map(|steps| {
        let mut log: Vec<Event> = Vec::new();
        for (author, seen) in steps {
            let author = node(["a", "b", "c", "d", "e"][author]);
            let mut clock = VectorClock::new();
            let own = log.iter().rfind(|event| event.dot.as_ref().is_some_and(|dot| dot.node == author));
            let counter = own.and_then(|own| own.dot.as_ref()).map_or(1, |dot| dot.counter + 1);
            let others = seen.iter().filter(|_| !log.is_empty()).map(|index| index.get(&log));
            for other in others.chain(own) {
                clock.merge(&other.clock).expect("few nodes");
            }
            log.push(event(Dot::new(author, counter), &clock));
        }
        log
    })
}

proptest! {
    #[test]
    fn a_resolution_says_its_clocks_exactly_and_is_accepted(log in logs(), step_by_step in any::<bool>()) {
        let Some(found) = Conflict::in_history(log.clone()).expect("readable") else { return Ok(()) };
        let heads: Vec<Event> = found.branches.iter().map(|branch| (*branch.head).clone()).collect();
        let mut log = heads.clone();
        if step_by_step && heads.len() > 2 {
            log.push(settled(&heads[..2], Answer::KeepAll));
        }
        let event = settled(&log, Answer::KeepAll);
        Resolution::check(&event).expect("it is accepted");
        let resolution = Resolution::read(&event).expect("readable");
        let mut sides: Vec<&Event> = heads.iter().collect();
        sides.sort_by(|left, right| left.dot.cmp(&right.dot));
        prop_assert_eq!(resolution.sides.len(), sides.len());
        for (side, head) in resolution.sides.iter().zip(sides) {
            prop_assert_eq!(Some(&side.dot), head.dot.as_ref());
            prop_assert_eq!(&side.clock(&resolution.base).expect("few nodes"), &head.clock);
        }
        prop_assert_eq!(&event.id, &id_of(&event, 0));
        prop_assert_eq!(&event, &settled(&heads, Answer::KeepAll));
    }

    /// Checks that any input is refused or accepted, and that what is accepted has the clock its content implies.
    #[test]
    fn nothing_that_is_said_makes_the_check_fail_to_return(
        base in prop::collection::btree_map("[a-d]", 0_u64..4, 0..4),
        sides in prop::collection::vec(
            ("[a-d]", 0_u64..5, prop::collection::btree_map("[a-d]", 1_u64..5, 0..3)), 0..5),
        kept in ("[a-d]", 0_u64..5),
    ) {
        let clock = |entries: std::collections::BTreeMap<String, u64>| {
            VectorClock::from_entries(entries.into_iter().map(|(name, counter)| (node(&name), counter)))
                .expect("few nodes")
        };
        let mut sides: Vec<Side> = sides
            .into_iter()
            .map(|(name, counter, above)| Side { dot: dot(&name, counter), above: clock(above) })
            .collect();
        sides.sort_by(|left, right| left.dot.cmp(&right.dot));
        let it = Resolution {
            base: clock(base),
            sides,
            decision: Decision::Keep(Kept::Side(dot(&kept.0, kept.1))),
            ..resolution()
        };
        let event = forged(&it, it.clock().expect("few nodes"));
        if Resolution::check(&event).is_ok() {
            let clocks: Vec<VectorClock> =
                it.sides.iter().map(|side| side.clock(&it.base).expect("few nodes")).collect();
            let meet = clocks.iter().skip(1).fold(clocks[0].clone(), |meet, clock| meet.meet(clock));
            prop_assert_eq!(&it.base, &meet);
            for (at, side) in it.sides.iter().enumerate() {
                let seen = clocks.iter().enumerate().filter(|(other, clock)| {
                    *other != at && clock.has_seen(&side.dot) && clocks[at].is_covered_by(clock)
                });
                prop_assert_eq!(seen.count(), 0);
                prop_assert_eq!(clocks[at].counter(&side.dot.node), side.dot.counter);
            }
        }
    }
}
