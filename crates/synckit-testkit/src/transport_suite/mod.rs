//! What every transport must do: one function per case, run by
//! [`transport_conformance!`](crate::transport_conformance).
//!
//! - `hello`: who calls, who answers, how far each side knows the other
//! - `push`: events handed over, once and again
//! - `pull`: pages, cursors, filters
//! - `errors`: kinds that are kept, futures that are dropped, closing
//! - `subscribe`: catch-up, then live

use std::future::Future;
use std::time::Duration;

use synckit::Endpoint;
use synckit_core::{
    Caller, Cursor, Event, EventId, Filter, Limits, PullRequest, PullResponse, PushRequest, Result, Scope,
    Transport,
};
use synckit_memory::MemoryStore;
use synckit_plan::StoreExt;

use crate::fault::{FaultPlan, FaultyStore};
use crate::fixture::{HubEndpoint, TransportFixture};
use crate::samples::{node, store_id};

pub mod errors;
pub mod hello;
pub mod pull;
pub mod push;
pub mod subscribe;

/// Makes a test of every case of the transport suite, once directly and once through [`BoxTransport`].
///
/// It takes an expression that makes a [`TransportFixture`], and makes a module `transport_conformance`, or a module
/// with the name before the colon: `transport_conformance!(over_tls: TlsFixture::new())`.
///
/// [`BoxTransport`]: synckit_core::BoxTransport
/// [`TransportFixture`]: crate::TransportFixture
#[macro_export]
macro_rules! transport_conformance {
    ($fixture:expr $(,)?) => {
        $crate::transport_conformance!(transport_conformance: $fixture);
    };
    ($name:ident : $fixture:expr $(,)?) => {
        $crate::__conformance! { $name, $fixture, transport_suite,
            7 hello: the_hub_says_who_it_is;
            7 hello: the_counter_of_the_caller_is_known;
            7 hello: what_was_pushed_is_known;
            7 hello: a_cursor_is_known_or_not;
            7 hello: events_come_with_it_where_all_is_as_expected;
            2 hello: another_protocol_is_unsupported;
            2 hello: the_same_replica_on_both_sides_is_a_conflict;
            5 push: events_arrive_byte_for_byte;
            5 push: every_character_arrives;
            7 push: pushing_twice_is_pushing_once;
            7 push: one_bad_event_of_eleven_is_refused_by_its_id;
            5 push: the_largest_event_arrives;
            7 push: a_full_batch_arrives;
            4 push: a_batch_above_the_limit_is_too_large;
            7 push: an_empty_push_moves_the_place_on_record;
            7 push: a_push_with_refusals_does_not_move_the_place_on_record;
            7 push: a_push_from_another_place_than_is_on_record_is_not_stored;
            7 push: a_push_that_knows_a_place_that_is_gone_is_not_stored;
            7 push: missing_events_are_named_in_order;
            7 push: nobody_is_told_what_is_missing_after_a_place_that_is_gone;
            4 push: asking_for_too_many_is_too_large;
            7 pull: an_empty_log;
            5 pull: events_come_byte_for_byte;
            5 pull: every_character_comes;
            5 pull: the_largest_events_come_page_by_page;
            7 pull: pages_end_at_the_limit;
            7 pull: a_limit_above_the_hubs_is_the_hubs;
            7 pull: a_cursor_resumes;
            7 pull: a_pull_ends_where_it_is_told_to;
            7 pull: events_of_the_caller_are_left_out;
            7 pull: ids_of_what_came_from_some_stores_are_listed;
            7 pull: named_events_are_sent_whoever_brought_them;
            7 pull: filters_pass_what_they_name;
            7 pull: a_filter_that_passes_nothing_moves_on;
            2 pull: a_cursor_of_another_log_is_unknown;
            5 pull: an_unreadable_event_does_not_spoil_its_page;
            2 errors: the_kind_of_every_error_survives;
            2 errors: the_time_of_the_next_try_survives;
            1 errors: the_hub_goes_on_after_an_error;
            3 errors: a_dropped_push_is_whole_or_absent;
            3 errors: dropped_calls_do_no_harm;
            3 errors: a_dropped_close_is_whole_or_absent;
            7 errors: many_calls_at_once;
            7 errors: two_clients_at_once;
            7 errors: traffic_only_grows;
            2 errors: a_closed_transport_says_so;
            8 subscribe: it_catches_up_then_goes_on;
            8 subscribe: it_lists_what_came_from_the_caller;
            8 subscribe: it_resumes_by_its_cursor;
            8 subscribe: it_filters;
            2 subscribe: a_cursor_of_another_log_is_unknown_at_the_start;
            3 subscribe: a_dropped_subscription_does_no_harm;
            8 subscribe: reconnecting_with_the_cursor_misses_nothing;
            6 subscribe: a_slow_reader_is_waited_for;
        }
    };
}

