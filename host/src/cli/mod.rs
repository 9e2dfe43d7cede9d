//! The command line: one module per command, this one the table of them.

mod cache;
mod compile;
mod completions;
mod doctor;
mod inspect;
mod new;
mod report;
mod run;
mod signals;
mod stderr;
mod surroundings;
mod terminal;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::cause::exit_code;
use crate::probe;

/// Run WebAssembly components as sandboxed operating-system processes.
#[derive(Debug, Parser)]
#[command(name = "wasmproc", version, max_term_width = 100, after_help = EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  wasmproc run task.wasm one two        run a program that may use nothing but its standard streams
  wasmproc run --dir data::/data:ro --timeout 5s task.wasm
  wasmproc inspect task.wasm            what it imports and exports, and what it will want
  wasmproc new hello                    make a guest project in Rust
  wasmproc doctor                       what this machine has of the sandbox

Exit codes of run: the guest's own (0-255); 124 time limit; 125 wasmproc failed; 126 the file can't be
run; 127 no such file; 134 trap; 128+N killed by signal N (137 memory limit or killed, 152 processor
time, 159 denied system call). --report tells apart what a guest's own code could imitate.";

#[derive(Debug, Subcommand)]
enum Command {
    Run(Box<run::Run>),
    Compile(compile::Compile),
    Inspect(inspect::Inspect),
    Cache(cache::CacheCommand),
    New(new::New),
    Doctor(doctor::Doctor),
    #[command(hide = true)]
    Attempt(doctor::Attempt),
    Completions(completions::Completions),
    Man(completions::Man),
}

/// Settles this process in its surroundings, and forks init's doorstep ahead if this is `wasmproc run`. Call it first in
/// `main`, before [`crate::init`].
pub fn fork_ahead() {
    surroundings::settle();
    crate::role::fork_ahead();
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    if probe::sentinel(std::env::args_os().nth(1).as_deref()) {
        return ExitCode::SUCCESS;
    }
    crate::allocator::on_lack(|| {
        terminal::complain("no memory is left");
        std::process::exit(exit_code::WASMPROC_FAILED.into())
    });
    // Not the code of a thread that panicked, which could be a guest's.
    std::panic::set_hook(Box::new(|panic| {
        terminal::complain(&crate::cause::printable(&format!("{panic}; please report it")));
        std::process::exit(exit_code::WASMPROC_FAILED.into());
    }));
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are no errors; everything else must not look like a guest's own exit code.
            let code = if error.use_stderr() { exit_code::WASMPROC_FAILED } else { 0 };
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    let result = match arguments.command {
        Command::Run(command) => command.execute(),
        Command::Compile(command) => command.execute(),
        Command::Inspect(command) => command.execute(),
        Command::Cache(command) => command.execute(),
        Command::New(command) => command.execute(),
        Command::Doctor(command) => command.execute(),
        Command::Attempt(command) => command.execute(),
        Command::Completions(command) => command.execute(),
        Command::Man(command) => command.execute(),
    };
    let code = match result {
        Ok(code) => code,
        Err(error) => {
            terminal::complain_of(&error);
            error.downcast_ref::<crate::Error>().map_or(exit_code::WASMPROC_FAILED, crate::Error::exit_code)
        }
    };
    stderr::finish();
    ExitCode::from(code)
}

/// What a command line of `wasmproc run` is understood as; nothing is done. For fuzzing.
#[cfg(feature = "fuzzing")]
pub(crate) fn understand(words: &[&str]) -> anyhow::Result<crate::Task> {
    match Arguments::try_parse_from(["wasmproc", "run"].iter().chain(words))?.command {
        Command::Run(command) => command.task(),
        _ => anyhow::bail!("it is another command"),
    }
}

/// What is shown of how a run ended: on the terminal, and in the report for people and for programs. For fuzzing.
#[cfg(feature = "fuzzing")]
pub(crate) fn shown_end(outcome: &crate::Outcome) -> anyhow::Result<[String; 3]> {
    let ends: Vec<String> = outcome.report.processes.iter().flat_map(terminal::end).collect();
    Ok([ends.join("\n"), report::human(outcome), report::json(outcome)?])
}

/// What is shown of a file that was looked at. For fuzzing.
#[cfg(feature = "fuzzing")]
pub(crate) fn shown_file(manifest: &crate::Manifest, wit: &str) -> String {
    inspect::human(std::path::Path::new("fuzzed.wasm"), manifest, wit)
}

/// Prints `value` as JSON on stdout.
fn print_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    print_line(&json(value)?)
}

/// `value` as JSON, which may come to a terminal too: the control characters that JSON leaves as they are, are escaped.
fn json(value: &impl serde::Serialize) -> serde_json::Result<String> {
    let mut text = String::new();
    for character in serde_json::to_string_pretty(value)?.chars() {
        match character {
            '\n' => text.push('\n'),
            // They stand in strings only.
            control if control.is_control() => text.push_str(&format!("\\u{:04x}", u32::from(control))),
            other => text.push(other),
        }
    }
    Ok(text)
}

/// Prints to stdout; a reader that has gone away is no error.
fn print_line(text: &str) -> anyhow::Result<()> {
    use std::io::Write;
    match writeln!(std::io::stdout(), "{}", text.trim_end()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn json_has_no_control_characters_and_says_the_same() {
        let hostile = "\u{0}\u{1b}[31m\n\u{7f}\u{9b}31m\u{85} \u{1f600} \\u009b";
        let text = super::json(&[hostile]).expect("it can be written");
        assert!(!text.chars().any(|one| one.is_control() && one != '\n'), "{text:?}");
        let read: Vec<String> = serde_json::from_str(&text).expect("it can be read");
        assert_eq!(read, [hostile]);
    }
}
