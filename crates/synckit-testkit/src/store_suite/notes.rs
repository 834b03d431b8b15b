//! The notebook.

use std::sync::Arc;

use synckit_core::{EventStore, Note, NoteQuery, Result};
use synckit_plan::StoreExt;

use super::{open, text};
use crate::case::CaseResult;
use crate::fixture::StoreFixture;
use crate::samples::tricky_names;

fn note(key: &str, value: &str) -> Note {
    Note { key: key.to_owned(), value: value.as_bytes().to_vec() }
}

async fn put(store: &impl EventStore, keys: &[&str]) -> Result<()> {
    store.edit(keys.iter().map(|key| note(key, key)).collect(), Vec::new()).await
}

async fn under(store: &impl EventStore, prefix: &str, after: &str, limit: usize) -> Result<Vec<String>> {
    let query = NoteQuery::Prefix { prefix: prefix.to_owned(), after: after.to_owned(), limit };
    let notes = store.notes(query).await?;
    for note in &notes {
        assert_eq!(note.key.as_bytes(), note.value, "a value belongs to its key");
    }
    Ok(notes.into_iter().map(|note| note.key).collect())
}

/// A note exists from the commit that puts it to the one that deletes it.
pub async fn put_read_delete<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    assert_eq!(text(&store, "k").await?, None);
    store.edit(vec![note("k", "1"), note("l", "2")], Vec::new()).await?;
    assert_eq!(text(&store, "k").await?.as_deref(), Some("1"));
    store.edit(Vec::new(), vec!["k".to_owned(), "absent".to_owned()]).await?;
    assert_eq!((text(&store, "k").await?, text(&store, "l").await?.as_deref()), (None, Some("2")));
    store.edit(vec![note("k", "3")], vec!["l".to_owned()]).await?;
    assert_eq!((text(&store, "k").await?.as_deref(), text(&store, "l").await?), (Some("3"), None));
    assert_eq!(store.head().await?.position, 0);
    Ok(())
}

/// Putting a note again replaces its value.
pub async fn the_last_value_counts<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    for value in ["1", "a longer value", "", "2"] {
        store.edit(vec![note("k", value)], Vec::new()).await?;
        assert_eq!(text(&store, "k").await?.as_deref(), Some(value));
    }
    Ok(())
}

/// Keys may be asked for in any order and twice: each that exists is returned once, in order; asking for none is not
/// an error.
pub async fn keys_are_answered_sorted_and_once<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    put(&store, &["t/b", "t/a", "t/c"]).await?;
    let keys = ["t/c", "t/a", "absent", "t/c", "t/b", "t/a"].map(str::to_owned).into();
    let found: Vec<String> =
        store.notes(NoteQuery::Keys(keys)).await?.into_iter().map(|note| note.key).collect();
    assert_eq!(found, ["t/a", "t/b", "t/c"]);
    assert_eq!(store.notes(NoteQuery::Keys(Vec::new())).await?, []);
    let many: Vec<String> = (0..5_000).map(|at| format!("many/{at:04}")).collect();
    put(&store, &many.iter().map(String::as_str).collect::<Vec<_>>()).await?;
    let found: Vec<String> =
        store.notes(NoteQuery::Keys(many.clone())).await?.into_iter().map(|note| note.key).collect();
    assert_eq!(found, many);
    Ok(())
}

/// Pages under a prefix: each continues after the last key of the one before.
pub async fn a_prefix_is_read_in_pages<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    let keys: Vec<String> = (0..25).map(|at| format!("p/{at:02}")).collect();
    put(&store, &keys.iter().map(String::as_str).collect::<Vec<_>>()).await?;
    put(&store, &["o", "p", "p0", "q"]).await?;
    for limit in [1, 24, 25, 26] {
        let (mut found, mut after) = (Vec::new(), String::new());
        loop {
            let page = under(&store, "p/", &after, limit).await?;
            assert!(page.len() <= limit);
            let Some(last) = page.last() else { break };
            assert!(page[0] > after, "a page begins after the key it was asked to");
            after = last.clone();
            found.extend(page);
        }
        assert_eq!(found, keys);
    }
    assert_eq!(under(&store, "p/", "p/095", 3).await?, ["p/10", "p/11", "p/12"]);
    assert_eq!(under(&store, "p/", "a", 1).await?, ["p/00"]);
    assert_eq!(under(&store, "p/", "q", 1).await?, Vec::<String>::new());
    assert_eq!(under(&store, "p/", "", 0).await?, Vec::<String>::new());
    Ok(())
}

