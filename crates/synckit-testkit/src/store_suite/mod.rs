//! What every store must do: one function per case, run by [`store_conformance!`](crate::store_conformance).
//!
//! - `log`: what is stored comes back, at the right positions
//! - `record`: new events authored here
//! - `receive`: events from elsewhere, each accepted, a repetition, or refused
//! - `conflicts`: heads, and conflicts that appear and disappear
//! - `read`: pages, aggregates, sources
//! - `notes`: the notebook
//! - `marks`: the mark of each commit, and that what is derived here has no source
//! - `restamp`: ids and dots that change owners in one commit, and the histories needed to plan it
//! - `renew`: a fresh id for the store, in every handle
//! - `adopt`: events by authors who cannot stamp
//! - `commit`: one transaction, also while others write
//! - `drops`: futures that are dropped at each of their awaits
//! - `renumber`: authoring again after a restore from an older copy
//! - `reopen`: what is still there after closing, and after a crash of the process
//! - `views`: a view that the engine keeps in the store
//! - `process`: a second process that writes, and one that is killed

use synckit_core::{
    Dot, Event, EventId, EventStore, Limits, Needs, NewEvent, NodeId, Note, Query, Result, StoredEvent,
};
use synckit_plan::{
    Receive, Received, Record, Recorded, StoreExt,
    notes::{self as keys, Latest},
};

use crate::fixture::StoreFixture;
use crate::samples::{NOW, entropy, node, store_id};

pub mod adopt;
pub mod commit;
pub mod conflicts;
pub mod drops;
pub mod log;
pub mod marks;
pub mod notes;
pub mod process;
pub mod read;
pub mod receive;
pub mod record;
pub mod renew;
pub mod renumber;
pub mod reopen;
pub mod restamp;
pub mod views;

