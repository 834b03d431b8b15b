//! What became of a commit when the connection broke before the server said so.

use sqlx::{Connection, PgConnection};
use synckit_core::{Error, ErrorKind, Result};
use synckit_store::random_bytes;
use tokio::time::{Instant, timeout_at};

use crate::commit::execute;
use crate::error::{engine, gone, late};
use crate::store::Inner;
use crate::write::Target;

const BAR: &str = "UPDATE synckit.logs SET fence = $2 WHERE log = $1";
const LOOK: &str = "SELECT fence FROM synckit.writers WHERE log = $1 AND writer = $2";
/// The row of a store that wrote last so long ago is of no use any more.
const FORGET: &str = "DELETE FROM synckit.writers WHERE log = $1 AND seen < now() - interval '1 day'";

impl Inner {
    /// Finds out whether a commit was made, and keeps it from being made later: the server may not even have begun with it.
    /// Tries to reach the server for as long as connecting may take.
    pub(crate) async fn was_made(&self, target: Target) -> Result<bool> {
        self.connections().forget();
        let deadline = Instant::now() + self.connections().connect_timeout();
        loop {
            let look = async {
                let mut connection = self.connections().connect_until(deadline).await?;
                let was_made = look(&mut connection, target).await?;
                // Whether it closes in good order is nobody's concern.
                let _ = connection.close().await;
                Ok(was_made)
            };
            match timeout_at(deadline, look).await.unwrap_or_else(|_| Err(late())) {
                Err(error) if error.is_retryable() && Instant::now() < deadline => {}
                Err(error) => return Err(unknown(error)),
                found => return found,
            }
        }
    }

    /// Deletes the rows of stores that wrote to this log long ago. It is no harm if it fails.
    pub(crate) async fn forget_writers(&self) {
        let Ok(mut lease) = self.connections().lease().await else { return };
        if sqlx::query(FORGET).bind(self.log).execute(&mut *lease).await.is_ok() {
            lease.give_back();
        }
    }
}

/// Gives the log another fence, so that the commit finds it moved, and then looks for its own.
async fn look(connection: &mut PgConnection, target: Target) -> Result<bool> {
    let fence = i64::from_be_bytes(*random_bytes()?.first_chunk().unwrap_or(&[0; 8]));
    execute(connection, "BEGIN").await?;
    // It waits for the commit, if that is under way.
    let bar = sqlx::query(BAR).bind(target.log).bind(fence).execute(&mut *connection).await;
    if bar.map_err(engine)?.rows_affected() == 0 {
        return Err(gone());
    }
    let look = sqlx::query_scalar(LOOK).bind(target.log).bind(target.writer);
    let found: Option<i64> = look.fetch_optional(&mut *connection).await.map_err(engine)?;
    execute(connection, "COMMIT").await?;
    Ok(found == Some(target.next))
}

fn unknown(error: Error) -> Error {
    let message =
        "the connection broke, and whether the commit was made could not be found out; it is whole or absent";
    Error::new(ErrorKind::Unavailable, message).with_source(error)
}
