//! Barriers.

use wasmproc_test_artifacts::programs;

use super::scenarios;

scenarios!(
    programs::BARRIERS;
    all_go_when_the_last_has_come_and_each_has_a_place,
    a_thousand_passes_keep_everybody_together,
    aborting_breaks_it_until_it_is_reset,
    resetting_breaks_the_round_and_not_the_barrier,
    a_time_out_breaks_it_for_all,
    a_broken_barrier_can_be_used_again_after_a_reset,
    a_barrier_for_one_is_passed_at_once,
    a_process_that_returns_or_lets_go_does_not_break_it,
    numbers_of_parties_that_are_out_of_bounds_are_invalid,
);