/// The time in which a subscription must bring what it has to; well above the heartbeat of an endpoint.
const PATIENCE: Duration = Duration::from_secs(60);

/// A hub, its store, and the transport that connects to it.
pub(crate) struct Hub<T> {
    pub(crate) store: MemoryStore,
    pub(crate) plan: FaultPlan,
    pub(crate) endpoint: HubEndpoint,
    pub(crate) wire: T,
}

/// Connects to a hub with the default limits.
pub(crate) async fn connect<F: TransportFixture>(fixture: &F) -> Result<Hub<F::Transport>> {
    connect_with(fixture, Limits::default()).await
}

/// Connects to a hub with these limits.
pub(crate) async fn connect_with<F: TransportFixture>(
    fixture: &F,
    limits: Limits,
) -> Result<Hub<F::Transport>> {
    let (store, plan) = (MemoryStore::new(node("hub"))?, FaultPlan::new());
    let behind = FaultyStore::new(store.clone(), plan.clone());
    let endpoint = Endpoint::new(behind).with_limits(limits);
    let wire = fixture.connect(endpoint.clone()).await?;
    Ok(Hub { store, plan, endpoint, wire })
}

/// Returns the caller whose store id has only this byte: the node `node-<byte>`.
pub(crate) fn caller(byte: u8) -> Caller {
    Caller { node: node(&format!("node-{byte}")), store: store_id(byte) }
}

/// Returns a push of these events by the caller of this byte.
pub(crate) fn pushing(byte: u8, events: &[Event]) -> PushRequest {
    PushRequest {
        caller: caller(byte),
        filter: "all".to_owned(),
        events: events.to_vec(),
        from: None,
        upto: None,
        known: Vec::new(),
    }
}

/// Returns a pull of everything by the caller of this byte.
pub(crate) fn pulling(byte: u8, cursor: Option<Cursor>) -> PullRequest {
    PullRequest {
        caller: caller(byte),
        cursor,
        limit: None,
        filter: Filter::new(),
        scope: Scope::Others,
        upto: None,
    }
}

/// Pulls page by page to the end.
///
/// # Panics
/// If a page does not move on.
pub(crate) async fn pull_all(wire: &impl Transport, mut request: PullRequest) -> Result<Vec<PullResponse>> {
    let mut pages: Vec<PullResponse> = Vec::new();
    loop {
        let page = wire.pull(request.clone()).await?;
        let (from, more) = (request.cursor.as_ref().map_or(0, Cursor::position), page.more);
        assert!(page.next.position() > from || !more, "a page with more behind it moves on");
        assert_eq!(page.unreadable, [], "everything can be read");
        request.cursor = Some(page.next.clone());
        pages.push(page);
        if !more {
            return Ok(pages);
        }
    }
}

/// Returns the events of pages.
pub(crate) fn events_of(pages: &[PullResponse]) -> Vec<Event> {
    pages.iter().flat_map(|page| page.events.clone()).collect()
}

/// Returns the ids of events.
pub(crate) fn ids(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.id.as_str()).collect()
}

/// Returns the ids of what the hub holds, in log order.
pub(crate) async fn held(store: &MemoryStore) -> Result<Vec<EventId>> {
    let log = crate::store_suite::log_of(store).await?;
    assert_eq!(store.cursor_at(log.len() as u64).await?.position(), log.len() as u64);
    Ok(log.into_iter().map(|stored| stored.event.id).collect())
}

/// Waits for a future that must complete.
///
/// # Panics
/// If it does not complete in time.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it comes")
}

#[cfg(test)]
mod tests {
    /// A case that is not in the list never runs.
    #[test]
    fn every_case_is_listed() {
        let list = include_str!("mod.rs");
        let files = [
            ("errors", include_str!("errors.rs")),
            ("hello", include_str!("hello.rs")),
            ("pull", include_str!("pull.rs")),
            ("push", include_str!("push.rs")),
            ("subscribe", include_str!("subscribe.rs")),
        ];
        for (file, text) in files {
            for line in text.lines().filter_map(|line| line.strip_prefix("pub async fn ")) {
                let case = line.split(['(', '<']).next().unwrap();
                assert!(list.contains(&format!("{file}: {case};")), "{file}: {case} is not listed");
            }
        }
    }
}
