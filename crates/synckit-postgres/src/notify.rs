//! Notices of commits for other processes: outside of the commit, because the server makes everybody wait for everybody who
//! commits a notice, and once for what was committed meanwhile.

use std::sync::atomic::{AtomicU64, Ordering};

use synckit_core::Position;
use tokio::sync::Mutex;

use crate::store::Inner;

/// The channel for all logs of a database.
pub(crate) const CHANNEL: &str = "synckit";

/// What others do not know yet of a log.
#[derive(Debug, Default)]
pub(crate) struct Notify {
    /// The last position that no notice has said yet; 0 if there is none.
    wanted: AtomicU64,
    turn: Mutex<()>,
}

impl Inner {
    /// Notifies others how far the log goes, as far as they do not know. A notice that is lost costs them a poll.
    pub(crate) async fn tell(&self, last: Position) {
        let Notify { wanted, turn } = &self.notify;
        wanted.fetch_max(last, Ordering::Relaxed);
        let _turn = turn.lock().await;
        let last = wanted.swap(0, Ordering::Relaxed);
        if last == 0 {
            return;
        }
        let Ok(mut lease) = self.connections().lease().await else { return };
        let notice = sqlx::query("SELECT pg_notify($1, $2)").bind(CHANNEL).bind(payload(self.log, last));
        if notice.execute(&mut *lease).await.is_ok() {
            lease.give_back();
        }
    }
}

fn payload(log: i32, last: Position) -> String {
    format!("{log} {last}")
}

/// The log and the last position in a notice.
pub(crate) fn told(payload: &str) -> Option<(i32, Position)> {
    let (log, last) = payload.split_once(' ')?;
    Some((log.parse().ok()?, last.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_tells_what_was_put_into_it() {
        assert_eq!(told(&payload(7, u64::MAX)), Some((7, u64::MAX)));
        for other in ["", "7", "x 7", "7 x", "7 7 7"] {
            assert_eq!(told(other), None, "{other}");
        }
    }
}