/// Makes a test of every case of the store suite, once directly and once through [`BoxStore`].
///
/// It takes an expression that makes a [`StoreFixture`], and makes a module `store_conformance`, or a module with the
/// name before the colon: `store_conformance!(on_disk: DiskFixture::new())`.
///
/// [`BoxStore`]: synckit_core::BoxStore
/// [`StoreFixture`]: crate::StoreFixture
#[macro_export]
macro_rules! store_conformance {
    ($fixture:expr $(,)?) => {
        $crate::store_conformance!(store_conformance: $fixture);
    };
    ($name:ident : $fixture:expr $(,)?) => {
        $crate::__conformance! { $name, $fixture, store_suite,
            10 log: an_empty_log;
            6 log: recorded_events_come_back_byte_for_byte;
            6 log: foreign_events_come_back_byte_for_byte;
            11 log: the_source_of_every_event_is_kept;
            4 log: positions_count_from_one_without_gaps;
            6 log: names_that_differ_little_are_different;
            6 log: every_character_survives;
            6 log: a_clock_of_a_thousand_nodes_survives;
            2 log: ten_thousand_events_in_one_commit;
            9 record: events_are_stamped;
            9 record: an_effect_is_later_than_its_cause;
            9 record: the_wall_clock_may_go_backwards;
            2 record: one_bad_event_stops_the_whole_record;
            9 record: recording_twice_is_recording_once;
            9 record: an_id_names_one_content;
            9 record: the_largest_event_and_one_byte_more;
            1 record: a_wrong_guess_of_the_author_is_put_right;
            9 receive: receiving_twice_changes_nothing;
            2 receive: an_event_twice_in_one_batch;
            9 receive: an_id_that_is_taken_is_refused_and_the_rest_accepted;
            9 receive: a_forked_dot_gets_an_alias_and_nothing_is_refused;
            9 receive: a_forked_dot_within_one_batch_gets_an_alias;
            7 receive: an_event_with_two_stamps_takes_the_greater;
            7 receive: a_restamp_waits_for_its_event;
            9 receive: too_large_is_refused_and_the_rest_accepted;
            9 receive: the_largest_event_is_accepted_and_one_byte_more_refused;
            9 receive: a_time_far_ahead_is_stored_and_lifts_no_other_aggregate;
            9 receive: a_stamp_that_contradicts_itself_is_refused;
            2 receive: refused_events_are_set_aside;
            2 receive: notes_are_written_with_the_events;
            2 receive: what_is_on_record_waits_for_a_batch_without_refusals;
            9 receive: what_is_on_record_moves_only_from_where_it_is;
            8 receive: an_own_event_that_is_not_held_renews_the_store;
            8 receive: a_clock_that_knows_more_of_the_own_name_renews_the_store;
            9 conflicts: concurrent_events_are_a_conflict;
            9 conflicts: recording_on_all_heads_settles_it;
            9 conflicts: a_resolution_settles_it_and_is_one_event;
            9 conflicts: what_was_seen_is_no_head;
            10 read: pages_end_at_the_limit_of_events;
            10 read: a_page_of_one_event_and_of_none;
            10 read: pages_end_at_the_limit_of_bytes;
            10 read: an_event_larger_than_the_page_still_comes;
            10 read: an_aggregate_is_read_alone;
            10 read: aggregates_are_read_together;
            10 read: one_source_is_left_out;
            10 read: a_page_names_the_marks_at_its_ends;
            10 read: a_page_without_matches_moves_on;
            10 read: any_query_finds_what_a_model_finds;
            6 notes: put_read_delete;
            6 notes: the_last_value_counts;
            10 notes: keys_are_answered_sorted_and_once;
            10 notes: a_prefix_is_read_in_pages;
            10 notes: a_prefix_ends_where_it_ends;
            10 notes: keys_are_sorted_by_their_bytes;
            6 notes: keys_of_any_characters;
            6 notes: values_of_any_bytes;
            2 notes: notes_of_one_commit_change_together;
            2 commit: a_plan_that_is_refused_changes_nothing;
            9 commit: asking_tells_what_is_there;
            1 commit: concurrent_records_get_distinct_dots;
            1 commit: an_event_received_many_times_at_once_is_stored_once;
            4 commit: readers_see_only_prefixes;
            12 commit: a_closed_store_says_so;
            9 commit: any_planner_asks_in_rounds_and_gets_its_own_outcome;
            12 commit: growth_wakes_whoever_waits;
            12 commit: nobody_is_woken_before_the_log_grows;
            11 marks: a_commit_gives_one_mark_to_what_it_appends;
            9 marks: asking_tells_the_marks_at_places;
            11 marks: the_head_has_the_mark_of_the_last_event;
            11 marks: marks_survive_closing;
            11 marks: what_is_derived_here_has_no_source;
            7 restamp: a_dot_that_is_given_up_is_taken_in_the_same_commit;
            7 restamp: an_event_may_get_another_id_in_its_place;
            9 restamp: asking_tells_whole_histories;
            8 renew: every_handle_goes_by_the_new_id;
            8 renew: a_new_id_survives_closing;
            9 adopt: events_are_stamped_in_the_name_of_their_author;
            9 adopt: what_was_not_seen_is_concurrent_and_what_was_seen_is_not;
            9 adopt: what_was_seen_once_stays_seen;
            9 adopt: adopting_twice_is_adopting_once;
            2 adopt: one_bad_event_does_not_stop_the_rest;
            9 adopt: a_name_that_is_taken_is_not_written_under;
            9 adopt: a_renewal_of_the_store_renames_whom_it_adopts;
            8 adopt: an_adopted_event_that_comes_back_renames;
            5 drops: a_dropped_record_is_whole_or_absent;
            5 drops: a_dropped_receive_is_whole_or_absent;
            5 drops: a_dropped_edit_is_whole_or_absent;
            5 drops: a_dropped_renumber_is_whole_or_absent;
            5 drops: dropped_reads_do_no_harm;
            5 drops: a_dropped_close_leaves_the_log_whole;
            7 renumber: events_get_dots_of_an_unused_name;
            7 renumber: events_far_ahead_get_the_right_time;
            1 renumber: a_log_that_moved_on_is_left_alone;
            8 renumber: a_renewal_is_for_the_id_it_names;
            3 reopen: what_was_acknowledged_survives_closing;
            3 reopen: what_was_acknowledged_survives_a_crash;
            3 reopen: counters_and_time_go_on;
            12 reopen: the_log_belongs_to_one_node;
            3 reopen: cursors_stay_known;
            3 reopen: what_was_renumbered_survives_closing;
            1 reopen: two_handles_write_one_log;
            2 views: a_view_shows_what_stands;
            1 process: two_processes_write_one_log;
            3 process: a_killed_process_leaves_what_it_acknowledged;
            3 process: a_killed_build_of_a_view_goes_on;
        }
    };
}

