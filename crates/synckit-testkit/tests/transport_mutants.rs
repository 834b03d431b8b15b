//! Tests the transport suite: each transport that is broken on purpose is caught by the case that is about it.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use futures_util::StreamExt;
use synckit_core::{
    Cursor, Data, Error, ErrorKind, Event, Filter, HelloRequest, HelloResponse, Limits, MissingRequest,
    MissingResponse, PageStream, PullRequest, PullResponse, PushRequest, PushResponse, Result, Scope,
    Traffic, Transport, VectorClock,
};
use synckit_testkit::transport_suite::{errors, hello, pull, push, subscribe};
use synckit_testkit::{CaseResult, HubEndpoint, TransportFixture, run};
use tokio::task::yield_now;

/// What is broken.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mutation {
    Nothing,
    // hello
    SaysOtherLimits,
    LosesTheCounter,
    LosesThePlaceOnRecord,
    KnowsEveryCursor,
    DropsWhatComesWithHello,
    AnswersForEveryVersion,
    LosesTheCallersStore,
    // push
    RereadsJson,
    LosesACharacter,
    CutsBytes,
    ForgetsDuplicates,
    LosesRefusals,
    CutsLargeBatches,
    SendsLargeBatchesByHalves,
    DropsEmptyPushes,
    ForgetsThePlaceBefore,
    ForgetsWhatIsKnown,
    MovesThePlaceAlways,
    ReordersAPush,
    SortsMissing,
    CutsMissing,
    // pull
    LosesTheCursor,
    SaysThereIsMore,
    DropsTheLastEventOfAPage,
    RepeatsAPage,
    IgnoresTheLimit,
    AsksForMore,
    ForgetsTheEnd,
    ReturnsTheCallersOwn,
    ForgetsTheScope,
    LosesAnId,
    IgnoresTheFilter,
    StaysWhereNothingMatches,
    StartsAgainAtAnUnknownCursor,
    DropsWhatIsTooLarge,
    FailsAPageForOneEvent,
    // errors
    ChangesAnErrorsKind,
    ChangesTheDelay,
    BreaksAfterAnError,
    PushesInTwoHalves,
    LosesAConnection,
    ClosesInTwoSteps,
    ServesTheLastClientOnly,
    MixesUpCallers,
    TrafficGoesBackwards,
    StaysOpenWhenClosed,
    // subscribe
    EndsAfterTheCatchUp,
    DropsTheIdsOfAStream,
    NeverForgetsASubscription,
    ReadsAhead,
    ReportsAnUnknownCursorInThePage,
}

use Mutation as M;

struct Mutant {
    inner: HubEndpoint,
    mutation: Mutation,
    closed: AtomicBool,
    broken: AtomicBool,
    connections: AtomicUsize,
    last: Mutex<Option<HelloRequest>>,
    /// The number of this client, and the number of clients.
    number: usize,
    clients: Arc<AtomicUsize>,
}

/// Returns whether an event is too large for clients by default.
fn is_too_large(event: &Event) -> bool {
    event.size() > Limits::default().event_bytes
}

impl Mutant {
    async fn begin(&self) -> Result<()> {
        if self.closed.load(Ordering::SeqCst) && self.mutation != M::StaysOpenWhenClosed {
            return Err(Error::new(ErrorKind::Closed, "the transport is closed"));
        }
        let last = self.clients.load(Ordering::SeqCst) == self.number;
        if self.broken.load(Ordering::SeqCst) || (self.mutation == M::ServesTheLastClientOnly && !last) {
            return Err(Error::new(ErrorKind::Unavailable, "the connection is broken"));
        }
        if self.mutation == M::LosesAConnection {
            if self.connections.fetch_add(1, Ordering::SeqCst) > 2 {
                return Err(Error::new(ErrorKind::Busy, "all connections are taken"));
            }
            yield_now().await;
            self.connections.fetch_sub(1, Ordering::SeqCst);
        }
        Ok(())
    }

    fn end<T>(&self, answer: Result<T>) -> Result<T> {
        answer.map_err(|error| match self.mutation {
            M::ChangesAnErrorsKind => Error::new(ErrorKind::Internal, error.message()),
            M::ChangesTheDelay if error.retry_after().is_some() => {
                error.with_retry_after(std::time::Duration::from_millis(7))
            }
            M::BreaksAfterAnError => {
                self.broken.store(true, Ordering::SeqCst);
                error
            }
            _ => error,
        })
    }

