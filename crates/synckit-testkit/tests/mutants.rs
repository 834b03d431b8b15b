//! The store suite under test: stores that are broken on purpose are each caught by the case that is about it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Mutex;

use synckit_core::notes::Note;
use synckit_core::plan::{Edit, Intent, Outcome};
use synckit_core::{EventStore, LogHead, NodeId, NoteQuery, Page, Query, Result};
use synckit_memory::MemoryStore;
use synckit_testkit::store_suite::{commit, log, notes, read, receive, record, reopen};
use synckit_testkit::{CaseResult, StoreFixture, run};

/// What is broken.
#[derive(Clone, Copy, PartialEq)]
enum Mutation {
    Nothing,
    LosesTheLastEventOfABatch,
    CommitsNotesFirst,
    ForgetsTheLimits,
    ForgetsDrift,
    WritesNotesIfCompleteAlways,
    NeverSetsAside,
    SkipsAnEventBetweenPages,
    PagesNeverMoveOn,
    PagesHoldOneEventTooMany,
    PagesIgnoreBytes,
    StaysEmptyWhenAnEventIsTooLarge,
    IgnoresTheAggregate,
    IgnoresTheSource,
    ForgetsTheSource,
    PrefixesFoldCase,
    SortsNotesBackwards,
    LosesDeletes,
    StaysOpenWhenClosed,
    CommitsInTwoHalves,
    ForgetsWhatItHeld,
    OpensForAnyNode,
    RereadsJson,
}

struct Mutant {
    inner: MemoryStore,
    mutation: Mutation,
}

impl EventStore for Mutant {
    async fn commit(&self, mut intent: Intent) -> Result<Outcome> {
        match (self.mutation, &mut intent) {
            (Mutation::LosesTheLastEventOfABatch, Intent::Receive(receive)) => {
                receive.events.pop();
            }
            (Mutation::LosesTheLastEventOfABatch, Intent::Record(record)) => {
                record.events.pop();
            }
            (Mutation::CommitsNotesFirst, Intent::Receive(receive)) => {
                let put = std::mem::take(&mut receive.notes);
                self.inner.commit(Intent::Edit(Edit { put, delete: Vec::new() })).await?;
            }
            (Mutation::ForgetsTheLimits, Intent::Receive(receive)) => receive.limits.event_bytes = usize::MAX,
            (Mutation::ForgetsTheLimits, Intent::Record(record)) => record.limits.event_bytes = usize::MAX,
            (Mutation::ForgetsDrift, Intent::Receive(receive)) => {
                receive.limits.drift_seconds = u64::MAX >> 12
            }
            (Mutation::WritesNotesIfCompleteAlways, Intent::Receive(receive)) => {
                receive.notes.append(&mut receive.notes_if_complete);
            }
            (Mutation::NeverSetsAside, Intent::Receive(receive)) => receive.set_aside = false,
            (Mutation::ForgetsTheSource, Intent::Receive(receive)) => receive.source = None,
            (Mutation::LosesDeletes, Intent::Edit(edit)) => edit.delete.clear(),
            (Mutation::CommitsInTwoHalves, Intent::Record(record)) if record.events.len() > 1 => {
                let rest = record.events.split_off(1);
                let first = Intent::Record(record.clone());
                record.events = rest;
                self.inner.commit(first).await?;
                tokio::task::yield_now().await;
            }
            _ => {}
        }
        self.inner.commit(intent).await
    }

    async fn read(&self, mut query: Query) -> Result<Page> {
        let asked = query.clone();
        match self.mutation {
            Mutation::SkipsAnEventBetweenPages if query.after > 0 => query.after += 1,
            Mutation::PagesHoldOneEventTooMany => query.max_events += 1,
            Mutation::PagesIgnoreBytes => query.max_bytes = usize::MAX,
            Mutation::IgnoresTheAggregate => query.aggregate = None,
            Mutation::IgnoresTheSource => query.except_source = None,
            _ => {}
        }
        let mut page = self.inner.read(query).await?;
        match self.mutation {
            Mutation::PagesNeverMoveOn if page.events.is_empty() => {
                page.more = page.scanned_to > asked.after;
                page.scanned_to = asked.after;
            }
            Mutation::StaysEmptyWhenAnEventIsTooLarge
                if page.events.first().is_some_and(|stored| stored.event.size() > asked.max_bytes) =>
            {
                page = Page { events: Vec::new(), scanned_to: asked.after, more: true };
            }
            Mutation::RereadsJson => page.events.iter_mut().for_each(|stored| {
                if let Ok(value) = stored.event.data.parse::<serde_json::Value>() {
                    stored.event.data = synckit_core::Data::of(&value).expect("it was JSON");
                }
            }),
            _ => {}
        }
        Ok(page)
    }

    async fn notes(&self, query: NoteQuery) -> Result<Vec<Note>> {
        let mut found = match (self.mutation, query) {
            (Mutation::PrefixesFoldCase, NoteQuery::Prefix { prefix, after, limit }) => {
                let all = NoteQuery::Prefix { prefix: String::new(), after: String::new(), limit: 10_000 };
                let mut all = self.inner.notes(all).await?;
                all.retain(|note| note.key > after);
                all.retain(|note| note.key.to_lowercase().starts_with(&prefix.to_lowercase()));
                all.truncate(limit);
                all
            }
            (_, query) => self.inner.notes(query).await?,
        };
        if self.mutation == Mutation::SortsNotesBackwards {
            found.reverse();
        }
        Ok(found)
    }

