//! What is particular to a file: torn ends, damage, other files, the lock.

use std::fs;
use std::path::Path;

use custom_adapter::FileStore;
use synckit_core::{Edit, ErrorKind, EventStore, NodeId, Note, NoteQuery, Result};
use tempfile::TempDir;

async fn open(path: &Path) -> Result<FileStore> {
    custom_adapter::open(path, NodeId::new("n")?).await
}

async fn put(store: &FileStore, key: &str) -> Result<()> {
    let note = Note { key: key.to_owned(), value: b"v".to_vec() };
    store.commit(Edit { put: vec![note], delete: Vec::new() }).await
}

async fn keys(store: &FileStore) -> Result<Vec<String>> {
    let query = NoteQuery::Prefix { prefix: "k".to_owned(), after: String::new(), limit: 10 };
    Ok(store.notes(query).await?.into_iter().map(|note| note.key).collect())
}

/// Writes a file with the notes k0, k1 and k2, each committed alone, and returns its length after each commit.
async fn three_commits(path: &Path) -> Result<Vec<u64>> {
    let store = open(path).await?;
    let mut lengths = vec![fs::metadata(path).expect("it is there").len()];
    for key in ["k0", "k1", "k2"] {
        put(&store, key).await?;
        lengths.push(fs::metadata(path).expect("it is there").len());
    }
    store.close().await?;
    Ok(lengths)
}

#[tokio::test]
async fn wherever_the_file_ends_the_commits_before_are_there_and_the_next_one_holds() -> Result<()> {
    let directory = TempDir::new().expect("a directory can be made");
    let whole = directory.path().join("whole");
    let lengths = three_commits(&whole).await?;
    let bytes = fs::read(&whole).expect("it can be read");
    for length in 0..=bytes.len() {
        let path = directory.path().join(format!("cut-{length}"));
        fs::write(&path, &bytes[..length]).expect("it can be written");
        let store = open(&path).await?;
        let held = lengths[1..].iter().filter(|end| **end <= length as u64).count();
        assert_eq!(keys(&store).await?, ["k0", "k1", "k2"][..held], "cut at {length}");
        put(&store, "k9").await?;
        store.close().await?;
        let again = keys(&open(&path).await?).await?;
        assert_eq!((again.len(), again.last().map(String::as_str)), (held + 1, Some("k9")));
    }
    Ok(())
}

#[tokio::test]
async fn a_torn_end_of_any_bytes_is_cut_off() -> Result<()> {
    for torn in [&[0; 50][..], b"\x1e", b"0123456789abcdef{}\x1e", &[0xff; 9]] {
        let directory = TempDir::new().expect("a directory can be made");
        let path = directory.path().join("log");
        let length = *three_commits(&path).await?.last().expect("there are lengths");
        fs::write(&path, [&fs::read(&path).expect("it can be read")[..], torn].concat()).expect("written");
        assert_eq!(keys(&open(&path).await?).await?.len(), 3);
        assert_eq!(fs::metadata(&path).expect("it is there").len(), length);
    }
    Ok(())
}

#[tokio::test]
async fn damage_before_the_last_record_is_corrupt_and_nothing_is_cut_off() -> Result<()> {
    let directory = TempDir::new().expect("a directory can be made");
    let path = directory.path().join("log");
    let lengths = three_commits(&path).await?;
    let bytes = fs::read(&path).expect("it can be read");
    for at in [lengths[0], lengths[0] + 20, lengths[1] - 2] {
        let mut damaged = bytes.clone();
        damaged[at as usize] ^= 1;
        fs::write(&path, &damaged).expect("it can be written");
        assert_eq!(
            open(&path).await.map_err(|error| error.kind()).err(),
            Some(ErrorKind::Corrupt),
            "at {at}"
        );
        assert_eq!(fs::read(&path).expect("it can be read"), damaged);
    }
    Ok(())
}

#[tokio::test]
async fn the_file_of_another_application_is_left_alone() -> Result<()> {
    let directory = TempDir::new().expect("a directory can be made");
    let path = directory.path().join("photo");
    for foreign in [&b"\x89PNG"[..], b"synckit custom-adapter 2\n", b"synckit custom-adapter 1\r\n"] {
        fs::write(&path, foreign).expect("it can be written");
        assert_eq!(open(&path).await.map_err(|error| error.kind()).err(), Some(ErrorKind::Conflict));
        assert_eq!(fs::read(&path).expect("it can be read"), foreign);
    }
    Ok(())
}

#[tokio::test]
async fn one_store_at_a_time_until_it_is_closed_or_dropped() -> Result<()> {
    let directory = TempDir::new().expect("a directory can be made");
    let path = directory.path().join("log");
    let first = open(&path).await?;
    let busy = open(&path).await.expect_err("it is locked");
    assert_eq!(busy.kind(), ErrorKind::Busy);
    assert!(busy.to_string().starts_with("file open: the file is open already"), "{busy}");
    first.close().await?;
    drop(open(&path).await?);
    open(&path).await?;
    Ok(())
}
