//! Conditions.

use wasmproc_test_artifacts::programs;

use super::scenarios;

scenarios!(
    programs::CONDITIONS;
    a_notification_wakes_as_many_as_told,
    a_notification_for_nobody_is_not_kept,
    a_wait_that_times_out_holds_the_lock_again,
    a_wait_with_a_time_out_says_that_it_was_notified,
    who_has_waited_in_vain_takes_no_notification_from_others,
    a_wait_without_the_lock_is_refused,
    a_wait_with_another_lock_is_refused,
    wait_for_ends_when_its_predicate_holds,
    wait_for_with_a_time_out_says_whether_it_holds,
    a_reentrant_lock_is_given_back_whole_and_taken_again_whole,
    conditions_with_one_lock_wake_their_own_waiters,
    a_condition_hands_a_turn_back_and_forth,
);
