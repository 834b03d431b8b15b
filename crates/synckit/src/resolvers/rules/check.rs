//! Mistakes in rules, found before the rules are used.

use std::collections::BTreeMap;
use std::fmt;

use crate::resolvers::rules::{Condition, Rule, Then};

/// A mistake in a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleMistake {
    /// The index of the rule, from 0; for a rule within groups, the indexes on the path to it.
    pub at: Vec<usize>,
    /// The name of the rule.
    pub rule: String,
    /// What is wrong, and which other rule it collides with.
    pub message: String,
}

impl fmt::Display for RuleMistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rule `{}`: {}", self.rule, self.message)
    }
}

/// The maximum number of rules, including those in groups: each is compared with all before it.
const MAX_RULES: usize = 1_000;

fn count(rules: &[Rule]) -> usize {
    let within = |rule: &Rule| match &rule.then {
        Then::Ask(_) => 0,
        Then::Group(rules) => count(rules),
    };
    rules.iter().map(|rule| 1 + within(rule)).sum()
}

pub(super) fn mistakes(rules: &[Rule]) -> Vec<RuleMistake> {
    let all = count(rules);
    if all > MAX_RULES {
        let message = format!("it is one of {all}; there can be at most {MAX_RULES}");
        return vec![RuleMistake { at: vec![0], rule: rules[0].name.clone(), message }];
    }
    let mut check = Check::default();
    check.list(rules, &mut Vec::new(), &[], &[]);
    check.mistakes
}

/// A rule before the current one: it takes every conflict for which all of these conditions hold.
type Earlier = (String, Vec<Condition>);

#[derive(Default)]
struct Check {
    mistakes: Vec<RuleMistake>,
    names: BTreeMap<String, Vec<usize>>,
}

impl Check {
    fn list(
        &mut self,
        rules: &[Rule],
        at: &mut Vec<usize>,
        around: &[Condition],
        earlier: &[Earlier],
    ) -> Vec<Earlier> {
        let mut earlier = earlier.to_vec();
        for (index, rule) in rules.iter().enumerate() {
            at.push(index);
            self.rule(rule, at, around, &mut earlier);
            at.pop();
        }
        earlier
    }

    fn rule(&mut self, rule: &Rule, at: &mut Vec<usize>, around: &[Condition], earlier: &mut Vec<Earlier>) {
        let mut report = |message: String| {
            self.mistakes.push(RuleMistake { at: at.clone(), rule: rule.name.clone(), message });
        };
        if rule.name.is_empty() {
            report("a rule needs a name".to_owned());
        } else if let Some(first) = self.names.insert(rule.name.clone(), at.clone()) {
            let first: Vec<String> = first.iter().map(|index| (index + 1).to_string()).collect();
            report(format!("rule {} has this name already", first.join(" / ")));
        }
        let holds: Vec<Condition> = around.iter().cloned().chain([rule.when.clone()]).collect();
        let all = Condition::All(holds.clone());
        let takes_all =
            |(_, conditions): &&Earlier| conditions.iter().all(|condition| all.implies(condition));
        if let Condition::Any(conditions) | Condition::All(conditions) = &rule.when
            && conditions.is_empty()
        {
            report("`all` and `any` need at least one condition".to_owned());
        } else if all.is_never() {
            report("the condition can never hold".to_owned());
        } else if let Some((name, _)) = earlier.iter().find(takes_all) {
            report(format!("it can never be reached: rule `{name}` before it takes all it matches"));
        }
        match &rule.then {
            Then::Ask(_) => earlier.push((rule.name.clone(), holds)),
            Then::Group(rules) if rules.is_empty() => report("the group has no rules".to_owned()),
            Then::Group(rules) => *earlier = self.list(rules, at, &holds, earlier),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resolvers::{LastWriteWins, RuleResolver, Rules};

    fn rule(name: &str, when: Condition) -> Rule {
        Rule::new(name, when, LastWriteWins)
    }

    fn prefix(prefix: &str) -> Condition {
        Condition::AggregatePrefix(prefix.to_owned())
    }

    #[test]
    fn each_mistake_is_found_where_it_is() {
        let rules = [
            rule("notes", prefix("note-")),
            rule("notes", prefix("list-")),
            rule("one note", prefix("note-1")),
            Rule::group("empty", Condition::Always, []),
            Rule::group(
                "lists",
                prefix("list"),
                [rule("all", Condition::Always), rule("none", prefix("list-2"))],
            ),
            rule("lists again", prefix("lists")),
            rule("never", Condition::All(vec![prefix("a"), prefix("b")])),
            rule("nothing", Condition::Any(Vec::new())),
        ];
        let found: Vec<(Vec<usize>, String)> =
            mistakes(&rules).into_iter().map(|mistake| (mistake.at, mistake.message)).collect();
        let expected: [(&[usize], &str); 7] = [
            (&[1], "rule 1 has this name already"),
            (&[2], "it can never be reached: rule `notes` before it takes all it matches"),
            (&[3], "the group has no rules"),
            (&[4, 1], "it can never be reached: rule `notes` before it takes all it matches"),
            (&[5], "it can never be reached: rule `all` before it takes all it matches"),
            (&[6], "the condition can never hold"),
            (&[7], "`all` and `any` need at least one condition"),
        ];
        assert_eq!(found, expected.map(|(at, message)| (at.to_vec(), message.to_owned())));
    }

    #[test]
    fn rules_are_bounded() {
        let many = |count: usize| {
            (0..count).map(|n| rule(&format!("rule {n}"), prefix(&format!("{n:04}")))).collect()
        };
        let many: [Vec<Rule>; 2] = [many(MAX_RULES), many(MAX_RULES + 1)];
        assert!(mistakes(&many[0]).is_empty());
        assert_eq!(mistakes(&many[1]).len(), 1);
    }

    #[test]
    fn rules_with_a_mistake_change_nothing() {
        let resolver =
            RuleResolver::new(Rules::new(LastWriteWins).with_rule(rule("a", prefix("a")))).expect("good");
        let twice =
            Rules::new(LastWriteWins).with_rule(rule("a", prefix("a"))).with_rule(rule("a", prefix("b")));
        assert!(resolver.replace(twice).is_err());
        assert_eq!(resolver.rules().rules.len(), 1);
        resolver.replace(Rules::new(LastWriteWins)).expect("good");
        assert_eq!(resolver.clone().rules().rules.len(), 0);
    }
}
