//! Tests the store suite: each store that is broken on purpose is caught by the case that is about it.
//!
//! The broken stores for the cases of `process` are in `tests/process_mutants.rs`.

mod store;

use std::future::Future;
use std::pin::Pin;

use store::{Kept, Mutation};
use synckit_testkit::store_suite::{
    adopt, commit, conflicts, drops, log, marks, notes, read, receive, record, renew, renumber, reopen,
    restamp, views,
};
use synckit_testkit::{CaseResult, run};

type Case = fn(Kept) -> Pin<Box<dyn Future<Output = CaseResult>>>;

/// Returns whether the case passes for a store with this mutation.
fn passes(test: &'static str, mutation: Mutation, case: Case) -> bool {
    std::thread::spawn(move || run(test, case(Kept::new(mutation)))).join().is_ok()
}

macro_rules! mutants {
    ($($name:ident: $mutation:ident is caught by $module:ident::$case:ident;)*) => {
        $(#[test]
        fn $name() {
            let case: Case = |fixture| Box::pin(async move { $module::$case(&fixture).await });
            let test = concat!(module_path!(), "::", stringify!($name));
            assert!(passes(test, Mutation::Nothing, case), "the case fails for a store that is right");
            assert!(!passes(test, Mutation::$mutation, case), "the case does not notice");
        })*

        /// A case that no broken store fails might as well be empty.
        #[test]
        fn every_case_catches_a_store() {
            let caught = [$(concat!(stringify!($module), ": ", stringify!($case))),*];
            let suite = include_str!("../../src/store_suite/mod.rs").lines().map(str::trim);
            let listed = |line: &'static str| {
                let (rule, case) = line.strip_suffix(';')?.split_once(' ')?;
                rule.parse::<u8>().ok().map(|_| case)
            };
            let cases: Vec<_> = suite.filter_map(listed).collect();
            assert!(cases.len() > 70, "the list of cases is not where it was");
            for case in cases.into_iter().filter(|case| !case.starts_with("process: ")) {
                assert!(caught.contains(&case), "no store is caught by {case}");
            }
        }
    };
}

