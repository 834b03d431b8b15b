//! Warnings about a clock that cannot be right.

use synckit::{Environment, Status, SystemEnvironment};

use crate::text;

/// 1 January 2025 in Unix milliseconds: no clock that is right shows an earlier time.
const EARLIEST: u64 = 1_735_689_600_000;
/// The difference between two clocks from which the user is warned, in milliseconds.
const FAR: u64 = 120_000;

/// Returns what is wrong with the clock of this machine, as far as it can be known.
pub(crate) fn warning(status: &Status) -> Option<String> {
    let now = SystemEnvironment.now();
    if now < EARLIEST {
        let now = text::time(now);
        return Some(format!("the clock of this machine shows {now}, which cannot be right: set it"));
    }
    let last = status.peers.iter().max_by_key(|peer| peer.synced_at)?;
    apart(last.node.as_str(), last.clock_skew_millis)
}

/// Returns a warning about two clocks that are far apart.
pub(crate) fn apart(peer: &str, skew_millis: i64) -> Option<String> {
    let minutes = skew_millis.unsigned_abs() / 60_000;
    let way = if skew_millis > 0 { "behind" } else { "ahead of" };
    (skew_millis.unsigned_abs() >= FAR).then(|| {
        format!(
            "the clock here is {} {way} that of {}: set the wrong one, since the last write wins by the clock",
            text::count(minutes, "minute"),
            text::plain(peer)
        )
    })
}
