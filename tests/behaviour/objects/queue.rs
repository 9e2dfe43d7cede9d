//! Queues of bytes and of values.

use wasmproc_test_artifacts::programs;

use super::scenarios;

scenarios!(
    programs::QUEUES;
    messages_of_many_to_many_come_whole_once_and_in_order,
    messages_of_every_length_come_as_they_were,
    the_longest_message_comes_and_a_longer_one_is_refused,
    a_full_queue_is_waited_for_as_long_as_told,
    a_ring_is_full_by_bytes_too,
    an_empty_queue_is_waited_for_as_long_as_told,
    what_was_put_outlives_its_producer,
    what_a_parent_and_then_its_child_put_comes_in_that_order,
    a_value_that_cannot_be_serialised_leaves_the_queue_as_it_was,
    closing_sends_waiting_getters_home_at_once,
    closing_sends_waiting_putters_home_and_getters_drain,
    len_and_is_full_tell_what_is_queued,
    many_go_in_one_call,
    many_that_have_no_room_together_wait_for_it,
    many_with_a_time_out_tell_how_many_went,
    malformed_batches_are_refused,
    join_waits_until_all_is_dealt_with,
    join_of_an_unused_queue_does_not_wait,
    join_of_a_closed_queue_waits_for_what_is_left,
    a_task_is_done_once_and_by_its_taker,
    join_says_once_that_a_taker_has_died,
    a_message_of_another_type_is_an_error,
    sizes_that_are_out_of_bounds_are_invalid,
);
