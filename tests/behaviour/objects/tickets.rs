//! How objects of all kinds come to other processes, and how they don't: at a start, by id, by ticket.

use wasmproc_test_artifacts::programs;

use super::scenarios;

scenarios!(
    programs::GRANTS;
    objects_of_all_kinds_are_passed_to_a_child_at_its_start,
    objects_of_all_kinds_are_sent_in_a_message,
    objects_of_all_kinds_are_made_by_a_child_and_sent_to_its_parent,
    objects_of_all_kinds_pass_through_three_generations,
    an_object_comes_to_a_process_that_is_no_relative,
    an_object_that_comes_again_is_the_same,
    ids_are_names_and_not_rights,
    forged_ids_are_denied,
    granted_objects_are_opened_by_their_ids,
    an_object_of_another_kind_is_invalid,
    a_wrong_guess_at_its_kind_loses_no_object,
    a_child_gets_only_what_its_parent_has,
    a_dropped_object_is_not_had_any_more,
    a_ticket_is_redeemed_once,
    a_ticket_is_good_for_its_own_queue_only,
    a_forged_ticket_is_denied,
    a_ticket_for_what_one_does_not_have_is_denied,
    a_ticket_keeps_its_object_alive,
    a_ticket_of_a_pipe_is_redeemed_at_the_other_end,
    ten_thousand_tickets_are_on_their_way_and_no_more,
    objects_travel_only_where_they_can_be_granted,
);
