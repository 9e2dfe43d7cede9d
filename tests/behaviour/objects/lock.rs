//! Locks, plain and re-entrant.

use wasmproc_test_artifacts::programs;

use super::scenarios;

scenarios!(
    programs::LOCKS;
    a_lock_excludes_other_processes,
    a_lock_made_by_a_child_excludes_its_parent,
    a_held_lock_is_waited_for_as_long_as_told,
    a_held_lock_looks_held_to_its_holder_and_to_others,
    waiters_get_a_released_lock_one_after_the_other,
    a_plain_lock_that_its_process_holds_is_a_deadlock_at_once,
    a_reentrant_lock_is_free_after_as_many_releases_as_acquisitions,
    two_holders_in_one_process_exclude_each_other,
    releasing_a_lock_that_is_not_held_is_refused,
    releasing_a_lock_twice_is_refused,
    releasing_the_lock_of_another_is_refused,
    dropping_a_handle_that_holds_releases_the_lock,
    a_plain_number_that_is_no_lock_traps,
);