    fn distort(&self, events: &mut [Event]) {
        for event in events {
            match self.mutation {
                M::RereadsJson => {
                    if let Ok(value) = event.data.parse::<serde_json::Value>() {
                        event.data = Data::of(&value).expect("it was JSON");
                    }
                }
                M::LosesACharacter => {
                    if let Some(text) = event.data.as_json() {
                        event.data = Data::stored_json(text.replace('\u{fffe}', "\u{fffd}"));
                    }
                }
                M::CutsBytes if event.data.as_bytes().len() > 250_000 => event.clock = VectorClock::new(),
                _ => {}
            }
        }
    }
}

impl Transport for Mutant {
    async fn hello(&self, mut request: HelloRequest) -> Result<HelloResponse> {
        self.begin().await?;
        match self.mutation {
            M::AnswersForEveryVersion => request.protocol = synckit_core::PROTOCOL_VERSION,
            M::DropsWhatComesWithHello => request.ahead = None,
            M::LosesTheCallersStore => request.caller.store = synckit_core::StoreId::from_bytes([99; 16]),
            M::MixesUpCallers => {
                let mut last = self.last.lock().expect("nobody panics with it");
                request = last.replace(request.clone()).unwrap_or(request);
            }
            _ => {}
        }
        let mut answer = self.end(self.inner.hello(request).await)?;
        match self.mutation {
            M::SaysOtherLimits => answer.limits = Limits::default(),
            M::LosesTheCounter => answer.counter = 0,
            M::LosesThePlaceOnRecord => answer.pushed = None,
            M::KnowsEveryCursor => answer.all_held = true,
            _ => {}
        }
        Ok(answer)
    }

    async fn pull(&self, mut request: PullRequest) -> Result<PullResponse> {
        self.begin().await?;
        let asked = request.clone();
        match self.mutation {
            M::LosesTheCursor => request.cursor = None,
            M::IgnoresTheLimit => request.limit = None,
            M::ReturnsTheCallersOwn => request.caller.store = synckit_core::StoreId::from_bytes([98; 16]),
            M::ForgetsTheScope => request.scope = Scope::Others,
            M::ForgetsTheEnd => request.upto = None,
            M::IgnoresTheFilter => request.filter = Filter::new(),
            _ => {}
        }
        let mut answer = self.inner.pull(request.clone()).await;
        if let (M::StartsAgainAtAnUnknownCursor, Err(_)) = (self.mutation, &answer) {
            answer = self.inner.pull(PullRequest { cursor: None, ..request.clone() }).await;
        }
        let mut page = self.end(answer)?;
        match self.mutation {
            M::DropsTheLastEventOfAPage => drop(page.events.pop()),
            M::LosesAnId => drop(page.ids.pop()),
            M::DropsWhatIsTooLarge => page.events.retain(|event| !is_too_large(event)),
            M::FailsAPageForOneEvent if page.events.iter().any(is_too_large) => {
                return Err(Error::corrupt("the page has an event that cannot be read"));
            }
            M::SaysThereIsMore => page.more = true,
            M::RepeatsAPage if page.more => {
                page.events.extend(page.events.clone());
            }
            M::AsksForMore if !page.more && !page.events.is_empty() => {
                let next = PullRequest { cursor: Some(page.next.clone()), limit: None, ..request };
                page.events.extend(self.inner.pull(next).await?.events);
                page.events.extend(page.events.first().cloned());
            }
            M::StaysWhereNothingMatches if page.events.is_empty() => {
                page.next = asked.cursor.unwrap_or_else(|| Cursor::start(page.next.store()));
            }
            _ => {}
        }
        self.distort(&mut page.events);
        Ok(page)
    }

