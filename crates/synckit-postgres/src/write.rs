//! Writing a group: one statement, which writes nothing where somebody else has written since.

use sqlx::{PgConnection, Row};
use synckit_core::{Error, Event, Mark, Plan, Position, Result, StoreId};
use synckit_store::group::Pending;
use synckit_store::{dot_key, row};

use crate::error::engine;

/// Everything hangs off the fence: where it has moved, there is no row to join with.
const WRITE: &str = "
WITH moved AS (
    UPDATE synckit.logs SET fence = $15, head = $3 WHERE log = $1 AND fence = $2 RETURNING log, fence),
signed AS (
    INSERT INTO synckit.writers (log, writer, fence, seen) SELECT log, $4, fence, now() FROM moved
    ON CONFLICT (log, writer) DO UPDATE SET fence = excluded.fence, seen = excluded.seen),
deleted AS (
    DELETE FROM synckit.notes AS n USING moved WHERE n.log = moved.log AND n.key = ANY($5)),
put AS (
    INSERT INTO synckit.notes (log, key, value)
    SELECT moved.log, one.key, one.value FROM moved CROSS JOIN unnest($6::bytea[], $7::bytea[]) AS one(key, value)
    ON CONFLICT (log, key) DO UPDATE SET value = excluded.value),
appended AS (
    INSERT INTO synckit.events (log, position, size, id, aggregate, dot, source, row)
    SELECT moved.log, $8 + one.nth, one.size, one.id, one.aggregate, one.dot, one.source, one.row
    FROM moved CROSS JOIN unnest($9::integer[], $10::bytea[], $11::bytea[], $12::bytea[], $13::bytea[], $14::bytea[])
        WITH ORDINALITY AS one(size, id, aggregate, dot, source, row, nth))
SELECT fence FROM moved";

/// The ids that the rows have in between are no text.
const FREE: &str = "UPDATE synckit.events SET id = '\\xff'::bytea || int8send(position), dot = NULL
    WHERE log = $1 AND position = ANY($2)";
const BESIDE: &str = "SELECT substring(row FOR 30) FROM synckit.events WHERE log = $1 AND position = $2";
const REPLACE: &str = "UPDATE synckit.events SET size = $3, id = $4, aggregate = $5, dot = $6, row = $7
    WHERE log = $1 AND position = $2";
const ROWS: &str = "SELECT position, row FROM synckit.events WHERE log = $1 AND position >= $2
    ORDER BY position LIMIT 1000";
const REMARK: &str = "UPDATE synckit.events AS e SET row = one.row
    FROM unnest($2::bigint[], $3::bytea[]) AS one(position, row) WHERE e.log = $1 AND e.position = one.position";

/// Which log is written, by whom, and what its fence is before and after.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    pub(crate) log: i32,
    pub(crate) writer: [u8; 16],
    pub(crate) fence: i64,
    pub(crate) next: i64,
}

/// Writes what is pending. Returns false, and has written nothing, where somebody else has written since.
pub(crate) async fn write(connection: &mut PgConnection, target: Target, pending: &Pending) -> Result<bool> {
    let mut columns = Columns::with_capacity(pending.rows().len());
    pending.rows().iter().for_each(|(event, mark, source)| columns.push(event, *mark, *source));
    let (mut delete, mut keys, mut values) = (Vec::new(), Vec::new(), Vec::new());
    for (key, value) in pending.notes() {
        match value {
            Some(value) => {
                keys.push(key.as_bytes());
                values.push(value.as_slice());
            }
            None => delete.push(key.as_bytes()),
        }
    }
    let write = sqlx::query(WRITE)
        .bind(target.log)
        .bind(target.fence)
        .bind(pending.head().position.cast_signed())
        .bind(target.writer)
        .bind(delete)
        .bind(keys)
        .bind(values)
        .bind(pending.first().cast_signed())
        .bind(columns.sizes)
        .bind(columns.ids)
        .bind(columns.aggregates)
        .bind(columns.dots)
        .bind(columns.sources)
        .bind(columns.rows)
        .bind(target.next);
    Ok(write.fetch_optional(connection).await.map_err(engine)?.is_some())
}

/// The columns of rows to append.
#[derive(Default)]
struct Columns<'e> {
    sizes: Vec<i32>,
    ids: Vec<&'e [u8]>,
    aggregates: Vec<&'e [u8]>,
    dots: Vec<Option<Vec<u8>>>,
    sources: Vec<Option<Vec<u8>>>,
    rows: Vec<Vec<u8>>,
}