/// A prefix does not include its neighbours, whatever its last character is.
pub async fn a_prefix_ends_where_it_ends<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    let keys = [
        "%",
        "%a",
        "_",
        "_a",
        "a",
        "a\0",
        "aa",
        "a\u{10ffff}",
        "a\u{10ffff}b",
        "b",
        "c\u{7f}",
        "c\u{7f}x",
        "c\u{80}",
        "d\u{d7ff}",
        "d\u{d7ff}x",
        "d\u{e000}",
        "A",
        "Aa",
    ];
    put(&store, &keys).await?;
    for prefix in keys {
        let mut expected: Vec<&str> = keys.into_iter().filter(|key| key.starts_with(prefix)).collect();
        expected.sort_unstable();
        assert_eq!(under(&store, prefix, "", 100).await?, expected, "{prefix:?}");
    }
    Ok(())
}

/// Keys are sorted bytewise, as Rust and UTF-8 do: no locale, no case folding, characters of four bytes last.
pub async fn keys_are_sorted_by_their_bytes<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    let mut keys: Vec<String> = tricky_names().into_iter().map(|name| format!("sorted/{name}")).collect();
    put(&store, &keys.iter().map(String::as_str).collect::<Vec<_>>()).await?;
    keys.sort_unstable();
    assert_eq!(under(&store, "sorted/", "", 1_000).await?, keys);
    let notes = store.notes(NoteQuery::Keys(keys.iter().rev().cloned().collect())).await?;
    assert_eq!(notes.into_iter().map(|note| note.key).collect::<Vec<_>>(), keys);
    Ok(())
}

/// Keys may have any characters and be as long as a prefix and three names.
pub async fn keys_of_any_characters<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    let mut keys: Vec<String> = tricky_names();
    keys.push(["x".repeat(255), "\u{10ffff}".repeat(63), "é".repeat(127)].join("/"));
    for key in &keys {
        put(&store, &[key]).await?;
    }
    for key in &keys {
        assert_eq!(text(&store, key).await?.as_ref(), Some(key));
        store.edit(Vec::new(), vec![key.clone()]).await?;
        assert_eq!(text(&store, key).await?, None);
    }
    Ok(())
}

/// Values are bytes: empty ones, every byte, a mebibyte.
pub async fn values_of_any_bytes<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    let values = [Vec::new(), vec![0], (0..=255).collect(), vec![0xff; 1 << 20]];
    for (at, value) in values.iter().enumerate() {
        let note = Note { key: format!("v/{at}"), value: value.clone() };
        store.edit(vec![note], Vec::new()).await?;
    }
    let notes = store.notes_under("v/").await?;
    assert!(notes.into_iter().map(|note| note.value).eq(values), "a value changed");
    Ok(())
}

/// A caller that reads the notes of one commit in one call sees all of them from before it, or all from after it.
pub async fn notes_of_one_commit_change_together<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = Arc::new(open(fixture).await?);
    let writer = {
        let store = store.clone();
        tokio::spawn(async move {
            for round in 0..100 {
                // One of them exists at any time, and the counter with it.
                let (here, gone) = if round % 2 == 0 { ("t/even", "t/odd") } else { ("t/odd", "t/even") };
                let put =
                    vec![note("t/a", &round.to_string()), note(here, "1"), note("t/z", &round.to_string())];
                store.edit(put, vec![gone.to_owned()]).await?;
            }
            Ok::<(), synckit_core::Error>(())
        })
    };
    let keys = || NoteQuery::Keys(["t/z", "t/odd", "t/even", "t/a"].map(str::to_owned).into());
    let prefix = || NoteQuery::Prefix { prefix: "t/".to_owned(), after: String::new(), limit: 10 };
    let mut last = String::new();
    while last != "99" {
        assert!(
            !writer.is_finished() || text(&*store, "t/a").await?.as_deref() == Some("99"),
            "the writer failed"
        );
        for query in [keys(), prefix()] {
            let notes = store.notes(query).await?;
            let Some(first) = notes.first() else { continue };
            let round = String::from_utf8(first.value.clone()).expect("it is a number");
            let flag =
                if round.parse::<u32>().is_ok_and(|round| round % 2 == 0) { "t/even" } else { "t/odd" };
            assert_eq!(notes, [note("t/a", &round), note(flag, "1"), note("t/z", &round)]);
            last = round;
        }
        tokio::task::yield_now().await;
    }
    writer.await.expect("the task ends")?;
    Ok(())
}