    async fn push(&self, mut request: PushRequest) -> Result<PushResponse> {
        self.begin().await?;
        self.distort(&mut request.events);
        match self.mutation {
            M::ReordersAPush => request.events.reverse(),
            M::ForgetsThePlaceBefore => request.from = None,
            M::ForgetsWhatIsKnown => request.known.clear(),
            M::CutsLargeBatches => request.events.truncate(500),
            M::DropsEmptyPushes if request.events.is_empty() => return Ok(PushResponse::default()),
            M::SendsLargeBatchesByHalves if request.events.len() > 10 && request.events.len() < 500 => {
                let half = PushRequest { events: request.events.split_off(5), ..request.clone() };
                self.inner.push(request).await?;
                return self.end(self.inner.push(half).await);
            }
            M::PushesInTwoHalves if request.events.len() > 1 => {
                let half = PushRequest { events: request.events.split_off(1), ..request.clone() };
                self.inner.push(request).await?;
                yield_now().await;
                return self.end(self.inner.push(half).await);
            }
            _ => {}
        }
        let (from, upto) = (request.from.clone(), request.upto.clone());
        let caller = request.caller.clone();
        let (filter, known) = (request.filter.clone(), request.known.clone());
        let mut answer = self.end(self.inner.push(request).await)?;
        match self.mutation {
            M::LosesRefusals => answer.refused.clear(),
            M::ForgetsDuplicates => answer.accepted += std::mem::take(&mut answer.duplicates),
            M::MovesThePlaceAlways => {
                self.inner
                    .push(PushRequest { caller, filter, from, upto, known, events: Vec::new() })
                    .await?;
            }
            _ => {}
        }
        Ok(answer)
    }

    async fn missing(&self, mut request: MissingRequest) -> Result<MissingResponse> {
        self.begin().await?;
        match self.mutation {
            M::CutsMissing => request.ids.truncate(900),
            M::ForgetsWhatIsKnown => request.known.clear(),
            _ => {}
        }
        let mut answer = self.end(self.inner.missing(request).await)?;
        if self.mutation == M::SortsMissing {
            answer.ids.sort();
        }
        Ok(answer)
    }

    async fn subscribe(&self, mut request: PullRequest) -> Result<PageStream> {
        self.begin().await?;
        match self.mutation {
            M::IgnoresTheFilter => request.filter = Filter::new(),
            M::LosesTheCursor => request.cursor = None,
            M::NeverForgetsASubscription if self.connections.fetch_add(1, Ordering::SeqCst) > 10 => {
                return Err(Error::new(ErrorKind::Busy, "all subscriptions are taken"));
            }
            _ => {}
        }
        let pages = match self.inner.subscribe(request).await {
            Err(error) if self.mutation == M::ReportsAnUnknownCursorInThePage => {
                return Ok(Box::pin(futures_util::stream::once(async { Err(error) })));
            }
            answer => self.end(answer)?,
        };
        Ok(match self.mutation {
            M::EndsAfterTheCatchUp => Box::pin(pages.take(3)),
            M::DropsTheIdsOfAStream => {
                Box::pin(pages.map(|page| page.map(|page| PullResponse { ids: Vec::new(), ..page })))
            }
            M::ReadsAhead => taken_at_once(pages),
            _ => pages,
        })
    }

    fn traffic(&self) -> Traffic {
        let less = self.connections.fetch_add(1, Ordering::SeqCst) as u64;
        match self.mutation {
            M::TrafficGoesBackwards => Traffic { sent: 1_000 - less, received: 1_000 - less },
            _ => Traffic::default(),
        }
    }

    async fn close(&self) -> Result<()> {
        if self.mutation == M::ClosesInTwoSteps {
            self.broken.store(true, Ordering::SeqCst);
            yield_now().await;
        }
        self.broken.store(false, Ordering::SeqCst);
        self.closed.store(true, Ordering::SeqCst);
        Ok(())
    }
}

/// Returns the same pages, all of them taken at once and kept for a reader that may be slow.
fn taken_at_once(mut pages: PageStream) -> PageStream {
    let (keep, kept) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(page) = pages.next().await
            && keep.send(page).is_ok()
        {}
    });
    Box::pin(futures_util::stream::unfold(kept, async |mut kept| Some((kept.recv().await?, kept))))
}

struct Fixture {
    mutation: Mutation,
    served: Mutex<Option<HubEndpoint>>,
    clients: Arc<AtomicUsize>,
}

