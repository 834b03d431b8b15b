//! Ordered rules that choose a resolver for each conflict: the first rule that matches decides.
//!
//! - this file: [`Rules`], and the [`RuleResolver`] that applies them and can replace them at run time
//! - `condition.rs`: when a rule matches
//! - `check.rs`: mistakes in rules, found before they are used

mod check;
mod condition;

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use synckit_core::{Error, Result};
use synckit_plan::{Conflict, ConflictResolver, Fingerprint, Ruling};

pub use check::RuleMistake;
pub use condition::{Condition, Relation};

use crate::resolvers::SharedResolver;
use condition::Case;

/// A name, a condition, and what to do when the condition holds.
///
/// ```
/// use synckit::conflict::{Condition, Rule};
/// use synckit::{LastWriteWins, ManualReview, RuleResolver, Rules};
///
/// # fn main() -> synckit::Result<()> {
/// let prices = Rule::new("prices", Condition::FieldChanged("price".parse()?), ManualReview);
/// let resolver = RuleResolver::new(Rules::new(LastWriteWins).with_rule(prices))?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Rule {
    name: String,
    when: Condition,
    then: Then,
}

#[derive(Clone, Debug)]
enum Then {
    Ask(SharedResolver),
    Group(Vec<Rule>),
}

impl Rule {
    /// Creates a rule that hands matching conflicts to a resolver.
    pub fn new(name: impl Into<String>, when: Condition, resolver: impl ConflictResolver + 'static) -> Self {
        Rule { name: name.into(), when, then: Then::Ask(SharedResolver::new(resolver)) }
    }

    /// Creates a group of rules that are tried in order when the condition holds. If none of them matches, the rules
    /// after the group are tried.
    pub fn group(name: impl Into<String>, when: Condition, rules: impl IntoIterator<Item = Rule>) -> Self {
        Rule { name: name.into(), when, then: Then::Group(rules.into_iter().collect()) }
    }

    /// Returns the first match, and the names on the path to it.
    fn find<'a>(&'a self, case: &Case<'_>, path: &mut Vec<&'a str>) -> Option<&'a SharedResolver> {
        if !self.when.holds(case) {
            return None;
        }
        path.push(&self.name);
        let found = match &self.then {
            Then::Ask(resolver) => Some(resolver),
            Then::Group(rules) => rules.iter().find_map(|rule| rule.find(case, path)),
        };
        if found.is_none() {
            path.pop();
        }
        found
    }
}

fn print(rules: &[Rule], text: &mut String, passing: &mut Option<u64>) {
    for Rule { name, when, then } in rules {
        text.push_str(&format!("{name:?} {when:?} "));
        match then {
            Then::Ask(resolver) => print_resolver(resolver, text, passing),
            Then::Group(rules) => {
                text.push('(');
                print(rules, text, passing);
                text.push(')');
            }
        }
    }
}

fn print_resolver(resolver: &SharedResolver, text: &mut String, passing: &mut Option<u64>) {
    match resolver.fingerprint() {
        Fingerprint::Lasting(own) => text.push_str(&format!("{:?} {own:?} ", resolver.name())),
        Fingerprint::Passing(number) => *passing = Some(passing.unwrap_or(0).wrapping_add(number)),
    }
}

/// Ordered rules, and a fallback for when none matches.
///
/// ```
/// use synckit::{KeepAll, Rules};
///
/// assert!(Rules::new(KeepAll).mistakes().is_empty());
/// ```
#[derive(Clone, Debug)]
pub struct Rules {
    rules: Vec<Rule>,
    fallback: SharedResolver,
}

impl Rules {
    /// Creates an empty set of rules: everything goes to the fallback.
    pub fn new(fallback: impl ConflictResolver + 'static) -> Self {
        Rules { rules: Vec::new(), fallback: SharedResolver::new(fallback) }
    }

    /// Adds a rule, which is tried after those before it.
    pub fn with_rule(mut self, rule: Rule) -> Self {
        self.rules.push(rule);
        self
    }

    /// Returns the mistakes in the rules: duplicate names, groups without rules, rules that can never be reached,
    /// conditions that can never hold.
    pub fn mistakes(&self) -> Vec<RuleMistake> {
        check::mistakes(&self.rules)
    }

