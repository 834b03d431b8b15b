//! When a rule matches. Every condition gives the same result from whichever side it is evaluated.

use std::cell::OnceCell;

use serde::{Deserialize, Serialize};
use synckit_core::{AggregateId, Event, EventType, NodeId};
use synckit_plan::Conflict;

use crate::resolvers::{Changes, FieldPath, changes};

/// The condition of a rule on a conflict.
///
/// A condition on events holds when it is true of at least one event that the sides show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Always holds.
    Always,
    /// A side shows an event of this type.
    EventType(EventType),
    /// The conflict is about this aggregate.
    Aggregate(AggregateId),
    /// The id of the aggregate has this prefix.
    AggregatePrefix(String),
    /// A side changed this field, or something within it.
    FieldChanged(FieldPath),
    /// Sides changed this field, or something within it, differently.
    FieldClashes(FieldPath),
    /// A side shows an event whose metadata has this field with this value, as text.
    Metadata {
        /// The name of the field.
        field: String,
        /// The content of a string, or the JSON text of anything else.
        equals: String,
    },
    /// A side has an event authored by this node, under any of its names.
    Origin(NodeId),
    /// How the versions of the sides relate to each other.
    Relation(Relation),
    /// All of these hold.
    All(Vec<Condition>),
    /// At least one of these holds.
    Any(Vec<Condition>),
    /// This does not hold.
    Not(Box<Condition>),
}

/// How the versions of the sides of a conflict relate to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Relation {
    /// The aggregate was created more than once: the sides share nothing.
    CreatedApart,
    /// The sides have a common beginning.
    EditedApart,
    /// There are exactly two sides.
    TwoSides,
    /// There are more than two sides.
    ManySides,
    /// A side includes an earlier conflict: a resolution is on top of it.
    SettledBefore,
}

impl Relation {
    /// All of them, for tables and tests.
    pub const ALL: [Relation; 5] = [
        Relation::CreatedApart,
        Relation::EditedApart,
        Relation::TwoSides,
        Relation::ManySides,
        Relation::SettledBefore,
    ];

    /// Returns the name used in rule files.
    pub fn name(self) -> &'static str {
        match self {
            Relation::CreatedApart => "created-apart",
            Relation::EditedApart => "edited-apart",
            Relation::TwoSides => "two-sides",
            Relation::ManySides => "many-sides",
            Relation::SettledBefore => "settled-before",
        }
    }

    fn holds(self, conflict: &Conflict) -> bool {
        match self {
            Relation::CreatedApart => conflict.whole && conflict.base.is_empty(),
            Relation::EditedApart => !Relation::CreatedApart.holds(conflict),
            Relation::TwoSides => conflict.branches.len() == 2,
            Relation::ManySides => conflict.branches.len() > 2,
            Relation::SettledBefore => conflict.branches.iter().any(|branch| branch.head.is_resolution()),
        }
    }

    fn excludes(self, other: Relation) -> bool {
        use Relation::{CreatedApart, EditedApart, ManySides, TwoSides};
        matches!(
            (self, other),
            (CreatedApart, EditedApart)
                | (EditedApart, CreatedApart)
                | (TwoSides, ManySides)
                | (ManySides, TwoSides)
        )
    }
}

/// A conflict, and what has been computed about it so far.
pub(super) struct Case<'a> {
    conflict: &'a Conflict,
    shown: Vec<&'a Event>,
    changes: OnceCell<Changes>,
}

impl<'a> Case<'a> {
    pub(super) fn new(conflict: &'a Conflict) -> Self {
        Case { conflict, shown: changes::sides(conflict), changes: OnceCell::new() }
    }

    fn changes(&self) -> &Changes {
        self.changes.get_or_init(|| Changes::of(self.conflict))
    }
}

impl Condition {
    /// Returns whether the condition holds for a conflict.
    pub fn matches(&self, conflict: &Conflict) -> bool {
        self.holds(&Case::new(conflict))
    }

    pub(super) fn holds(&self, case: &Case<'_>) -> bool {
        let conflict = case.conflict;
        match self {
            Condition::Always => true,
            Condition::EventType(event_type) => {
                case.shown.iter().any(|event| event.event_type == *event_type)
            }
            Condition::Aggregate(aggregate) => conflict.aggregate_id == *aggregate,
            Condition::AggregatePrefix(prefix) => conflict.aggregate_id.as_str().starts_with(prefix.as_str()),
            Condition::FieldChanged(field) => case.changes().touch(field),
            Condition::FieldClashes(field) => case.changes().clash(field),
            Condition::Metadata { field, equals } => {
                case.shown.iter().any(|event| event.metadata.field(field).as_ref() == Some(equals))
            }
            Condition::Origin(node) => {
                let events = conflict.branches.iter().flat_map(|branch| &branch.events);
                events.filter_map(|event| event.dot.as_ref()).any(|dot| is_or_succeeds(&dot.node, node))
            }
            Condition::Relation(relation) => relation.holds(conflict),
            Condition::All(all) => all.iter().all(|condition| condition.holds(case)),
            Condition::Any(any) => any.iter().any(|condition| condition.holds(case)),
            Condition::Not(not) => !not.holds(case),
        }
    }

