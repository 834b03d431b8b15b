//! The rules of the contracts, as `docs/writing-an-adapter.md` numbers them.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What a store must do.
const STORE: [&str; 12] = [
    "A commit is one transaction.",
    "Events and notes are written together or not at all.",
    "What was acknowledged is durable.",
    "Positions are in the order of commits, without gaps",
    "A future can be dropped at any await.",
    "Bytes come back as they went in",
    "Replaced events change all together.",
    "The store id is a note like the others.",
    "Facts are complete.",
    "A read returns exactly what its query asks for.",
    "Source and mark stay with their event.",
    "Whoever waits for growth is woken by it, and a closed store fails.",
];

/// What a transport must do.
const TRANSPORT: [&str; 8] = [
    "No hidden retries.",
    "The kind of an error survives the way",
    "A call is done as a whole or not at all",
    "Limits are checked before anything is allocated",
    "Bytes come as they were sent.",
    "A subscription is bounded",
    "A call arrives as it was made, and its response as it was given.",
    "A subscription misses nothing and repeats nothing.",
];

/// A rule of the contract that a suite is about. A case that fails says which rule was broken.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    adapter: &'static str,
    number: usize,
    text: &'static str,
}

impl Rule {
    /// Returns the rule for stores with this number.
    ///
    /// # Panics
    /// If there is none.
    pub fn store_suite(number: usize) -> Self {
        Rule { adapter: "store", number, text: STORE[number - 1] }
    }

    /// Returns the rule for transports with this number.
    ///
    /// # Panics
    /// If there is none.
    pub fn transport_suite(number: usize) -> Self {
        Rule { adapter: "transport", number, text: TRANSPORT[number - 1] }
    }

    /// Runs a case that is about this rule.
    ///
    /// # Panics
    /// If the case panics: with the rule, the case and the message of the case.
    pub fn check(self, case: &str, run: impl FnOnce()) {
        let Err(panic) = catch_unwind(AssertUnwindSafe(run)) else { return };
        let Rule { adapter, number, text } = self;
        let text = text.trim_end_matches('.');
        panic!(
            "the {adapter} breaks rule {number} of the contract ({text}) in {case}: {}\n\
             docs/writing-an-adapter.md explains the rules",
            message(&*panic)
        );
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it panics")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_the_rule_and_keeps_the_message() {
        let failed = catch_unwind(|| {
            Rule::store_suite(4).check("log::a_case", || assert_eq!((2, 0), (2, 2), "after a commit"));
        });
        let failed = failed.expect_err("the case fails");
        let message = message(&*failed);
        for part in
            ["the store breaks rule 4", "without gaps", "log::a_case", "after a commit", "left: (2, 0)"]
        {
            assert!(message.contains(part), "{message}");
        }
        Rule::transport_suite(2).check("passes", || {});
    }

    #[test]
    fn the_guide_has_these_rules_under_these_numbers() {
        let guide = include_str!("../../../docs/writing-an-adapter.md");
        let [stores, transports] = ["## What must hold", "## A transport"].map(|title| {
            let part = guide.split_once(title).expect("the guide has this part").1;
            part.split_once("\n## ").map_or(part, |(part, _)| part)
        });
        for (part, rules) in [(stores, &STORE[..]), (transports, &TRANSPORT[..])] {
            let numbered: Vec<&str> =
                part.lines().filter(|line| line.starts_with(|start: char| start.is_ascii_digit())).collect();
            assert_eq!(numbered.len(), rules.len());
            for (at, rule) in rules.iter().enumerate() {
                let number = at + 1;
                let start = format!("{number}. **{rule}");
                assert!(numbered[at].starts_with(&start), "rule {number} is another: {}", numbered[at]);
            }
        }
    }
}
