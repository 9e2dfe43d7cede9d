//! Shared values and arrays.

use wasmproc_test_artifacts::programs;

use super::scenarios;

scenarios!(
    programs::SHARED_MEMORY;
    adding_from_many_processes_loses_nothing,
    numbers_with_a_point_are_added_whole,
    an_exchange_has_one_winner,
    an_element_wraps_and_leaves_its_neighbours_alone,
    a_child_changes_a_number_of_every_type,
    an_array_begins_with_zeros_whatever_was_there_before,
    ranges_are_written_here_and_read_there,
    an_array_outlives_its_maker,
    ranges_behind_the_end_are_refused,
    an_index_behind_the_end_traps,
    a_plain_number_that_is_no_array_traps,
    lengths_that_are_out_of_bounds_are_invalid,
    much_is_not_read_at_once,
);