    /// Returns whether the conditions alone show that the other holds whenever this one does.
    pub(super) fn implies(&self, other: &Condition) -> bool {
        if self == other || *other == Condition::Always {
            return true;
        }
        match (self, other) {
            (Condition::Any(any), _) => any.iter().all(|one| one.implies(other)),
            (_, Condition::All(all)) => all.iter().all(|one| self.implies(one)),
            (_, Condition::Any(any)) if any.iter().any(|one| self.implies(one)) => true,
            (Condition::All(all), _) => all.iter().any(|one| one.implies(other)),
            (Condition::Not(not), Condition::Not(other)) => other.implies(not),
            (_, Condition::Not(other)) => self.excludes(other),
            (Condition::Aggregate(aggregate), Condition::AggregatePrefix(prefix)) => {
                aggregate.as_str().starts_with(prefix.as_str())
            }
            (Condition::AggregatePrefix(longer), Condition::AggregatePrefix(prefix)) => {
                longer.starts_with(prefix.as_str())
            }
            (Condition::FieldClashes(field), Condition::FieldChanged(other)) => other.holds(field),
            (Condition::FieldChanged(field), Condition::FieldChanged(other))
            | (Condition::FieldClashes(field), Condition::FieldClashes(other)) => other.holds(field),
            _ => false,
        }
    }

    /// Returns whether the conditions alone show that both never hold together.
    fn excludes(&self, other: &Condition) -> bool {
        match (self, other) {
            (Condition::Not(not), other) | (other, Condition::Not(not)) => other.implies(not),
            (Condition::All(all), other) | (other, Condition::All(all)) => {
                all.iter().any(|one| one.excludes(other))
            }
            (Condition::Any(any), other) | (other, Condition::Any(any)) => {
                any.iter().all(|one| one.excludes(other))
            }
            (Condition::Aggregate(one), Condition::Aggregate(two)) => one != two,
            (Condition::Aggregate(aggregate), Condition::AggregatePrefix(prefix))
            | (Condition::AggregatePrefix(prefix), Condition::Aggregate(aggregate)) => {
                !aggregate.as_str().starts_with(prefix.as_str())
            }
            (Condition::AggregatePrefix(one), Condition::AggregatePrefix(two)) => {
                !one.starts_with(two.as_str()) && !two.starts_with(one.as_str())
            }
            (Condition::Relation(one), Condition::Relation(two)) => one.excludes(*two),
            _ => false,
        }
    }

    /// Returns whether the condition alone shows that it can never hold.
    pub(super) fn is_never(&self) -> bool {
        match self {
            Condition::Not(not) => Condition::Always.implies(not),
            Condition::Any(any) => any.iter().all(Condition::is_never),
            Condition::All(all) => {
                let pairs = all
                    .iter()
                    .enumerate()
                    .flat_map(|(at, one)| all[at + 1..].iter().map(move |two| (one, two)));
                all.iter().any(Condition::is_never) || pairs.into_iter().any(|(one, two)| one.excludes(two))
            }
            _ => false,
        }
    }
}

/// Returns whether a node is this one, or this one under a name it took after a restore.
fn is_or_succeeds(node: &NodeId, of: &NodeId) -> bool {
    node == of
        || node.as_str().strip_prefix(of.as_str()).and_then(|rest| rest.strip_prefix('~')).is_some_and(
            |generation| !generation.is_empty() && generation.bytes().all(|byte| byte.is_ascii_digit()),
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aggregate(id: &str) -> Condition {
        Condition::Aggregate(AggregateId::new(id).expect("a short id"))
    }

    fn prefix(prefix: &str) -> Condition {
        Condition::AggregatePrefix(prefix.to_owned())
    }

    fn not(condition: Condition) -> Condition {
        Condition::Not(Box::new(condition))
    }

    #[test]
    fn what_follows_from_the_conditions_alone_is_seen() {
        assert!(aggregate("note-1").implies(&prefix("note-")));
        assert!(!prefix("note-").implies(&aggregate("note-1")));
        assert!(Condition::All(vec![aggregate("a"), prefix("b")]).implies(&aggregate("a")));
        assert!(aggregate("a").implies(&Condition::Any(vec![prefix("b"), prefix("a")])));
        assert!(Condition::Any(vec![aggregate("ab"), prefix("abc")]).implies(&prefix("a")));
        assert!(aggregate("a").implies(&not(prefix("b"))));
        assert!(not(prefix("a")).implies(&not(aggregate("ab"))));
        assert!(!not(aggregate("ab")).implies(&not(prefix("a"))));
    }

    #[test]
    fn what_can_never_hold_is_seen() {
        assert!(Condition::All(vec![aggregate("a"), aggregate("b")]).is_never());
        assert!(Condition::All(vec![prefix("a"), not(prefix("a"))]).is_never());
        assert!(not(Condition::Always).is_never());
        assert!(!Condition::All(vec![prefix("a"), prefix("ab")]).is_never());
        let two = Condition::Relation(Relation::TwoSides);
        assert!(Condition::All(vec![two.clone(), Condition::Relation(Relation::ManySides)]).is_never());
        assert!(!two.is_never());
    }

    #[test]
    fn a_node_is_known_under_its_later_names() {
        let node = |name: &str| NodeId::new(name).expect("a short name");
        assert!(
            is_or_succeeds(&node("till~2"), &node("till")) && is_or_succeeds(&node("till"), &node("till"))
        );
        assert!(
            !is_or_succeeds(&node("till-2"), &node("till"))
                && !is_or_succeeds(&node("till~x"), &node("till"))
        );
    }
}