mutants! {
    forgets_notes_planner:
        KeepsTheLastFacts is caught by commit::any_planner_asks_in_rounds_and_gets_its_own_outcome;
    loses_deletes_views: LosesDeletes is caught by views::a_view_shows_what_stands;
    never_wakes: NeverWakes is caught by commit::growth_wakes_whoever_waits;
    wakes_for_nothing: WakesForNothing is caught by commit::nobody_is_woken_before_the_log_grows;
    forgets_counters_adopt:
        ForgetsCounters is caught by adopt::events_are_stamped_in_the_name_of_their_author;
    forgets_heads_adopt:
        ForgetsHeads is caught by adopt::what_was_not_seen_is_concurrent_and_what_was_seen_is_not;
    forgets_what_was_seen: ForgetsWhatWasSeen is caught by adopt::what_was_seen_once_stays_seen;
    forgets_a_duplicate_adopt: ForgetsADuplicate is caught by adopt::adopting_twice_is_adopting_once;
    loses_the_last_event_adopt:
        LosesTheLastEventOfABatch is caught by adopt::one_bad_event_does_not_stop_the_rest;
    forgets_counters_adopt_name: ForgetsCounters is caught by adopt::a_name_that_is_taken_is_not_written_under;
    forgets_what_was_seen_adopt_renewal:
        ForgetsWhatWasSeen is caught by adopt::a_renewal_of_the_store_renames_whom_it_adopts;
    loses_the_identity_adopt_back:
        LosesTheIdentity is caught by adopt::an_adopted_event_that_comes_back_renames;
    scans_no_further_than_the_head: ScansNoFurtherThanTheHead is caught by log::an_empty_log;
    loses_the_last_event_of_a_batch_recorded_events_come_back_byte_for_byte: LosesTheLastEventOfABatch is caught by log::recorded_events_come_back_byte_for_byte;
    loses_the_last_event_of_a_batch_foreign_events_come_back_byte_for_byte: LosesTheLastEventOfABatch is caught by log::foreign_events_come_back_byte_for_byte;
    loses_the_last_event_of_a_batch_receive: LosesTheLastEventOfABatch is caught by receive::a_stamp_that_contradicts_itself_is_refused;
    rereads_json: RereadsJson is caught by log::recorded_events_come_back_byte_for_byte;
    forgets_the_source: ForgetsTheSource is caught by log::the_source_of_every_event_is_kept;
    leaves_a_gap: LeavesAGap is caught by log::positions_count_from_one_without_gaps;
    folds_the_aggregate: FoldsTheAggregate is caught by log::names_that_differ_little_are_different;
    loses_a_character: LosesACharacter is caught by log::every_character_survives;
    cuts_clocks: CutsClocks is caught by log::a_clock_of_a_thousand_nodes_survives;
    caps_a_commit: CapsACommit is caught by log::ten_thousand_events_in_one_commit;
    forgets_counters_record: ForgetsCounters is caught by record::events_are_stamped;
    believes_the_caller_renumber: BelievesTheCaller is caught by renumber::a_log_that_moved_on_is_left_alone;
    believes_the_caller_renew: BelievesTheCaller is caught by renumber::a_renewal_is_for_the_id_it_names;
    forgets_heads_record: ForgetsHeads is caught by record::an_effect_is_later_than_its_cause;
    forgets_heads_concurrent_events_are_a_conflict: ForgetsHeads is caught by conflicts::concurrent_events_are_a_conflict;
    forgets_heads_what_was_seen_is_no_head: ForgetsHeads is caught by conflicts::what_was_seen_is_no_head;
    forgets_heads_the_wall_clock_may_go_backwards: ForgetsHeads is caught by record::the_wall_clock_may_go_backwards;
    forgets_heads_a_restamp_waits_for_its_event: ForgetsHeads is caught by receive::a_restamp_waits_for_its_event;
    forgets_heads_a_time_far_ahead: ForgetsHeads is caught by receive::a_time_far_ahead_is_stored_and_lifts_no_other_aggregate;
    forgets_the_limits_one_bad_event_stops_the_whole_record: ForgetsTheLimits is caught by record::one_bad_event_stops_the_whole_record;
    forgets_the_limits_the_largest_event_and_one_byte_more: ForgetsTheLimits is caught by record::the_largest_event_and_one_byte_more;
    forgets_the_limits_receive: ForgetsTheLimits is caught by receive::too_large_is_refused_and_the_rest_accepted;
    forgets_a_duplicate_recording_twice_is_recording_once: ForgetsADuplicate is caught by record::recording_twice_is_recording_once;
    forgets_a_duplicate_an_id_names_one_content: ForgetsADuplicate is caught by record::an_id_names_one_content;
    forgets_a_duplicate_receiving_twice_changes_nothing: ForgetsADuplicate is caught by receive::receiving_twice_changes_nothing;
    forgets_a_duplicate_an_id_that_is_taken_is_refused_and_the_rest_accepted: ForgetsADuplicate is caught by receive::an_id_that_is_taken_is_refused_and_the_rest_accepted;
    allows_one_byte_less_record: AllowsOneByteLess is caught by record::the_largest_event_and_one_byte_more;
    allows_one_byte_less_receive: AllowsOneByteLess is caught by receive::the_largest_event_is_accepted_and_one_byte_more_refused;
    believes_the_caller: BelievesTheCaller is caught by record::a_wrong_guess_of_the_author_is_put_right;
    writes_an_event_twice_an_event_twice_in_one_batch: WritesAnEventTwice is caught by receive::an_event_twice_in_one_batch;
    writes_an_event_twice_a_forked_dot_within_one_batch: WritesAnEventTwice is caught by receive::a_forked_dot_within_one_batch_gets_an_alias;
    forgets_dots_receive: ForgetsDots is caught by receive::a_forked_dot_gets_an_alias_and_nothing_is_refused;
    forgets_dots_commit: ForgetsDots is caught by commit::asking_tells_what_is_there;
    never_sets_aside: NeverSetsAside is caught by receive::refused_events_are_set_aside;
    writes_notes_only_with_events: WritesNotesOnlyWithEvents is caught by receive::notes_are_written_with_the_events;
    puts_on_record_always: PutsOnRecordAlways is caught by receive::what_is_on_record_waits_for_a_batch_without_refusals;
    forgets_what_is_on_record: ForgetsWhatIsOnRecord is caught by receive::what_is_on_record_moves_only_from_where_it_is;
    loses_the_identity_an_own_event: LosesTheIdentity is caught by receive::an_own_event_that_is_not_held_renews_the_store;
    loses_the_identity_a_clock: LosesTheIdentity is caught by receive::a_clock_that_knows_more_of_the_own_name_renews_the_store;
    loses_deletes_recording_on_all_heads_settles_it: LosesDeletes is caught by conflicts::recording_on_all_heads_settles_it;
    loses_deletes_a_resolution_settles_it_and_is_one_event: LosesDeletes is caught by conflicts::a_resolution_settles_it_and_is_one_event;
    loses_deletes_notes: LosesDeletes is caught by notes::put_read_delete;
    skips_an_event_between_pages_pages_end_at_the_limit_of_events: SkipsAnEventBetweenPages is caught by read::pages_end_at_the_limit_of_events;
    skips_an_event_between_pages_any_query_finds_what_a_model_finds: SkipsAnEventBetweenPages is caught by read::any_query_finds_what_a_model_finds;
    pages_hold_one_event_too_many: PagesHoldOneEventTooMany is caught by read::pages_end_at_the_limit_of_events;
    pages_hold_one_event_at_least: PagesHoldOneEventAtLeast is caught by read::a_page_of_one_event_and_of_none;
    pages_ignore_bytes: PagesIgnoreBytes is caught by read::pages_end_at_the_limit_of_bytes;
    stays_empty_when_an_event_is_too_large: StaysEmptyWhenAnEventIsTooLarge is caught by read::an_event_larger_than_the_page_still_comes;
    ignores_the_aggregate: IgnoresTheAggregate is caught by read::an_aggregate_is_read_alone;
    reads_the_first_aggregate: ReadsTheFirstAggregate is caught by read::aggregates_are_read_together;
    ignores_the_source: IgnoresTheSource is caught by read::one_source_is_left_out;
    misnames_the_end_of_a_page: MisnamesTheEndOfAPage is caught by read::a_page_names_the_marks_at_its_ends;
    forgets_notes_under_a_prefix: ForgetsNotesUnderAPrefix is caught by commit::asking_tells_what_is_there;
    pages_never_move_on: PagesNeverMoveOn is caught by read::a_page_without_matches_moves_on;
    keeps_the_first_value: KeepsTheFirstValue is caught by notes::the_last_value_counts;
    answers_keys_as_asked: AnswersKeysAsAsked is caught by notes::keys_are_answered_sorted_and_once;
    pages_of_notes_repeat_their_first: PagesOfNotesRepeatTheirFirst is caught by notes::a_prefix_is_read_in_pages;
    prefixes_fold_case: PrefixesFoldCase is caught by notes::a_prefix_ends_where_it_ends;
    sorts_notes_backwards: SortsNotesBackwards is caught by notes::keys_are_sorted_by_their_bytes;
    trims_keys: TrimsKeys is caught by notes::keys_of_any_characters;
    cuts_long_values: CutsLongValues is caught by notes::values_of_any_bytes;
    commits_in_two_halves_notes: CommitsInTwoHalves is caught by notes::notes_of_one_commit_change_together;
    commits_in_two_halves_commit: CommitsInTwoHalves is caught by commit::readers_see_only_prefixes;
    commits_in_two_halves_a_dropped_record_is_whole_or_absent: CommitsInTwoHalves is caught by drops::a_dropped_record_is_whole_or_absent;
    commits_in_two_halves_a_dropped_edit_is_whole_or_absent: CommitsInTwoHalves is caught by drops::a_dropped_edit_is_whole_or_absent;
    commits_in_two_halves_a_dropped_renumber_is_whole_or_absent: CommitsInTwoHalves is caught by drops::a_dropped_renumber_is_whole_or_absent;
    commits_the_checkpoint_first_commit: CommitsTheCheckpointFirst is caught by commit::a_plan_that_is_refused_changes_nothing;
    commits_the_checkpoint_first_drops: CommitsTheCheckpointFirst is caught by drops::a_dropped_receive_is_whole_or_absent;
    plans_before_its_turn_concurrent_records_get_distinct_dots: PlansBeforeItsTurn is caught by commit::concurrent_records_get_distinct_dots;
    plans_before_its_turn_an_event_received_many_times_at_once_is_stored_once: PlansBeforeItsTurn is caught by commit::an_event_received_many_times_at_once_is_stored_once;
    plans_before_its_turn_reopen: PlansBeforeItsTurn is caught by reopen::two_handles_write_one_log;
    stays_open_when_closed: StaysOpenWhenClosed is caught by commit::a_closed_store_says_so;
    loses_a_connection: LosesAConnection is caught by drops::dropped_reads_do_no_harm;
    empties_when_closing: EmptiesWhenClosing is caught by drops::a_dropped_close_leaves_the_log_whole;
    loses_restamps_events_get_dots_of_an_unused_name: LosesRestamps is caught by renumber::events_get_dots_of_an_unused_name;
    loses_restamps_events_far_ahead_get_the_right_time: LosesRestamps is caught by renumber::events_far_ahead_get_the_right_time;
    loses_restamps_receive: LosesRestamps is caught by receive::an_event_with_two_stamps_takes_the_greater;
    loses_restamps_reopen: LosesRestamps is caught by reopen::what_was_renumbered_survives_closing;
    restamps_one_by_one: RestampsOneByOne is caught by restamp::a_dot_that_is_given_up_is_taken_in_the_same_commit;
    restamps_lose_the_source: RestampsLoseTheSource is caught by restamp::a_dot_that_is_given_up_is_taken_in_the_same_commit;
    restamps_leave_the_index_of_sources: RestampsLeaveTheIndexOfSources is caught by restamp::a_dot_that_is_given_up_is_taken_in_the_same_commit;
    keeps_marks: KeepsMarks is caught by restamp::an_event_may_get_another_id_in_its_place;
    keeps_ids: KeepsIds is caught by restamp::an_event_may_get_another_id_in_its_place;
    cuts_histories: CutsHistories is caught by restamp::asking_tells_whole_histories;
    marks_each_event: MarksEachEvent is caught by marks::a_commit_gives_one_mark_to_what_it_appends;
    cuts_marks: CutsMarks is caught by marks::a_commit_gives_one_mark_to_what_it_appends;
    forgets_the_mark_of_the_head: ForgetsTheMarkOfTheHead is caught by marks::the_head_has_the_mark_of_the_last_event;
    forgets_late_places: ForgetsLatePlaces is caught by marks::asking_tells_the_marks_at_places;
    forgets_marks_when_reopened: ForgetsMarksWhenReopened is caught by marks::marks_survive_closing;
    derives_in_the_name_of_the_source: DerivesInTheNameOfTheSource is caught by marks::what_is_derived_here_has_no_source;
    keeps_its_id: KeepsItsId is caught by renew::every_handle_goes_by_the_new_id;
    remembers_the_id_it_was_opened_with: RemembersTheIdItWasOpenedWith is caught by renew::every_handle_goes_by_the_new_id;
    takes_a_new_id_when_reopened_renew: TakesANewIdWhenReopened is caught by renew::a_new_id_survives_closing;
    forgets_what_it_held_what_was_acknowledged_survives_closing: ForgetsWhatItHeld is caught by reopen::what_was_acknowledged_survives_closing;
    forgets_what_it_held_what_was_acknowledged_survives_a_crash: ForgetsWhatItHeld is caught by reopen::what_was_acknowledged_survives_a_crash;
    forgets_notes_when_reopened_what_was_acknowledged_survives_closing: ForgetsNotesWhenReopened is caught by reopen::what_was_acknowledged_survives_closing;
    forgets_notes_when_reopened_counters_and_time_go_on: ForgetsNotesWhenReopened is caught by reopen::counters_and_time_go_on;
    opens_for_any_node: OpensForAnyNode is caught by reopen::the_log_belongs_to_one_node;
    takes_a_new_id_when_reopened: TakesANewIdWhenReopened is caught by reopen::cursors_stay_known;
}
