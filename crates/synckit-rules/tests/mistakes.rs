//! Every mistake in a file is reported with line and column, in each format.

use synckit_rules::{Format, RuleReader};

fn found(text: &str, format: Format) -> Vec<String> {
    let mistakes = RuleReader::new().read(text, format).expect_err("there are mistakes");
    mistakes.list().iter().map(ToString::to_string).collect()
}

/// The mistakes in the file below, in each format, in this order.
const MESSAGES: [&str; 15] = [
    "`fallback` is missing: the resolver for what no rule matches",
    "a file of rules has no `fallbak`; it may have fallback, rules",
    "no resolver is called `newest`; there are field-merge, first-write-wins, keep-all, last-write-wins, review",
    "a condition has no `event`; it may have event_type, aggregate, aggregate_prefix, field_changed, \
     field_clashes, metadata, origin, versions, all, any, not, always",
    "a name is text, not a number",
    "`versions`: `older` is none of created-apart, edited-apart, two-sides, many-sides, settled-before",
    "rule `notes`: rule 4 has this name already",
    "rule `one note`: it can never be reached: rule `notes` before it takes all it matches",
    "rule `group`: the group has no rules",
    "`name` is missing: decisions name the rule they were taken by",
    "`resolve` is missing, or `rules` for a group",
    "rule `never`: the condition can never hold",
    "`any` needs at least one condition",
    "`first` is no clash; there are latest, earliest, largest, smallest, union, review",
    "`clash` is a setting of field-merge, not of review",
];

fn check(text: &str, format: Format, places: [&str; 15]) {
    let expected: Vec<String> =
        places.iter().zip(MESSAGES).map(|(place, message)| format!("{place}: {message}")).collect();
    let found = found(text, format);
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(found, expected);
    }
    assert_eq!(found.len(), expected.len(), "{found:#?}");
}

#[test]
fn fifteen_kinds_of_mistakes_in_toml() {
    let text = r#"
fallbak = "review"

[[rules]]
name = "a"
resolve = "newest"
when = { aggregate = "q" }
[[rules]]
name = "b"
when = { event = "X" }
resolve = "review"

[[rules]]
name = 7
when = { versions = "older" }
resolve = "review"

[[rules]]
name = "notes"
when = { aggregate_prefix = "note-" }
resolve = "review"

[[rules]]
name = "notes"
when = { aggregate_prefix = "list-" }
resolve = "review"

[[rules]]
name = "one note"
when = { aggregate = "note-1", origin = "a" }
resolve = "review"

[[rules]]
name = "group"
when = { aggregate = "x" }
rules = []

[[rules]]
when = { aggregate = "y" }

[[rules]]
name = "never"
when = { aggregate = "y", not = { aggregate_prefix = "y" } }
resolve = "review"

[[rules]]
name = "nothing"
when = { any = [] }
resolve = { use = "field-merge", fields = { price = "first" } }

[[rules]]
name = "settings"
when = { aggregate = "z" }
resolve = { use = "review", clash = "latest" }
"#;
    let places = [
        "1:1", "2:1", "6:11", "10:10", "14:8", "15:21", "24:8", "29:8", "34:8", "38:1", "38:1", "42:8",
        "48:16", "49:53", "54:29",
    ];
    check(text, Format::Toml, places);
}

#[test]
fn fifteen_kinds_of_mistakes_in_yaml() {
    let text = r#"
fallbak: review
rules:
  - { name: a, when: { aggregate: q },
      resolve: newest }
  - name: b
    when: { event: X }
    resolve: review
  - name: 7
    when: { versions: older }
    resolve: review
  - name: notes
    when: { aggregate_prefix: note- }
    resolve: review
  - name: notes
    when: { aggregate_prefix: list- }
    resolve: review
  - name: one note
    when: { aggregate: note-1, origin: a }
    resolve: review
  - name: group
    when: { aggregate: x }
    rules: []
  - when: { aggregate: "y" }
  - name: never
    when: { aggregate: "y", not: { aggregate_prefix: "y" } }
    resolve: review
  - name: nothing
    when:
      any: []
    resolve: { use: field-merge, fields: { price: first } }
  - name: settings
    when: { aggregate: z }
    resolve: { use: review, clash: latest }
"#;
    let places = [
        "1:1", "2:1", "5:16", "7:13", "9:11", "10:23", "15:11", "18:11", "21:11", "24:5", "24:5", "25:11",
        "30:12", "31:51", "34:29",
    ];
    check(text, Format::Yaml, places);
}

