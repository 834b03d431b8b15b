//! Three people edit one form offline; then each resolver settles the conflict in turn.

#![allow(clippy::print_stdout, reason = "it shows what happens")]

mod world;

use synckit::{
    Conflict, FieldMerge, FirstWriteWins, KeepAll, LastWriteWins, ManualReview, RuleResolver,
    conflict::{Answer, Clash, Closure, Ruling, SharedResolver},
};
use synckit_rules::{Format, RuleReader};
use world::{Result, World};

const RULES: &str = r#"
fallback = "last-write-wins"

[[rules]]
name = "the room is booked by hand"
when = { field_clashes = "room" }
resolve = "review"

[[rules]]
name = "forms"
when = { aggregate_prefix = "form-" }
resolve = { use = "field-merge", fields = { guests = "largest", tags = "union" } }
"#;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    world::introduce();

    let last = show("last write wins: the latest edit stands, whole", LastWriteWins).await?;
    let first = show("first write wins: the earliest edit stands, whole", FirstWriteWins).await?;
    assert_ne!(last, first);

    let all = show("keep all: every edit stands, and the application adds them up", KeepAll).await?;
    assert_eq!(all.len(), 3);

    let merge = FieldMerge::new()
        .with_field("guests".parse()?, Clash::Largest)
        .with_field("tags".parse()?, Clash::Union);
    let merged = show("field merge: each edit counts for the fields it changed", merge).await?;
    let expected = r#"{"guests":60,"room":"Hall","tags":["music","food","games"],"title":"Summer party"}"#;
    assert_eq!(merged.last().map(String::as_str), Some(expected));

    let shortest = Closure::new("shortest-form", |conflict: &Conflict| {
        let length = |branch: &&synckit::conflict::Branch| branch.stands_for.data.as_bytes().len();
        let branch = conflict.branches.iter().min_by_key(length);
        branch
            .map(|branch| Answer::Keep(branch.stands_for.id.clone()))
            .ok_or_else(|| synckit::Error::invalid("a conflict has branches"))
    });
    show("a function of your own: the shortest form stands", shortest).await?;

    let rules = RuleResolver::new(RuleReader::new().read(RULES, Format::Toml)?)?;
    assert_eq!(show("rules from a file choose: here, to merge", rules).await?, merged);

    review().await
}

/// Lets the three edit and then sync under a resolver, and prints what they see.
async fn show(title: &str, resolver: impl synckit::ConflictResolver + 'static) -> Result<Vec<String>> {
    println!("\n{title}");
    let world = World::new(SharedResolver::new(resolver)).await?;
    let settled: usize = world.meet().await?.iter().map(|conflicts| conflicts.settled).sum();
    let shown = world.shown(&world.people[0]).await?;
    println!("  {settled} decisions; now everybody sees");
    for form in &shown {
        println!("    {form}");
    }
    let why = world.people[0].replica().explain(&"ann's".parse()?).await?;
    println!("  ann's edit: {}", why.because);
    Ok(shown)
}

/// Lets a person decide, and somebody else decide otherwise later.
async fn review() -> Result<()> {
    println!("\nreview: the form stays in conflict until a person decides");
    let world = World::new(SharedResolver::new(ManualReview)).await?;
    world.meet().await?;
    let ben = &world.people[1];
    for open in ben.replica().conflicts().await? {
        println!("  open: {}", open.aggregate);
    }
    let conflict = ben.replica().conflict(&world::the_form()?).await?.ok_or("there is a conflict")?;
    for side in synckit::conflict::Changes::of(&conflict).sides {
        let changed: Vec<String> =
            side.fields.iter().flatten().map(|change| change.field.to_string()).collect();
        println!("    {} changed {}", side.event, changed.join(", "));
    }
    let decision = Ruling::from(Answer::Keep("ben's".parse()?)).because("60 have signed up");
    ben.replica().settle(&conflict, decision, "ben").await?;
    world.meet().await?;
    println!("  ben decides; cleo sees {}", world.shown(&world.people[2]).await?.join(" "));

    let cleo = &world.people[2];
    let top = cleo.replica().heads(&world::the_form()?).await?;
    let settled = cleo.replica().settled_conflict(&world::the_form()?, &top[0]).await?;
    let decision = Ruling::from(Answer::Keep("cleo's".parse()?)).because("the hall is booked");
    cleo.replica().settle(&settled, decision, "cleo").await?;
    world.meet().await?;
    println!("  cleo decides otherwise later; ben sees {}", world.shown(ben).await?.join(" "));
    println!("  ben's edit: {}", ben.replica().explain(&"ben's".parse()?).await?.because);
    println!("  all decisions that were taken:");
    for entry in ben.replica().audit(0, 1_000).await?.entries {
        println!("    {entry}");
    }
    Ok(())
}