    /// Returns what tells these rules from others, and whether all resolvers in them can be told from others of their
    /// names. If not, the numbers of those that cannot are added up.
    fn fingerprint(&self) -> (String, Option<u64>) {
        let (mut text, mut passing) = (String::new(), None);
        print(&self.rules, &mut text, &mut passing);
        print_resolver(&self.fallback, &mut text, &mut passing);
        (text, passing)
    }

    fn checked(self) -> Result<Self> {
        let mistakes = self.mistakes();
        if mistakes.is_empty() {
            return Ok(self);
        }
        let all: Vec<String> = mistakes.iter().map(RuleMistake::to_string).collect();
        Err(Error::invalid(format!("the rules have {} mistakes: {}", all.len(), all.join("; "))))
    }

    fn rule(&self, conflict: &Conflict) -> Result<Ruling> {
        let case = Case::new(conflict);
        let mut path = Vec::new();
        let found = self.rules.iter().find_map(|rule| rule.find(&case, &mut path));
        let (resolver, rule) = match found {
            Some(resolver) => (resolver, path.join(" / ")),
            None => (&self.fallback, RuleResolver::FALLBACK.to_owned()),
        };
        let ruling = resolver.resolve(conflict).map_err(|error| error.with("rule", &rule))?;
        let reason = match &ruling.reason {
            Some(reason) => format!("{}: {reason}", resolver.name()),
            None => resolver.name().to_owned(),
        };
        let rule = match &ruling.rule {
            Some(inner) => format!("{rule} / {inner}"),
            None => rule,
        };
        Ok(Ruling { answer: ruling.answer, rule: Some(rule), reason: Some(reason) })
    }
}

/// Settles each conflict by the first rule that matches it. Clones share the rules, which can be replaced at run time:
/// a conflict is settled by the old rules or the new ones, never by a mixture.
///
/// The decision names the rule, and gives the chosen resolver as the reason. All replicas should use the same rules; if
/// they do not, they still converge.
///
/// ```
/// use synckit::conflict::{Clash, Condition, Rule};
/// use synckit::{FieldMerge, LastWriteWins, ManualReview, RuleResolver, Rules};
///
/// # fn main() -> synckit::Result<()> {
/// let rules = Rules::new(LastWriteWins)
///     .with_rule(Rule::new("prices", Condition::FieldClashes("price".parse()?), ManualReview))
///     .with_rule(Rule::new("goods", Condition::AggregatePrefix("item-".into()), FieldMerge::new()));
/// let resolver = RuleResolver::new(rules)?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct RuleResolver(Arc<RwLock<Current>>);

/// The rules in use, and how often they were replaced.
struct Current {
    rules: Arc<Rules>,
    replaced: u64,
}

impl RuleResolver {
    /// The name of the rule in decisions made by the fallback.
    pub const FALLBACK: &str = "fallback";

    /// Creates a resolver that applies these rules.
    ///
    /// # Errors
    /// `Invalid`, with all mistakes: see [`Rules::mistakes`].
    pub fn new(rules: Rules) -> Result<Self> {
        let current = Current { rules: Arc::new(rules.checked()?), replaced: 0 };
        Ok(RuleResolver(Arc::new(RwLock::new(current))))
    }

    /// Replaces the rules, in all clones.
    ///
    /// # Errors
    /// Same as [`RuleResolver::new`]; nothing has changed then.
    pub fn replace(&self, rules: Rules) -> Result<()> {
        let rules = Arc::new(rules.checked()?);
        let mut current = self.0.write().unwrap_or_else(PoisonError::into_inner);
        *current = Current { rules, replaced: current.replaced + 1 };
        Ok(())
    }

    /// Returns the current rules.
    pub fn rules(&self) -> Arc<Rules> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).rules.clone()
    }
}

impl ConflictResolver for RuleResolver {
    fn name(&self) -> &str {
        "rules"
    }

    fn fingerprint(&self) -> Fingerprint {
        let current = self.0.read().unwrap_or_else(PoisonError::into_inner);
        match current.rules.fingerprint() {
            (text, None) => Fingerprint::Lasting(text),
            (_, Some(passing)) => Fingerprint::Passing(passing.wrapping_add(current.replaced)),
        }
    }

    fn resolve(&self, conflict: &Conflict) -> Result<Ruling> {
        self.rules().rule(conflict)
    }
}

impl fmt::Debug for RuleResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RuleResolver").field(&self.rules()).finish()
    }
}
