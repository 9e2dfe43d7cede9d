//! Writes lines until stdout refuses them, and says on stderr with which error.

use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut stdout = std::io::stdout();
    loop {
        if let Err(error) = stdout.write_all(b"y\n") {
            eprintln!("stdout refused: {error}");
            return ExitCode::FAILURE;
        }
    }
}
