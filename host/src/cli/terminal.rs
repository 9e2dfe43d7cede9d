//! What the user sees and says while a command works: stderr and signals.

use std::io::IsTerminal;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressStyle};

use super::signals::{INSPECTING, Signals};
use super::stderr::say;
use crate::cause::{cut, printable};
use crate::supervisor::{Attendant, Interruption, ProcessReport, ProcessView};
use crate::{Cause, Pid, units};

/// Nobody reads more of an error; a parser's may have what it could not read in it.
const MAX_LINE_BYTES: usize = 4096;

/// The user at the other end of stderr.
#[derive(Debug)]
pub(super) struct Terminal {
    signals: Option<Signals>,
    progress: Option<ProgressBar>,
}

impl Terminal {
    /// For commands that are simply killed by signals.
    pub(super) fn new() -> Terminal {
        Terminal { signals: None, progress: None }
    }

    /// For commands that end their processes before they end themselves.
    pub(super) fn with_signals() -> Result<Terminal> {
        let signals = Signals::take_over().context("can't listen to signals")?;
        Ok(Terminal { signals: Some(signals), progress: None })
    }
}

impl Attendant for Terminal {
    fn interruption(&self) -> Option<BorrowedFd<'_>> {
        self.signals.as_ref().map(AsFd::as_fd)
    }

    fn take_interruption(&mut self) -> Option<Interruption> {
        let signal = self.signals.as_ref()?.take()?;
        Some(match i32::from(signal) {
            INSPECTING => Interruption::Inspect,
            _ => Interruption::Stop { signal },
        })
    }

    fn still_compiling(&mut self, name: &str, since: Duration) {
        if !std::io::stderr().is_terminal() {
            return;
        }
        let progress = self.progress.get_or_insert_with(|| {
            let bar = ProgressBar::new_spinner().with_elapsed(since);
            bar.set_style(ProgressStyle::default_spinner());
            bar.set_message(format!("compiling {}", printable(name)));
            bar
        });
        progress.tick();
    }

    fn compiled(&mut self) {
        if let Some(progress) = self.progress.take() {
            progress.finish_and_clear();
        }
    }

    fn warn(&mut self, message: &str) {
        complain(&printable(&format!("warning: {message}")));
    }

    fn ended(&mut self, process: &ProcessReport) {
        // An exit is the program's own affair, and so is whom it kills.
        let silent = matches!(process.cause, Cause::Exited(_) | Cause::Killed(_) | Cause::ParentLost);
        if !silent {
            complain(&end(process).join("\n"));
        }
    }

    fn inspect(&mut self, processes: &[ProcessView]) {
        complain(&format!("{} processes", processes.len()));
        let roots = processes.iter().filter(|process| process.parent.is_none());
        let mut rest: Vec<(usize, &ProcessView)> = roots.map(|root| (0, root)).collect();
        while let Some((depth, process)) = rest.pop() {
            say(&format!("    {}{}", "  ".repeat(depth.min(20)), line(process)));
            let children = processes.iter().rev().filter(|child| child.parent == Some(process.pid));
            rest.extend(children.map(|child| (depth + 1, child)));
        }
    }
}

/// How a process ended, in one line, and where if it trapped, in others.
pub(super) fn end(process: &ProcessReport) -> Vec<String> {
    let who = who(process.pid, &process.name);
    let advice = process.cause.advice().map(|advice| format!("; {advice}")).unwrap_or_default();
    let mut lines = vec![format!("{who} {}{advice}", process.cause)];
    if let Cause::Trapped { backtrace, .. } = &process.cause {
        lines.extend(backtrace.lines().map(|line| format!("    {}", printable(line))));
    }
    lines
}

fn line(process: &ProcessView) -> String {
    use crate::ProcessState::*;
    let state = match process.state {
        Starting => "waits for a worker",
        Running => "is computing",
        Waiting => "waits in a host call",
        Stopped => "is stopped by a signal",
        WaitingForChildren => "has returned and waits for its children",
        Dying => "is being killed",
    };
    let state = match &process.waits_for {
        Some(what) => format!("waits for {what}"),
        None => state.to_owned(),
    };
    let daemon = if process.daemon { ", a daemon" } else { "" };
    let who = who(process.pid, &process.name);
    let (age, cpu) = (units::show_duration(process.age), units::show_duration(process.cpu_time));
    format!("{who}{daemon}: {state}; {age} old, {cpu} of processor time")
}

fn who(pid: Pid, name: &str) -> String {
    format!("process {pid} ({})", printable(name))
}

/// What went wrong, in one line, whatever names are in it.
pub(super) fn complain_of(error: &anyhow::Error) {
    complain(&cut(printable(&format!("{error:#}")), MAX_LINE_BYTES));
}

/// One line on stderr that says who says it.
pub(super) fn complain(message: &str) {
    say(&format!("wasmproc: {message}"));
}
