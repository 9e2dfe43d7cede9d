//! What surrounds the user's main function.

use std::process::{ExitCode, Termination};

use crate::{exit, panic};

/// Runs `main` and passes its exit code to the host.
pub fn run<T: Termination>(main: impl FnOnce() -> T) -> ExitCode {
    panic::report_to_host();
    // Prints an error if that is what main returned.
    match number(main().report()) {
        0 => ExitCode::SUCCESS,
        // Returning it would make it a 1: `wasi:cli/run` knows only success and failure.
        code => exit(code),
    }
}

/// The number in an exit code: std can make an `ExitCode` from a number and compare two, but not give the number back.
fn number(code: ExitCode) -> u8 {
    (0..=u8::MAX).find(|&number| ExitCode::from(number) == code).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_exit_code_is_found_again() {
        for expected in 0..=u8::MAX {
            assert_eq!(number(ExitCode::from(expected)), expected);
        }
        assert_eq!(number(ExitCode::FAILURE), 1);
    }

    #[test]
    fn an_error_from_main_is_code_1() {
        assert_eq!(number(Err::<(), _>("out of flour").report()), 1);
    }
}