impl Fixture {
    fn client(&self, endpoint: HubEndpoint) -> Mutant {
        Mutant {
            inner: endpoint,
            mutation: self.mutation,
            closed: AtomicBool::new(false),
            broken: AtomicBool::new(false),
            connections: AtomicUsize::new(0),
            last: Mutex::new(None),
            number: self.clients.fetch_add(1, Ordering::SeqCst) + 1,
            clients: self.clients.clone(),
        }
    }
}

impl TransportFixture for Fixture {
    type Transport = Mutant;

    async fn connect(&self, endpoint: HubEndpoint) -> Result<Mutant> {
        *self.served.lock().expect("nobody panics with it") = Some(endpoint.clone());
        Ok(self.client(endpoint))
    }

    async fn connect_again(&self) -> Result<Option<Mutant>> {
        let served = self.served.lock().expect("nobody panics with it").clone();
        Ok(served.map(|endpoint| self.client(endpoint)))
    }
}

type Case = fn(Fixture) -> Pin<Box<dyn Future<Output = CaseResult>>>;

/// Returns whether the case passes for a transport with this mutation.
fn passes(test: &'static str, mutation: Mutation, case: Case) -> bool {
    let fixture = Fixture { mutation, served: Mutex::new(None), clients: Arc::default() };
    std::thread::spawn(move || run(test, case(fixture))).join().is_ok()
}

macro_rules! mutants {
    ($($name:ident: $mutation:ident is caught by $module:ident::$case:ident;)*) => {
        $(#[test]
        fn $name() {
            let case: Case = |fixture| Box::pin(async move { $module::$case(&fixture).await });
            let test = concat!(module_path!(), "::", stringify!($name));
            assert!(passes(test, Mutation::Nothing, case), "the case fails for a transport that is right");
            assert!(!passes(test, Mutation::$mutation, case), "the case does not notice");
        })*

        /// A case that no broken transport fails might as well be empty.
        #[test]
        fn every_case_catches_a_transport() {
            let caught = [$(concat!(stringify!($module), ": ", stringify!($case))),*];
            let suite = include_str!("../src/transport_suite/mod.rs").lines().map(str::trim);
            let listed = |line: &'static str| {
                let (rule, case) = line.strip_suffix(';')?.split_once(' ')?;
                rule.parse::<u8>().ok().map(|_| case)
            };
            let cases: Vec<_> = suite.filter_map(listed).collect();
            assert!(cases.len() > 40, "the list of cases is not where it was");
            for case in cases {
                assert!(caught.contains(&case), "no transport is caught by {case}");
            }
        }
    };
}

