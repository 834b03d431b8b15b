//! Waiting for commits, also of other processes: one connection listens for all logs of a database, and the logs are the
//! truth. They are looked at once it listens, and every few seconds while somebody waits.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use sqlx::{PgConnection, Row};
use synckit_core::{Mark, Position, Result};
use synckit_store::Growth;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::connections::{Connections, Read};
use crate::error::engine;
use crate::facts;
use crate::notify::{CHANNEL, told};

/// How long to wait before the first try to listen again.
const RETRY: Duration = Duration::from_millis(50);

const LOOK: &str = "
SELECT l.log, l.head,
    (SELECT substring(row FOR 30) FROM synckit.events WHERE log = l.log AND position = asked.known),
    (SELECT substring(row FOR 30) FROM synckit.events WHERE log = l.log AND position = asked.place)
FROM unnest($1::integer[], $2::bigint[], $3::bigint[]) AS asked(log, known, place)
    JOIN synckit.logs AS l ON l.log = asked.log";

/// A log, as far as it is known here.
#[derive(Debug)]
pub(crate) struct Watched {
    log: i32,
    pub(crate) growth: Growth,
    /// The position beyond which the log was taken to be when somebody asked last.
    answered: AtomicU64,
    /// A place in the log, with its mark, as it was when somebody looked last. In another log there is another mark.
    place: Mutex<Option<(Position, Mark)>>,
}

/// The logs of a database that are open, and the task that listens for them.
pub(crate) struct Watch {
    shared: Arc<Shared>,
    task: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    options: PgConnectOptions,
    connections: Arc<Connections>,
    interval: Duration,
    logs: Mutex<BTreeMap<i32, Vec<Weak<Watched>>>>,
    /// How many wait.
    waiting: AtomicUsize,
}

impl Watch {
    pub(crate) fn new(options: PgConnectOptions, connections: Arc<Connections>, interval: Duration) -> Self {
        let (logs, waiting) = (Mutex::default(), AtomicUsize::new(0));
        let shared = Arc::new(Shared { options, connections, interval, logs, waiting });
        Watch { shared, task: Mutex::default() }
    }

    /// Adds a log that ends here, until it is dropped.
    pub(crate) fn add(&self, log: i32, head: Position) -> Arc<Watched> {
        let watched = Arc::new(Watched {
            log,
            growth: Growth::new(head),
            answered: AtomicU64::new(u64::MAX),
            place: Mutex::default(),
        });
        let mut logs = locked(&self.shared.logs);
        let same = logs.entry(log).or_default();
        same.retain(|one| one.strong_count() > 0);
        same.push(Arc::downgrade(&watched));
        watched
    }

    /// Waits until a log has grown beyond a position, or was set back to before it or replaced by another.
    pub(crate) async fn moved(&self, watched: &Arc<Watched>, after: Position) -> Result<Position> {
        let growth = &watched.growth;
        if growth.last() > after && watched.answered.swap(after, Ordering::Relaxed) == after {
            // Whoever asks again has found nothing: somebody may have set the log back.
            self.shared.look(vec![Arc::clone(watched)]).await?;
        }
        self.listen();
        self.shared.waiting.fetch_add(1, Ordering::Relaxed);
        let _waits = Waits(&self.shared.waiting);
        growth.moved(after).await
    }

    /// Starts to listen, unless that has begun.
    fn listen(&self) {
        let mut task = locked(&self.task);
        if task.as_ref().is_none_or(JoinHandle::is_finished) {
            *task = Some(tokio::spawn(Arc::clone(&self.shared).listen()));
        }
    }

    /// Stops listening, and ends all waiting.
    pub(crate) fn end(&self) {
        if let Some(task) = locked(&self.task).take() {
            task.abort();
        }
        self.shared.open().iter().for_each(|watched| watched.growth.close());
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.end();
    }
}

/// Somebody who waits.
struct Waits<'a>(&'a AtomicUsize);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Shared {
    /// Listens for as long as anything is open, whatever becomes of the connection.
    async fn listen(self: Arc<Self>) {
        let mut pause = RETRY;
        loop {
            let began = Instant::now();
            // The error is that of the connection; another is made.
            let _ = self.listen_once().await;
            // While nobody listens, looking is all there is.
            self.look_at_all().await;
            pause = if began.elapsed() > self.interval { RETRY } else { (pause * 2).min(self.interval) };
            sleep(pause).await;
        }
    }