    async fn head(&self) -> Result<LogHead> {
        self.inner.head().await
    }

    async fn close(&self) -> Result<()> {
        match self.mutation {
            Mutation::StaysOpenWhenClosed => Ok(()),
            _ => self.inner.close().await,
        }
    }
}

struct Fixture {
    mutation: Mutation,
    kept: Mutex<Option<MemoryStore>>,
}

impl StoreFixture for Fixture {
    type Store = Mutant;

    async fn open(&self, node: &NodeId) -> Result<Mutant> {
        let kept =
            self.kept.lock().expect("no case panics while it holds the lock").as_ref().map(MemoryStore::copy);
        let inner = match kept {
            Some(kept) if self.mutation != Mutation::ForgetsWhatItHeld => kept,
            _ => MemoryStore::new(node.clone())?,
        };
        let query = NoteQuery::Keys(vec![synckit_core::notes::NODE.to_owned()]);
        if self.mutation != Mutation::OpensForAnyNode {
            inner.notes(query).await?[0].parse::<synckit_core::notes::Identity>()?.expect(node)?;
        }
        *self.kept.lock().expect("no case panics while it holds the lock") = Some(inner.clone());
        Ok(Mutant { inner, mutation: self.mutation })
    }

    fn survives_reopen(&self) -> bool {
        true
    }

    fn opens_twice(&self) -> bool {
        false
    }
}

type Case = fn(Fixture) -> Pin<Box<dyn Future<Output = CaseResult>>>;

/// Whether the case passes for a store broken so.
fn passes(mutation: Mutation, case: Case) -> bool {
    let fixture = move || Fixture { mutation, kept: Mutex::new(None) };
    std::thread::spawn(move || run(case(fixture()))).join().is_ok()
}

macro_rules! mutants {
    ($($name:ident: $mutation:ident is caught by $module:ident::$case:ident;)*) => {$(
        #[test]
        fn $name() {
            let case: Case = |fixture| Box::pin(async move { $module::$case(&fixture).await });
            assert!(passes(Mutation::Nothing, case), "the case fails for a store that is right");
            assert!(!passes(Mutation::$mutation, case), "the case does not notice");
        }
    )*};
}

mutants! {
    lost_event: LosesTheLastEventOfABatch is caught by log::foreign_events_come_back_byte_for_byte;
    lost_own_event: LosesTheLastEventOfABatch is caught by log::recorded_events_come_back_byte_for_byte;
    notes_first: CommitsNotesFirst is caught by commit::a_plan_that_is_refused_changes_nothing;
    no_limits: ForgetsTheLimits is caught by receive::too_large_is_refused_and_the_rest_accepted;
    no_limits_on_own: ForgetsTheLimits is caught by record::the_largest_event_and_one_byte_more;
    no_drift: ForgetsDrift is caught by receive::a_time_too_far_ahead_is_refused;
    complete_too_soon:
        WritesNotesIfCompleteAlways is caught by receive::notes_if_complete_wait_for_a_batch_without_refusals;
    nothing_aside: NeverSetsAside is caught by receive::refused_events_are_set_aside;
    skipped_event: SkipsAnEventBetweenPages is caught by read::pages_end_at_the_limit_of_events;
    skipped_event_somewhere: SkipsAnEventBetweenPages is caught by read::any_query_finds_what_a_model_finds;
    stuck: PagesNeverMoveOn is caught by read::a_page_without_matches_moves_on;
    full_pages: PagesHoldOneEventTooMany is caught by read::pages_end_at_the_limit_of_events;
    heavy_pages: PagesIgnoreBytes is caught by read::pages_end_at_the_limit_of_bytes;
    large_event: StaysEmptyWhenAnEventIsTooLarge is caught by read::an_event_larger_than_the_page_still_comes;
    any_aggregate: IgnoresTheAggregate is caught by read::an_aggregate_is_read_alone;
    any_source: IgnoresTheSource is caught by read::one_source_is_left_out;
    no_source: ForgetsTheSource is caught by log::the_source_of_every_event_is_kept;
    folded_case: PrefixesFoldCase is caught by notes::a_prefix_ends_where_it_ends;
    backwards: SortsNotesBackwards is caught by notes::keys_are_sorted_by_their_bytes;
    undeletable: LosesDeletes is caught by notes::put_read_delete;
    never_closed: StaysOpenWhenClosed is caught by commit::a_closed_store_says_so;
    two_halves: CommitsInTwoHalves is caught by record::one_bad_event_stops_the_whole_record;
    forgetful: ForgetsWhatItHeld is caught by reopen::what_was_acknowledged_survives_closing;
    forgetful_in_a_crash: ForgetsWhatItHeld is caught by reopen::what_was_acknowledged_survives_a_crash;
    any_node: OpensForAnyNode is caught by reopen::the_log_belongs_to_one_node;
    reread: RereadsJson is caught by log::recorded_events_come_back_byte_for_byte;
}
