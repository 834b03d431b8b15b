//! The merge of any number of objects over their base.

use std::collections::BTreeSet;

use crate::resolvers::FieldPath;
use crate::resolvers::field_merge::Clash;
use crate::resolvers::tree::{Fields, Tree};

/// One merge, and the fields that clashed in it.
pub(super) struct Merge<C> {
    clash_at: C,
    /// The paths of the fields that clashed.
    pub(super) clashed: Vec<String>,
}

impl<C: Fn(&FieldPath) -> Clash> Merge<C> {
    pub(super) fn new(clash_at: C) -> Self {
        Merge { clash_at, clashed: Vec::new() }
    }

    /// Merges the sides, given in canonical order. `None` if a clash is to be left for a person; the list of clashes is
    /// complete even then.
    pub(super) fn objects<'a>(
        &mut self,
        at: &FieldPath,
        base: &Fields<'a>,
        sides: &[&Fields<'a>],
    ) -> Option<Fields<'a>> {
        let names: BTreeSet<&String> = base.keys().chain(sides.iter().flat_map(|side| side.keys())).collect();
        let (mut merged, mut complete) = (Fields::new(), true);
        for name in names {
            let values: Vec<Option<&Tree<'a>>> = sides.iter().map(|side| side.get(name)).collect();
            match self.value(&at.join(name), base.get(name), &values) {
                Some(Some(value)) => drop(merged.insert(name.clone(), value)),
                Some(None) => {}
                None => complete = false,
            }
        }
        complete.then_some(merged)
    }

    fn value<'a>(
        &mut self,
        at: &FieldPath,
        base: Option<&Tree<'a>>,
        values: &[Option<&Tree<'a>>],
    ) -> Option<Option<Tree<'a>>> {
        let changed: Vec<Option<&Tree<'a>>> =
            values.iter().filter(|value| !same(base, **value)).copied().collect();
        let Some(last) = changed.last() else { return Some(base.cloned()) };
        if changed.iter().all(|value| same(*value, *last)) {
            return Some(last.cloned());
        }
        let objects: Option<Vec<&Fields<'a>>> = changed.iter().map(|value| fields(*value)).collect();
        if let Some(objects) = objects {
            let nothing = Fields::new();
            let base = fields(base).unwrap_or(&nothing);
            return self.objects(at, base, &objects).map(|merged| Some(Tree::Object(merged)));
        }
        self.clashed.push(at.to_string());
        (self.clash_at)(at).choose(base, &changed)
    }
}

fn same(left: Option<&Tree<'_>>, right: Option<&Tree<'_>>) -> bool {
    match (left, right) {
        (Some(left), Some(right)) => left.same(right),
        (None, None) => true,
        _ => false,
    }
}

fn fields<'t, 'a>(value: Option<&'t Tree<'a>>) -> Option<&'t Fields<'a>> {
    match value {
        Some(Tree::Object(fields)) => Some(fields),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resolvers::tree;

    fn merged(clash: Clash, base: &str, sides: &[&str]) -> Option<String> {
        let objects: Vec<Fields<'_>> =
            sides.iter().map(|side| tree::object(side).expect("an object")).collect();
        let base = tree::object(base).expect("an object");
        let mut merge = Merge::new(|_: &FieldPath| clash);
        let merged = merge.objects(&FieldPath::root(), &base, &objects.iter().collect::<Vec<_>>())?;
        Some(Tree::Object(merged).text())
    }

    #[test]
    fn each_side_counts_for_what_it_changed() {
        let sides = [r#"{"a":2,"b":1,"c":1}"#, r#"{"a":1,"b":2,"c":1}"#, r#"{"a":1,"b":1,"d":4}"#];
        let base = r#"{"a":1,"b":1,"c":1}"#;
        assert_eq!(merged(Clash::Review, base, &sides).as_deref(), Some(r#"{"a":2,"b":2,"d":4}"#));
    }

    #[test]
    fn the_same_change_on_all_sides_is_no_clash() {
        let sides = [r#"{"a":[2, 3]}"#, r#"{"a":[2,3]}"#];
        assert_eq!(merged(Clash::Review, r#"{"a":1}"#, &sides).as_deref(), Some(r#"{"a":[2,3]}"#));
        assert_eq!(merged(Clash::Review, r#"{"a":1}"#, &["{}", "{}"]).as_deref(), Some("{}"));
    }

    #[test]
    fn objects_within_are_merged_and_a_change_beats_no_change() {
        let base = r#"{"o":{"x":1,"y":1}}"#;
        let sides = [r#"{"o":{"x":2,"y":1}}"#, r#"{"o":{"x":1,"z":3}}"#];
        assert_eq!(merged(Clash::Review, base, &sides).as_deref(), Some(r#"{"o":{"x":2,"z":3}}"#));
        assert_eq!(merged(Clash::Review, base, &["{}", r#"{"o":{"x":2,"y":1}}"#]), None);
    }

    #[test]
    fn clashes_go_by_their_rule() {
        let base = r#"{"n":1,"l":["a","b"]}"#;
        let numbers = [r#"{"n":9007199254740993,"l":["a","b"]}"#, r#"{"n":9007199254740992,"l":["a","b"]}"#];
        let cases = [
            (Clash::Latest, Some(r#"{"l":["a","b"],"n":9007199254740992}"#)),
            (Clash::Earliest, Some(r#"{"l":["a","b"],"n":9007199254740993}"#)),
            (Clash::Largest, Some(r#"{"l":["a","b"],"n":9007199254740993}"#)),
            (Clash::Smallest, Some(r#"{"l":["a","b"],"n":9007199254740992}"#)),
            (Clash::Union, Some(r#"{"l":["a","b"],"n":9007199254740992}"#)),
            (Clash::Review, None),
        ];
        for (clash, expected) in cases {
            assert_eq!(merged(clash, base, &numbers).as_deref(), expected, "{clash:?}");
        }
        let lists = [r#"{"n":1,"l":["a","c"]}"#, r#"{"n":1,"l":["a","b","d"]}"#];
        assert_eq!(merged(Clash::Union, base, &lists).as_deref(), Some(r#"{"l":["a","c","d"],"n":1}"#));
    }

    #[test]
    fn every_clash_is_known_by_its_name() {
        for clash in Clash::ALL {
            let text = serde_json::to_string(&clash).expect("a name");
            assert_eq!(text.trim_matches('"'), clash.name());
        }
    }
}
