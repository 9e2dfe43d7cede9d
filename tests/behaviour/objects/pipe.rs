//! Pipes and their ends.

use wasmproc_test_artifacts::programs;

use super::scenarios;

scenarios!(
    programs::PIPES;
    boundaries_of_messages_are_kept,
    a_duplex_pipe_carries_questions_and_answers,
    messages_of_every_length_come_as_they_were,
    the_longest_message_comes_and_a_longer_one_is_refused,
    an_end_of_a_one_way_pipe_goes_one_way,
    a_full_pipe_is_waited_for_as_long_as_told,
    an_empty_pipe_is_waited_for_as_long_as_told,
    poll_tells_of_messages_and_of_the_end,
    closing_for_sending_leaves_the_other_direction,
    a_dropped_end_is_the_end_of_the_stream_for_the_other,
    however_its_sender_ends_what_was_sent_is_read,
    sending_to_a_dead_receiver_is_refused,
    a_waiting_sender_learns_that_its_receiver_is_dead,
    a_waiting_receiver_learns_that_its_sender_is_dead,
    an_end_that_was_moved_to_a_child_is_not_ours_any_more,
    an_end_that_was_moved_in_a_message_is_not_ours_any_more,
    an_end_travels_from_hand_to_hand,
    either_end_of_a_one_way_pipe_travels_through_a_pipe,
    an_end_comes_back_from_where_it_was_moved,
    dropping_the_handle_of_a_moved_end_closes_nothing,
    an_end_is_open_only_once,
    an_end_that_is_lost_with_its_message_is_closed,
    sizes_that_are_out_of_bounds_are_invalid,
);
