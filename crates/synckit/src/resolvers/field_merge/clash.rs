//! How to merge a field that several sides changed differently.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use crate::resolvers::tree::{self, Tree};

/// How to merge a field that several sides changed differently.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Clash {
    /// The value of the latest of these sides in canonical order.
    #[default]
    Latest,
    /// The value of the earliest of these sides.
    Earliest,
    /// The largest number; same as `Latest` if one of the values is not a number.
    Largest,
    /// The smallest number; same as `Latest` if one of the values is not a number.
    Smallest,
    /// For arrays, the elements of all sides without duplicates, except those that were in the base and are missing on
    /// a side. Same as `Latest` if one of the values is not an array.
    Union,
    /// The whole conflict is left for a person.
    Review,
}

impl Clash {
    /// All of them, for tables and tests.
    pub const ALL: [Clash; 6] =
        [Clash::Latest, Clash::Earliest, Clash::Largest, Clash::Smallest, Clash::Union, Clash::Review];

    /// Returns the name used in rule files.
    pub fn name(self) -> &'static str {
        match self {
            Clash::Latest => "latest",
            Clash::Earliest => "earliest",
            Clash::Largest => "largest",
            Clash::Smallest => "smallest",
            Clash::Union => "union",
            Clash::Review => "review",
        }
    }

    /// Chooses among the values of the sides that changed the field, in canonical order of the sides. A value is `None`
    /// if the field was removed. The outer `None` leaves the conflict for a person.
    pub(super) fn choose<'a>(
        self,
        base: Option<&Tree<'a>>,
        values: &[Option<&Tree<'a>>],
    ) -> Option<Option<Tree<'a>>> {
        let latest = || values.last().copied().flatten().cloned();
        match self {
            Clash::Review => None,
            Clash::Latest => Some(latest()),
            Clash::Earliest => Some(values.first().copied().flatten().cloned()),
            Clash::Largest => Some(extreme(values, Ordering::Greater).or_else(latest)),
            Clash::Smallest => Some(extreme(values, Ordering::Less).or_else(latest)),
            Clash::Union => Some(union(base, values).or_else(latest)),
        }
    }
}

/// Returns the largest, or smallest, number; of equal ones the latest. `None` unless all are numbers.
fn extreme<'a>(values: &[Option<&Tree<'a>>], wanted: Ordering) -> Option<Tree<'a>> {
    let mut best: Option<(&str, f64)> = None;
    for value in values {
        let Some(Tree::Leaf(text)) = value else { return None };
        let number: f64 = serde_json::from_str(text).ok()?;
        let better = best.is_none_or(|(best, of)| {
            let exact = text.parse::<i128>().ok().zip(best.parse::<i128>().ok());
            let order = exact.map_or_else(|| number.total_cmp(&of), |(one, two)| one.cmp(&two));
            order == wanted || order == Ordering::Equal
        });
        if better {
            best = Some((text, number));
        }
    }
    best.map(|(text, _)| Tree::Leaf(text))
}

fn union<'a>(base: Option<&Tree<'a>>, values: &[Option<&Tree<'a>>]) -> Option<Tree<'a>> {
    let array = |value: &Tree<'a>| match value {
        Tree::Leaf(text) => tree::elements(text),
        _ => None,
    };
    let sides: Option<Vec<Vec<&'a str>>> = values.iter().map(|value| array((*value)?)).collect();
    let sides = sides?;
    let base = base.and_then(array).unwrap_or_default();
    let holds = |array: &[&str], item: &str| array.iter().any(|other| tree::same_text(other, item));
    let mut union: Vec<&'a str> = Vec::new();
    for item in base.iter().chain(sides.iter().flatten()).copied() {
        let removed = holds(&base, item) && !sides.iter().all(|side| holds(side, item));
        if !removed && !holds(&union, item) {
            union.push(item);
        }
    }
    Some(Tree::Array(union))
}
