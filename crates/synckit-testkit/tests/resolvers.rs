//! Built-in resolvers give the same ruling on every replica; the check finds those that do not.

use std::sync::atomic::{AtomicUsize, Ordering};

use synckit::{
    Conflict, FieldMerge, FirstWriteWins, KeepAll, LastWriteWins, ManualReview, NewEvent, NodeId,
    RuleResolver, Rules,
    conflict::{Clash, Closure, Condition, Relation, Rule},
};
use synckit_plan::Answer;
use synckit_testkit::check_resolver;

const CASES: u64 = 1_000;

#[test]
fn built_in_resolvers_are_symmetric() {
    check_resolver(CASES, |_| LastWriteWins).expect("last write wins");
    check_resolver(CASES, |_| FirstWriteWins).expect("first write wins");
    check_resolver(CASES, |_| KeepAll).expect("keep all");
    check_resolver(CASES, |_| ManualReview).expect("review");
    for clash in Clash::ALL {
        let merge = |_: &NodeId| FieldMerge::new().with_clash(clash).with_otherwise(LastWriteWins);
        check_resolver(CASES, merge).unwrap_or_else(|failed| panic!("{clash:?}: {failed}"));
    }
}

#[test]
fn rules_of_all_conditions_are_symmetric() {
    let field = |name: &str| name.parse().expect("a pointer");
    let conditions = [
        Condition::All(vec![
            Condition::EventType("Renamed".parse().expect("a type")),
            Condition::Origin("eve".parse().expect("a name")),
        ]),
        Condition::Relation(Relation::SettledBefore),
        Condition::FieldClashes(field("/deep/c")),
        Condition::Not(Box::new(Condition::FieldChanged(field("a")))),
        Condition::Relation(Relation::CreatedApart),
    ];
    check_resolver(CASES, |_| {
        let rules =
            conditions.iter().enumerate().fold(Rules::new(LastWriteWins), |rules, (at, condition)| {
                let name = format!("rule {at}");
                rules.with_rule(match at % 2 {
                    0 => Rule::new(name, condition.clone(), FieldMerge::new()),
                    _ => Rule::new(name, condition.clone(), FirstWriteWins),
                })
            });
        RuleResolver::new(rules).expect("good rules")
    })
    .expect("rules");
}

#[test]
fn resolvers_that_are_not_are_found() {
    let own_side = |node: &NodeId| {
        let node = node.clone();
        Closure::new("own", move |conflict: &Conflict| {
            let own =
                |branch: &&synckit_plan::Branch| branch.head.dot.as_ref().is_some_and(|dot| dot.node == node);
            let branch = conflict.branches.iter().find(own).unwrap_or(&conflict.branches[0]);
            Ok(Answer::Keep(branch.stands_for.id.clone()))
        })
    };
    let found = check_resolver(CASES, own_side).expect_err("it looks at who is local");
    assert!(found.message.starts_with("it said Ruling"), "{found}");

    let calls = AtomicUsize::new(0);
    let moody = |_: &NodeId| {
        let calls = &calls;
        Closure::new("moody", move |_: &Conflict| {
            Ok(match calls.fetch_add(1, Ordering::Relaxed) % 7 {
                0 => Answer::Review,
                _ => Answer::KeepAll,
            })
        })
    };
    assert!(check_resolver(CASES, moody).is_err());

    let elsewhere = |_: &NodeId| {
        Closure::new("elsewhere", |_: &Conflict| NewEvent::new("Edited", "other", "x").map(Answer::Merge))
    };
    let found = check_resolver(CASES, elsewhere).expect_err("it merges into another aggregate");
    assert!(found.message.contains("cannot be carried out"), "{found}");

    let panics =
        |_: &NodeId| Closure::new("panics", |_: &Conflict| -> synckit::Result<Answer> { panic!("no") });
    assert_eq!(check_resolver(CASES, panics).expect_err("it panics").message, "it panicked");
}
