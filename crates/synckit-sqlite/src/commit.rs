//! Commits: one at a time, with a connection that is kept from one to the next.

use sqlx::SqliteConnection;
use synckit_core::notes::Note;
use synckit_core::plan::{Edit, Intent, Outcome, Planning, Step};
use synckit_core::{Error, ErrorKind, Needs, Plan, Result};
use tokio::sync::MutexGuard;

use crate::connections::Lease;
use crate::error::{engine, had_no_transaction};
use crate::facts::{self, Asked, Begin};
use crate::known::Known;
use crate::store::Inner;
use crate::write;

/// What is kept from one commit to the next.
#[derive(Default)]
pub(crate) struct Writer {
    pub(crate) connection: Option<SqliteConnection>,
    /// What the connection knows. **Invariant**: of the connection that is kept.
    pub(crate) known: Option<Known>,
}

impl Inner {
    /// Carries out an intent.
    pub(crate) async fn commit(&self, intent: Intent) -> Result<Outcome> {
        match intent {
            Intent::Ask(needs) => return self.ask(&needs).await,
            Intent::Edit(Edit { put, delete }) => return self.edit(put, delete).await,
            _ => {}
        }
        let mut writer = self.turn().await?;
        let known = writer.known.take();
        let mut lease = self.connections.writer(writer.connection.take()).await.map_err(engine)?;
        if let Some(known) = known {
            let attempt = whole(&mut lease, known, &intent).await;
            let failed = attempt.is_err();
            if let Ok(Some((outcome, known))) = attempt {
                (writer.connection, writer.known) = (lease.into_kept(), known);
                self.closed.send_modify(|_| {});
                return Ok(outcome);
            }
            // Somebody else has written, or an id is taken: it is asked for as usual.
            if failed && !rolled_back(&mut lease).await {
                lease.give_up().await;
                lease = self.connections.writer(None).await.map_err(engine)?;
            }
        }
        let (outcome, known, moved) =
            self.written(&mut writer, lease, async |lease| plan(lease, intent).await).await?;
        writer.known = known.filter(|_| writer.connection.is_some());
        if moved {
            self.closed.send_modify(|_| {});
        }
        Ok(outcome)
    }

    async fn edit(&self, put: Vec<Note>, delete: Vec<String>) -> Result<Outcome> {
        let mut writer = self.turn().await?;
        let known = writer.known.take();
        let lease = self.connections.writer(writer.connection.take()).await.map_err(engine)?;
        let plan = Plan { put, delete, ..Plan::default() };
        let edit = async |lease: &mut Lease<'_>| write::edit(lease, &plan.put, &plan.delete).await;
        self.written(&mut writer, lease, edit).await?;
        writer.known = known.and_then(|known| known.after(&plan)).filter(|_| writer.connection.is_some());
        Ok(Outcome::Edited)
    }

    /// Writes with the connection, and keeps it. A transaction that failed is rolled back.
    async fn written<T>(
        &self,
        writer: &mut Writer,
        mut lease: Lease<'_>,
        write: impl AsyncFnOnce(&mut Lease<'_>) -> Result<T>,
    ) -> Result<T> {
        let written = write(&mut lease).await;
        if written.is_ok() || rolled_back(&mut lease).await {
            writer.connection = lease.into_kept();
        } else {
            lease.give_up().await;
        }
        written
    }

    /// What only asks needs no lock: its facts are of one moment.
    async fn ask(&self, needs: &Needs) -> Result<Outcome> {
        let mut lease = self.lease().await?;
        if needs.histories.is_empty() {
            let Asked { facts, large, .. } = facts::ask(&mut lease, Begin::Nothing, needs).await?;
            if large.is_empty() {
                self.connections.give_back(lease);
                return Ok(Outcome::Facts(facts));
            }
        }
        // More than one statement is of one moment in a transaction alone.
        let asked = facts::all(&mut lease, Begin::Reading, needs).await;
        if rolled_back(&mut lease).await {
            self.connections.give_back(lease);
        } else {
            lease.give_up().await;
        }
        Ok(Outcome::Facts(asked?.0))
    }

    async fn turn(&self) -> Result<MutexGuard<'_, Writer>> {
        let writer = self.writer.lock().await;
        match *self.closed.borrow() {
            true => Err(Error::new(ErrorKind::Closed, "the store is closed")),
            false => Ok(writer),
        }
    }
}

/// Ends a transaction that is not to be committed, if there is one; answers whether there is none any more.
async fn rolled_back(connection: &mut SqliteConnection) -> bool {
    match sqlx::query("ROLLBACK").execute(connection).await {
        Ok(_) => true,
        Err(error) => had_no_transaction(&error),
    }
}

/// Commits an intent by what is known, in one visit. `None` where that is not enough; then nothing was begun.
///
/// Every error means that the usual way has to be gone: also what the plan finds wrong, since it may rest on what is no
/// longer so.
async fn whole(
    connection: &mut SqliteConnection,
    known: Known,
    intent: &Intent,
) -> Result<Option<(Outcome, Option<Known>)>> {
    if !write::may_be_small(intent) {
        return Ok(None);
    }
    let (mut planning, needs) = Planning::begin(intent.clone());
    let Some(facts) = known.facts(&needs) else { return Ok(None) };
    let head = facts.head.position;
    match planning.step(facts) {
        Ok(Step::Write(plan, outcome)) if write::is_small(&plan) => {
            let version = known.version;
            let after = known.after(&plan);
            write::write_whole(connection, version, head, plan).await?;
            Ok(Some((outcome, after)))
        }
        _ => Ok(None),
    }
}

/// Plans an intent in a transaction that writes, writes the plan and commits; also tells what is known now, and whether
/// the log has grown.
async fn plan(connection: &mut SqliteConnection, intent: Intent) -> Result<(Outcome, Option<Known>, bool)> {
    let (mut planning, mut needs) = Planning::begin(intent);
    let (facts, version) = facts::all(connection, Begin::Writing, &needs).await?;

    let head = facts.head;
    let mut known = Known::new(version, head);
    known.learn(&needs, &facts);
    let mut step = planning.step(facts)?;
    loop {
        match step {
            Step::Fetch(more) => {
                needs = more;
                let facts = facts::all(connection, Begin::Nothing, &needs).await?.0;
                known.learn(&needs, &facts);
                step = planning.step(facts)?;
            }
            Step::Write(plan, outcome) => {
                let (moved, known) = (plan.appends() > 0, known.after(&plan));
                write::write(connection, head.position, plan).await?;
                return Ok((outcome, known, moved));
            }
        }
    }
}
