//! Chaos on a small scale: kills at any moment, after each of which everything is looked at. `chaos` does it at length.

use wasmproc_test_artifacts::programs;

use super::scenarios;

scenarios!(
    programs::KILLS;
    kills_amid_puts_lose_tear_and_double_nothing,
    kills_amid_gets_lose_tear_and_double_nothing,
    kills_amid_critical_sections_are_told_and_exclude_nobody,
    kills_amid_permits_conserve_them,
);