mutants! {
    other_limits: SaysOtherLimits is caught by hello::the_hub_says_who_it_is;
    no_counter: LosesTheCounter is caught by hello::the_counter_of_the_caller_is_known;
    no_place: LosesThePlaceOnRecord is caught by hello::what_was_pushed_is_known;
    every_cursor: KnowsEveryCursor is caught by hello::a_cursor_is_known_or_not;
    hello_alone: DropsWhatComesWithHello is caught by hello::events_come_with_it_where_all_is_as_expected;
    every_version: AnswersForEveryVersion is caught by hello::another_protocol_is_unsupported;
    another_store: LosesTheCallersStore is caught by hello::the_same_replica_on_both_sides_is_a_conflict;
    reread_push: RereadsJson is caught by push::events_arrive_byte_for_byte;
    reordered: ReordersAPush is caught by push::events_arrive_byte_for_byte;
    character_pushed: LosesACharacter is caught by push::every_character_arrives;
    no_duplicates: ForgetsDuplicates is caught by push::pushing_twice_is_pushing_once;
    no_refusals: LosesRefusals is caught by push::one_bad_event_of_eleven_is_refused_by_its_id;
    large_pushed: CutsBytes is caught by push::the_largest_event_arrives;
    half_a_batch: CutsLargeBatches is caught by push::a_full_batch_arrives;
    two_batches: SendsLargeBatchesByHalves is caught by push::a_batch_above_the_limit_is_too_large;
    no_empty_push: DropsEmptyPushes is caught by push::an_empty_push_moves_the_place_on_record;
    place_always:
        MovesThePlaceAlways is caught by push::a_push_with_refusals_does_not_move_the_place_on_record;
    no_place_before:
        ForgetsThePlaceBefore is caught by push::a_push_from_another_place_than_is_on_record_is_not_stored;
    nothing_known:
        ForgetsWhatIsKnown is caught by push::a_push_that_knows_a_place_that_is_gone_is_not_stored;
    nothing_known_of_missing:
        ForgetsWhatIsKnown is caught by push::nobody_is_told_what_is_missing_after_a_place_that_is_gone;
    sorted_missing: SortsMissing is caught by push::missing_events_are_named_in_order;
    cut_missing: CutsMissing is caught by push::asking_for_too_many_is_too_large;
    stuck: StaysWhereNothingMatches is caught by pull::a_filter_that_passes_nothing_moves_on;
    starts_again: StartsAgainAtAnUnknownCursor is caught by pull::a_cursor_of_another_log_is_unknown;
    unreadable_lost: DropsWhatIsTooLarge is caught by pull::an_unreadable_event_does_not_spoil_its_page;
    unreadable_fails: FailsAPageForOneEvent is caught by pull::an_unreadable_event_does_not_spoil_its_page;
    more_of_nothing: SaysThereIsMore is caught by pull::an_empty_log;
    reread_pull: RereadsJson is caught by pull::events_come_byte_for_byte;
    character_pulled: LosesACharacter is caught by pull::every_character_comes;
    large_pulled: CutsBytes is caught by pull::the_largest_events_come_page_by_page;
    page_drops: DropsTheLastEventOfAPage is caught by pull::pages_end_at_the_limit;
    page_repeats: RepeatsAPage is caught by pull::pages_end_at_the_limit;
    no_limit: IgnoresTheLimit is caught by pull::pages_end_at_the_limit;
    beyond_the_limit: AsksForMore is caught by pull::a_limit_above_the_hubs_is_the_hubs;
    beyond_the_end: ForgetsTheEnd is caught by pull::a_pull_ends_where_it_is_told_to;
    no_cursor: LosesTheCursor is caught by pull::a_cursor_resumes;
    own_events: ReturnsTheCallersOwn is caught by pull::events_of_the_caller_are_left_out;
    lost_id: LosesAnId is caught by pull::ids_of_what_came_from_some_stores_are_listed;
    no_scope: ForgetsTheScope is caught by pull::named_events_are_sent_whoever_brought_them;
    no_filter: IgnoresTheFilter is caught by pull::filters_pass_what_they_name;
    other_kind: ChangesAnErrorsKind is caught by errors::the_kind_of_every_error_survives;
    other_delay: ChangesTheDelay is caught by errors::the_time_of_the_next_try_survives;
    broken_by_an_error: BreaksAfterAnError is caught by errors::the_hub_goes_on_after_an_error;
    half_a_push: PushesInTwoHalves is caught by errors::a_dropped_push_is_whole_or_absent;
    lost_connection: LosesAConnection is caught by errors::dropped_calls_do_no_harm;
    half_closed: ClosesInTwoSteps is caught by errors::a_dropped_close_is_whole_or_absent;
    one_client: ServesTheLastClientOnly is caught by errors::two_clients_at_once;
    mixed_up: MixesUpCallers is caught by errors::many_calls_at_once;
    traffic: TrafficGoesBackwards is caught by errors::traffic_only_grows;
    never_closed: StaysOpenWhenClosed is caught by errors::a_closed_transport_says_so;
    not_live: EndsAfterTheCatchUp is caught by subscribe::it_catches_up_then_goes_on;
    dropped: NeverForgetsASubscription is caught by subscribe::a_dropped_subscription_does_no_harm;
    unlisted: DropsTheIdsOfAStream is caught by subscribe::it_lists_what_came_from_the_caller;
    subscribed_again: LosesTheCursor is caught by subscribe::it_resumes_by_its_cursor;
    reconnected: LosesTheCursor is caught by subscribe::reconnecting_with_the_cursor_misses_nothing;
    read_ahead: ReadsAhead is caught by subscribe::a_slow_reader_is_waited_for;
    subscribed_to_all: IgnoresTheFilter is caught by subscribe::it_filters;
    unknown_in_a_page:
        ReportsAnUnknownCursorInThePage is caught by
        subscribe::a_cursor_of_another_log_is_unknown_at_the_start;
}