impl<'e> Columns<'e> {
    fn with_capacity(rows: usize) -> Self {
        Columns { ids: Vec::with_capacity(rows), rows: Vec::with_capacity(rows), ..Columns::default() }
    }

    fn push(&mut self, event: &'e Event, mark: Mark, source: Option<StoreId>) {
        self.sizes.push(size(event));
        self.ids.push(event.id.as_bytes());
        self.aggregates.push(event.aggregate_id.as_bytes());
        self.dots.push(event.dot.as_ref().map(dot_key));
        self.sources.push(source.map(|source| source.as_bytes().to_vec()));
        self.rows.push(row::encode(event, mark, source));
    }
}

/// Whether a plan changes what is in the log, besides appending to it.
pub(crate) fn changes_log(plan: &Plan) -> bool {
    !plan.replace.is_empty() || plan.remark.is_some()
}

/// Takes the row of the log for this transaction, and returns its fence. It is a statement by itself:
/// one that waits for the row reads everything else as it was before it waited.
pub(crate) async fn lock(connection: &mut PgConnection, log: i32) -> Result<Option<i64>> {
    let lock = sqlx::query_scalar("SELECT fence FROM synckit.logs WHERE log = $1 FOR UPDATE").bind(log);
    lock.fetch_optional(connection).await.map_err(engine)
}

/// Writes the events of a plan over those in the log, and gives marks, within a transaction that has the row of the log.
pub(crate) async fn change(connection: &mut PgConnection, log: i32, plan: &Plan) -> Result<()> {
    let mut beside = Vec::with_capacity(plan.replace.len());
    for (position, _) in &plan.replace {
        beside.push(beside_event(connection, log, *position).await?);
    }
    // All give up their ids and dots before any takes a new one.
    let positions: Vec<_> = plan.replace.iter().map(|(position, _)| position.cast_signed()).collect();
    let free = sqlx::query(FREE).bind(log).bind(positions);
    free.execute(&mut *connection).await.map_err(engine)?;
    for ((position, event), row::Beside { mark, source }) in plan.replace.iter().zip(beside) {
        let replace = sqlx::query(REPLACE)
            .bind(log)
            .bind(position.cast_signed())
            .bind(size(event))
            .bind(event.id.as_bytes())
            .bind(event.aggregate_id.as_bytes())
            .bind(event.dot.as_ref().map(dot_key))
            .bind(row::encode(event, mark, source));
        replace.execute(&mut *connection).await.map_err(engine)?;
    }
    match plan.remark {
        Some(from) => remark(connection, log, from, plan.mark).await,
        None => Ok(()),
    }
}

/// What stands beside the event at a position, which may be damaged.
async fn beside_event(connection: &mut PgConnection, log: i32, position: Position) -> Result<row::Beside> {
    let select = sqlx::query_scalar(BESIDE).bind(log).bind(position.cast_signed());
    let found: Option<Vec<u8>> = select.fetch_optional(connection).await.map_err(engine)?;
    let found = found.ok_or_else(|| {
        Error::corrupt("a plan changes an event that is not there").with("position", position)
    })?;
    row::beside(position, &found)
}

/// Gives the events from this position on another mark.
async fn remark(connection: &mut PgConnection, log: i32, from: Position, mark: Mark) -> Result<()> {
    let mut next = from.cast_signed();
    loop {
        let select = sqlx::query(ROWS).bind(log).bind(next);
        let found = select.fetch_all(&mut *connection).await.map_err(engine)?;
        let (mut positions, mut rows) = (Vec::<i64>::new(), Vec::<Vec<u8>>::new());
        for found in found {
            let mut row: Vec<u8> = found.try_get(1).map_err(engine)?;
            row::remark(&mut row, mark);
            positions.push(found.try_get(0).map_err(engine)?);
            rows.push(row);
        }
        let Some(last) = positions.last() else { return Ok(()) };
        next = last + 1;
        let update = sqlx::query(REMARK).bind(log).bind(positions).bind(rows);
        update.execute(&mut *connection).await.map_err(engine)?;
    }
}

fn size(event: &Event) -> i32 {
    i32::try_from(event.size()).unwrap_or(i32::MAX)
}