    /// Listens until the connection breaks.
    async fn listen_once(&self) -> Result<(), sqlx::Error> {
        let pool =
            PgPoolOptions::new().max_connections(1).acquire_timeout(self.connections.connect_timeout());
        let pool = pool.connect_lazy_with(self.options.clone());
        let mut listener = PgListener::connect_with(&pool).await?;
        listener.eager_reconnect(false);
        listener.listen(CHANNEL).await?;
        // What was committed before is not told any more.
        self.look_at_all().await;
        loop {
            match timeout(self.interval, listener.try_recv()).await {
                Ok(Ok(Some(notice))) => self.grown(notice.payload()),
                Ok(Ok(None)) => return Ok(()),
                Ok(Err(error)) => return Err(error),
                Err(_) => self.look_at_all().await,
            }
        }
    }

    fn grown(&self, payload: &str) {
        let Some((log, last)) = told(payload) else { return };
        let logs = locked(&self.logs);
        let same = logs.get(&log).into_iter().flatten().filter_map(Weak::upgrade);
        same.for_each(|watched| watched.growth.grown_to(last));
    }

    /// Looks at all logs, if anybody waits.
    async fn look_at_all(&self) {
        if self.waiting.load(Ordering::Relaxed) > 0 {
            // It is looked again soon.
            let _ = self.look(self.open()).await;
        }
    }

    /// The logs that are open.
    fn open(&self) -> Vec<Arc<Watched>> {
        let mut logs = locked(&self.logs);
        logs.retain(|_, same| same.iter().any(|one| one.strong_count() > 0));
        logs.values().flatten().filter_map(Weak::upgrade).collect()
    }

    /// Looks where logs end, and whether they are still the same.
    async fn look(&self, watched: Vec<Arc<Watched>>) -> Result<()> {
        let known: Vec<Position> = watched.iter().map(|one| one.growth.last()).collect();
        let places: Vec<_> = watched.iter().map(|one| *locked(&one.place)).collect();
        let asked = (watched.iter().map(|one| one.log).collect(), known.clone(), places.clone());
        let read: Read<Asked, _> =
            |connection, asked| Box::pin(async move { look(connection, &asked).await });
        let found = self.connections.read(asked, read).await?;
        for ((one, known), place) in watched.iter().zip(known).zip(places) {
            let Some((end, at_known, at_place)) = found.get(&one.log) else { continue };
            let is_other = place.is_some_and(|(_, mark)| *at_place != Some(mark));
            *locked(&one.place) = at_known.map(|mark| (known, mark));
            if is_other {
                one.growth.replaced(known, *end);
            } else {
                one.growth.found(known, *end);
            }
        }
        Ok(())
    }
}

/// Where a log ends, and the marks at two places.
type Seen = (Position, Option<Mark>, Option<Mark>);

/// Logs, where each was last known to end, and a place in each with its mark.
type Asked = (Vec<i32>, Vec<Position>, Vec<Option<(Position, Mark)>>);

async fn look(connection: &mut PgConnection, asked: &Asked) -> Result<BTreeMap<i32, Seen>> {
    let (logs, known, places) = asked;
    let known: Vec<i64> = known.iter().map(|position| position.cast_signed()).collect();
    let places: Vec<i64> =
        places.iter().map(|place| place.map_or(0, |(position, _)| position.cast_signed())).collect();
    let look = sqlx::query(LOOK).bind(logs.as_slice()).bind(known).bind(places);
    let mut found = BTreeMap::new();
    for row in look.fetch_all(connection).await.map_err(engine)? {
        let head: i64 = row.try_get(1).map_err(engine)?;
        let mark = |column: usize| -> Result<Option<Mark>> {
            Ok(facts::mark(0, row.try_get(column).map_err(engine)?))
        };
        found.insert(row.try_get(0).map_err(engine)?, (head.cast_unsigned(), mark(2)?, mark(3)?));
    }
    Ok(found)
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No code that can panic runs under the lock.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
