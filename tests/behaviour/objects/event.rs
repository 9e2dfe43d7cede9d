//! Events.

use wasmproc_test_artifacts::programs;

use super::scenarios;

scenarios!(
    programs::EVENTS;
    setting_an_event_lets_all_go_and_those_who_come_later,
    a_cleared_event_is_waited_for_again,
    who_waits_goes_on_although_it_is_cleared_at_once,
    an_event_is_waited_for_as_long_as_told,
    an_event_set_by_a_process_that_has_ended_stays_set,
);