#[test]
fn fifteen_kinds_of_mistakes_in_json() {
    let text = r#"
{"fallbak": "review",
 "rules": [
  {"name": "a", "resolve": "newest", "when": {"aggregate": "q"}},
  {"name": "b", "when": {"event": "X"}, "resolve": "review"},
  {"name": 7, "when": {"versions": "older"}, "resolve": "review"},
  {"name": "notes", "when": {"aggregate_prefix": "note-"}, "resolve": "review"},
  {"name": "notes", "when": {"aggregate_prefix": "list-"}, "resolve": "review"},
  {"name": "one note", "when": {"aggregate": "note-1", "origin": "a"}, "resolve": "review"},
  {"name": "group", "when": {"aggregate": "x"}, "rules": []},
  {"when": {"aggregate": "y"}},
  {"name": "never", "when": {"aggregate": "y", "not": {"aggregate_prefix": "y"}}, "resolve": "review"},
  {"name": "nothing", "when": {"any": []}, "resolve": {"use": "field-merge", "fields": {"price": "first"}}},
  {"name": "settings", "when": {"aggregate": "z"}, "resolve": {"use": "review", "clash": "latest"}}
 ]}
"#;
    let places = [
        "1:1", "2:2", "4:28", "5:26", "6:12", "6:36", "8:12", "9:12", "10:12", "11:3", "11:3", "12:12",
        "13:39", "13:98", "14:81",
    ];
    check(text, Format::Json, places);
}

#[test]
fn wrong_types_are_named_with_what_stands_there() {
    let text = r#"
fallback = 7
rules = [
    "a",
    { name = "b", when = "always", resolve = [] },
    { name = "c", when = { metadata = { n = [1] }, all = "x" }, resolve = "review", rules = [] },
    { name = "d", when = { field_changed = "/a~2", event_type = [], always = false }, resolve = { clash = "latest" } },
]
"#;
    let expected = [
        "2:12: a resolver is a name or a table, not a number",
        "4:5: a rule is a table, not text",
        "5:26: a condition is a table, not text",
        "5:46: a resolver is a name or a table, not a list",
        "6:45: metadata is compared with text, a number or true or false, not a list",
        "6:58: `all` is a list of conditions, not text",
        "6:85: a rule has `resolve` or, as a group, `rules`; not both",
        "7:44: `field_changed`: in a JSON pointer `~` is written `~0` and `/` is written `~1`",
        "7:65: `event_type` needs at least one text",
        "7:78: `always` is true; leave it out otherwise",
        "7:97: `use` is missing: the name of the resolver",
    ];
    assert_eq!(found(text, Format::Toml), expected);
}

#[test]
fn mistakes_of_syntax_are_placed() {
    let cases = [
        (Format::Toml, "fallback = \"review\"\nrules = [\n", "2:10: "),
        (Format::Toml, "fallback = \"review\"\nfallback = \"review\"", "2:1: "),
        (Format::Yaml, "fallback: review\nrules: [\n", "3:1: "),
        (Format::Yaml, "fallback: review\nfallback: review", "2:1: `fallback` stands here twice"),
        (Format::Yaml, "fallback: &a review\nrules: *a", "2:8: aliases are not read; write it out"),
        (Format::Yaml, "fallback: review\n---\nfallback: review", "2:1: a second document begins here"),
        (Format::Json, "{\"fallback\": \"review\",}", "1:22: "),
        (Format::Json, "{\"fallback\": \"review\" // no\n}", "1:23: "),
        (
            Format::Json,
            "{\"fallback\": \"review\", \"fallback\": \"review\"}",
            "1:24: `fallback` stands here twice",
        ),
    ];
    for (format, text, expected) in cases {
        let found = found(text, format);
        assert!(found[0].starts_with(expected), "{format:?} {text:?}: {found:?}");
    }
}

#[test]
fn what_is_empty_large_or_deep_is_refused() {
    for format in [Format::Toml, Format::Yaml, Format::Json] {
        assert!(!found("", format).is_empty());
        assert!(found(&" ".repeat(2 << 20), format)[0].starts_with("1:1: the file has 2097152 bytes"));
    }
    let deep = |open: &str, close: &str| format!("{}{}", open.repeat(100_000), close.repeat(100_000));
    assert!(!found(&deep("[", "]"), Format::Json).is_empty());
    assert!(!found(&deep("[", "]"), Format::Yaml).is_empty());
    assert!(!found(&format!("a = {}", deep("[", "]")), Format::Toml).is_empty());
}