/// Makes one test per case, directly and boxed. The number before a case is that of the [rule](crate::Rule) it is about.
#[doc(hidden)]
#[macro_export]
macro_rules! __conformance {
    ($name:ident, $fixture:expr, $suite:ident, $($rule:literal $module:ident: $case:ident;)*) => {
        mod $name {
            #[allow(unused_imports, reason = "what the expression names may be imported around it")]
            use super::*;
            mod direct {
                $(#[test] fn $case() {
                    if let Some(why) = super::absent() {
                        return $crate::__skip(stringify!($case), &why).expect("is skipped");
                    }
                    let test = concat!(module_path!(), "::", stringify!($case));
                    let case = async { $crate::$suite::$module::$case(&super::fixture()).await };
                    $crate::Rule::$suite($rule).check(stringify!($case), || $crate::run(test, case));
                })*
            }
            mod boxed {
                $(#[test] fn $case() {
                    if let Some(why) = super::absent() {
                        return $crate::__skip(stringify!($case), &why).expect("is skipped");
                    }
                    let test = concat!(module_path!(), "::", stringify!($case));
                    let case = async { $crate::$suite::$module::$case(&$crate::Boxed(super::fixture())).await };
                    $crate::Rule::$suite($rule).check(stringify!($case), || $crate::run(test, case));
                })*
            }
            $crate::__fixture! { $suite, $fixture }
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __fixture {
    (store_suite, $fixture:expr) => {
        fn fixture() -> impl $crate::StoreFixture {
            $fixture
        }

        fn absent() -> Option<String> {
            $crate::StoreFixture::absent(&fixture())
        }
    };
    (transport_suite, $fixture:expr) => {
        fn fixture() -> impl $crate::TransportFixture {
            $fixture
        }

        fn absent() -> Option<String> {
            None
        }
    };
}

/// Opens the store of a fixture for the node `n`.
pub(crate) async fn open<F: StoreFixture>(fixture: &F) -> Result<F::Store> {
    fixture.open(&node("n")).await
}

/// Records these events now.
pub(crate) async fn record(store: &impl EventStore, events: Vec<NewEvent>) -> Result<Recorded> {
    record_at(store, NOW, events).await
}

/// Records these events at this wall-clock time.
pub(crate) async fn record_at(store: &impl EventStore, now: u64, events: Vec<NewEvent>) -> Result<Recorded> {
    let author = store.identity().await?.author;
    let events = events.into_iter().map(named).collect();
    store.commit(Record { now, ..record_of(author, events) }).await
}

/// Returns a record of these events by this author, now.
pub(crate) fn record_of(author: NodeId, events: Vec<(EventId, NewEvent)>) -> Record {
    Record { author, events, now: NOW, limits: Limits::default(), entropy: entropy(), expect: Vec::new() }
}

/// Returns an event with its id.
pub(crate) fn named(new: NewEvent) -> (EventId, NewEvent) {
    (new.id.clone().expect("the suites give every event an id"), new)
}

/// Returns a receive of these events from the store whose bytes are all `source`, now.
pub(crate) fn receiving(source: u8, events: &[Event]) -> Receive {
    Receive::new(Some(store_id(source)), events.to_vec(), NOW, Limits::default(), entropy())
}

/// Receives these events from the store whose bytes are all `source`, now.
pub(crate) async fn receive(store: &impl EventStore, source: u8, events: &[Event]) -> Result<Received> {
    store.commit(receiving(source, events)).await
}

/// Returns the whole log.
pub(crate) async fn log_of(store: &impl EventStore) -> Result<Vec<StoredEvent>> {
    scan(store, Query::after(0)).await
}

/// Returns everything a query finds from its start to the end of the log.
///
/// # Panics
/// If a page does not move on.
pub(crate) async fn scan(store: &impl EventStore, mut query: Query) -> Result<Vec<StoredEvent>> {
    let mut found = Vec::new();
    loop {
        let page = store.read(query.clone()).await?;
        assert!(page.events.len() <= query.max_events, "a page has at most `max_events`");
        assert!(page.scanned_to >= query.after, "`scanned_to` is never below `after`");
        let last = page.events.last().map_or(0, |stored| stored.position);
        assert!(last <= page.scanned_to, "`scanned_to` is at least the last event of the page");
        found.extend(page.events);
        if !page.more {
            return Ok(found);
        }
        assert!(page.scanned_to > query.after, "a page with more behind it moves on");
        query.after = page.scanned_to;
    }
}

/// Everything a store holds.
#[derive(Debug, PartialEq)]
pub(crate) struct Contents {
    pub(crate) log: Vec<StoredEvent>,
    pub(crate) notes: Vec<Note>,
}

/// Returns everything a store holds.
pub(crate) async fn contents(store: &impl EventStore) -> Result<Contents> {
    Ok(Contents { log: log_of(store).await?, notes: store.notes_under("").await? })
}

/// Returns a note as text.
pub(crate) async fn text(store: &impl EventStore, key: impl Into<String>) -> Result<Option<String>> {
    let note = store.note(key.into()).await?;
    Ok(note.map(|note| String::from_utf8(note.value).expect("the note is text")))
}

/// Returns the highest counter held of a node; 0 for none. The note names the event that has it.
pub(crate) async fn counter(store: &impl EventStore, name: &str) -> Result<u64> {
    let Some(text) = text(store, keys::origin(&node(name))).await? else { return Ok(0) };
    let latest: Latest = text.parse()?;
    let dot = Dot::new(node(name), latest.counter);
    let named = store.facts(Needs { dots: vec![dot.clone()], ..Needs::default() }).await?.dots.remove(&dot);
    assert_eq!(named, Some(latest.event));
    Ok(latest.counter)
}

/// Returns the ids of events, in order.
pub(crate) fn ids<'a>(events: impl IntoIterator<Item = &'a StoredEvent>) -> Vec<&'a str> {
    events.into_iter().map(|stored| stored.event.id.as_str()).collect()
}

#[cfg(test)]
mod tests {
    /// A case that is not in the list never runs.
    #[test]
    fn every_case_is_listed() {
        let list = include_str!("mod.rs");
        let files = [
            ("commit", include_str!("commit.rs")),
            ("conflicts", include_str!("conflicts.rs")),
            ("drops", include_str!("drops.rs")),
            ("log", include_str!("log.rs")),
            ("marks", include_str!("marks.rs")),
            ("notes", include_str!("notes.rs")),
            ("process", include_str!("process.rs")),
            ("read", include_str!("read.rs")),
            ("renumber", include_str!("renumber.rs")),
            ("receive", include_str!("receive.rs")),
            ("record", include_str!("record.rs")),
            ("renew", include_str!("renew.rs")),
            ("reopen", include_str!("reopen.rs")),
            ("restamp", include_str!("restamp.rs")),
            ("views", include_str!("views.rs")),
        ];
        for (file, text) in files {
            for line in text.lines().filter_map(|line| line.strip_prefix("pub async fn ")) {
                let case = line.split(['(', '<']).next().unwrap();
                assert!(list.contains(&format!("{file}: {case};")), "{file}: {case} is not listed");
            }
        }
    }
}
