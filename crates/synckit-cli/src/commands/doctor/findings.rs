//! What is wrong with a replica, and what to do.

use std::fmt;
use std::path::Path;

use serde::Serialize;
use synckit::{
    BoxStore, EventStore, Status, VectorClock, conflict::FullAggregate, plan::notes, store::NoteQuery,
};

use super::integrity::Checked;
use crate::commands::clock;
use crate::failure::Failure;
use crate::text;

/// What a finding is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum About {
    Integrity,
    Identity,
    Clock,
    Conflicts,
    Refused,
    Peers,
    Rights,
    Names,
}

/// Something that is wrong.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    pub(super) about: About,
    what: String,
    /// What to do.
    then: String,
}

/// The maximum number of damaged places that are shown.
const SHOWN: usize = 20;

/// Collects what is wrong, the worst first.
pub(super) async fn of(
    store: &BoxStore,
    name: &str,
    file: &Path,
    status: &Status,
    checked: &Checked,
    to_fetch: usize,
) -> Result<Vec<Finding>, Failure> {
    let mut findings = Vec::new();
    let mut found = |about, what: String, then: String| findings.push(Finding { about, what, then });
    let salvage = format!(
        "save what can be read with `synckit doctor --db {name} --salvage NEW`, then sync NEW; or restore a backup"
    );
    if to_fetch > 0 {
        found(
            About::Integrity,
            format!("{} no longer readable", text::count(to_fetch, "event")),
            "sync with a hub that has them: good copies replace the damaged rows; then run `synckit doctor` again"
                .to_owned(),
        );
    }
    for damage in checked.damage.iter().take(SHOWN) {
        let then = match to_fetch {
            0 => salvage.clone(),
            _ => format!("if a sync does not mend it, {salvage}"),
        };
        found(About::Integrity, format!("the store is damaged {damage}"), then);
    }
    let Status { node, .. } = status;
    if let Some(at) = status.copy_seen {
        let at = text::time(at);
        let node = text::plain(node.as_str());
        found(
            About::Identity,
            format!(
                "another copy of this database, or another device named {node}, was in use when this replica synced {at}"
            ),
            "if it is a copy, run `synckit reidentify` on one of them".to_owned(),
        );
    }
    if let Some(at) = status.moved_at {
        let at = text::time(at);
        found(
            About::Identity,
            format!(
                "the file came from another machine {at}, and went on under a fresh name in case it is a copy"
            ),
            "if it was moved, all is well".to_owned(),
        );
    }
    if status.renumbers {
        found(
            About::Identity,
            "events that nobody else has yet get fresh numbers with the next sync that pushes".to_owned(),
            "sync it".to_owned(),
        );
    }
    if let Some(warning) = clock::warning(status) {
        found(About::Clock, warning, "what was recorded keeps its time".to_owned());
    }
    let conflicts = text::count(status.conflicts, "conflict");
    if status.conflicts > 0 {
        found(
            About::Conflicts,
            format!("{conflicts} not settled"),
            "`synckit conflicts` lists them; settle them there, or sync with --rules".to_owned(),
        );
    }
    if status.refused_here > 0 {
        let refused = text::count(status.refused_here, "event");
        found(
            About::Refused,
            format!("{refused} of peers could not be stored here"),
            "`synckit refused` says why; --retry tries again, for instance after an upgrade".to_owned(),
        );
    }
    if status.refused_by_peers > 0 {
        let refused = text::count(status.refused_by_peers, "event");
        found(
            About::Refused,
            format!("{refused} of this log were refused by a peer and are not there"),
            "`synckit refused` says why; `synckit sync --retry-refused` offers them again".to_owned(),
        );
    }
    if let Some((what, then)) = unshared(store, status).await? {
        found(About::Peers, what, then);
    }
    if let Some(mode) = readable_by_others(file) {
        found(
            About::Rights,
            format!("every user of this machine can read the file (mode {mode:o})"),
            format!("chmod 600 {}", file.display()),
        );
    }
    for full in &status.full {
        let (what, then) = nearly_full(full);
        found(About::Names, what, then);
    }
    Ok(findings)
}

/// Returns what is wrong with an aggregate whose clock is nearly full, and what to do.
pub(crate) fn nearly_full(full: &FullAggregate) -> (String, String) {
    let (names, most) = (text::number(full.names), text::number(VectorClock::MAX_NODES));
    let aggregate = text::plain(full.aggregate.as_str());
    (
        format!(
            "{aggregate} was written under {names} names; above {most} its edits can no longer be settled"
        ),
        "continue in another aggregate, and name this one in it".to_owned(),
    )
}

/// Returns what nobody else has been offered, if no peer has been offered everything.
async fn unshared(store: &BoxStore, status: &Status) -> Result<Option<(String, String)>, Failure> {
    let Some(last) = status.peers.iter().max_by_key(|peer| (peer.pushed_to, peer.synced_at)) else {
        // A hub is called by others, and records how far each of them came.
        let called = NoteQuery::Prefix { prefix: notes::PUSHED.to_owned(), after: String::new(), limit: 1 };
        let handed = NoteQuery::Keys(vec![notes::HANDED.to_owned()]);
        let alone = store.notes(called).await?.is_empty() && store.notes(handed).await?.is_empty();
        return Ok((alone && status.events > 0).then(|| {
            let events = text::count(status.events, "event");
            (
                format!("this store has the only copy of {events}"),
                "`synckit sync` gives them to a hub".to_owned(),
            )
        }));
    };
    let (waiting, node) = (text::count(last.to_push, "event"), text::plain(last.node.as_str()));
    let at = text::time(last.synced_at);
    Ok((last.to_push > 0).then(|| {
        let what = format!("up to {waiting} not offered to anybody yet; the last sync with {node} was {at}");
        (what, "sync".to_owned())
    }))
}

/// Returns the mode of a file that everybody can read.
fn readable_by_others(file: &Path) -> Option<u32> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(file).ok()?.permissions().mode() & 0o777;
        (mode & 0o004 != 0).then_some(mode)
    }
    #[cfg(not(unix))]
    {
        let _ = file;
        None
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.then)
    }
}
