//! Semaphores, bounded ones and signals.

use wasmproc_test_artifacts::programs;

use super::scenarios;

scenarios!(
    programs::SEMAPHORES;
    there_are_never_more_inside_than_permits,
    a_permit_is_waited_for_as_long_as_told,
    a_bounded_semaphore_takes_no_permit_that_was_not_acquired,
    a_bounded_semaphore_takes_no_permit_of_another_process,
    permits_belong_to_the_process_and_not_to_a_handle,
    a_signal_is_raised_by_anybody_and_taken_by_anybody,
    a_signal_of_several_lets_as_many_go,
    a_signal_does_not_overflow,
    numbers_of_permits_that_are_out_of_bounds_are_invalid,
);
