//! Runs the command with every system call of all its processes under the eyes of a closure, which may let calls fail.
//!
//! ```text
//! starter:   starts the command ──▶ child: says its pid, waits ───────────────────▶ executes the command
//! tracer:    hears the pid, seizes it, lets it go, follows all that descend from it
//! watchdog:  kills all of them when their time is over
//! ```
//!
//! A call that is to fail is replaced by one that does nothing and that every filter allows, and gets its result at its
//! end. Which role a process has is known from who made it, what it was executed as, and the name that it took. A worker
//! can also be taken over as a whole: see [`puppet`].

mod family;
mod kernel;
mod puppet;
mod watchdog;

use std::collections::VecDeque;
use std::io::{PipeReader, PipeWriter, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use super::command::Wasmproc;
use super::output::{Capture, Ended};
use super::wait::A_LOADED_SECOND;
pub(crate) use family::Role;
use family::{Birth, Family, Injected};
use kernel::{Registers, Side};
pub(crate) use puppet::{COMPILER_CONTROL, CONTROL, Puppet, Stage};
use watchdog::Watchdog;

/// A system call that is about to be made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call {
    pub(crate) role: Role,
    pub(crate) pid: i32,
    pub(crate) number: i64,
    pub(crate) arguments: [u64; 6],
    /// How many seccomp filters the process has by now.
    pub(crate) filters: u32,
    /// Whether the program's `main` has begun. What comes before is the language's and nobody's here to handle.
    pub(crate) in_main: bool,
}

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Continue,
    /// It is not made, and fails with this error number.
    Fail(i32),
    /// Another one is made, with the same arguments: what somebody would try who has taken the process over.
    Instead(i64),
    /// Another one is made, with these arguments.
    InsteadWith(i64, [u64; 6]),
    /// The process stays where it is, as a puppet.
    Hold,
}

/// Whose calls are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    Everybody,
    /// Those of a run's own processes, not of its supervisor and compiler.
    Inside,
    /// Those of the compile worker.
    Compiler,
    Nobody,
}

/// Why a traced run did not end as runs do.
#[derive(Debug)]
#[expect(dead_code, reason = "it is shown by tests that fail")]
pub(crate) enum Trouble {
    /// Its time was over, and these were still there.
    Hung(Ended, Vec<Role>),
    /// The command had ended, and these were still there long after.
    LeftBehind(Ended, Vec<Role>),
}

impl Wasmproc {
    /// Runs it to its end. `decide` is asked before each system call that any of its processes makes.
    pub(crate) fn traced(self, decide: impl FnMut(&Call) -> Answer + Send) -> Result<Ended, Trouble> {
        // A thread of its own hears of nobody else's children, and none of its tracees outlives it.
        let begin = || Trace::begin(self, Scope::Everybody, Box::new(decide));
        let traced = thread::scope(|scope| scope.spawn(|| begin().follow()).join());
        traced.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

struct Trace<'a> {
    decide: Box<dyn FnMut(&Call) -> Answer + 'a>,
    scope: Scope,
    /// Who was taken over and not let go.
    puppets: Vec<i32>,
    /// Those of them that nobody has looked at yet.
    new_puppets: VecDeque<i32>,
    /// Where one of them has stopped, and why: the signal.
    puppet_stop: Option<(i32, i32)>,
    starter: JoinHandle<(Capture, Capture)>,
    family: Family,
    main: i32,
    status: Option<ExitStatus>,
    began: Instant,
    watchdog: Watchdog,
    /// Who was there when the watchdog was not patient any more.
    late: Vec<Role>,
}

impl<'a> Trace<'a> {
    fn begin(command: Wasmproc, scope: Scope, decide: Box<dyn FnMut(&Call) -> Answer + 'a>) -> Trace<'a> {
        let (pid_reader, pid_writer) = std::io::pipe().expect("a pipe");
        let (go_reader, go_writer) = std::io::pipe().expect("a pipe");
        let command = waiting_first(command, pid_writer, go_reader);
        let (began, limit) = (Instant::now(), command.watchdog);
        // Starting returns when the program is executed, and what is done until then is traced.
        let starter = thread::spawn(move || command.start_traced());
        let main = read_pid(pid_reader);
        kernel::seize(main).expect("a child can be traced");
        let watchdog = Watchdog::new(began + limit);
        watchdog.adopt(main);
        go(go_writer);
        Trace {
            decide,
            scope,
            puppets: Vec::new(),
            new_puppets: VecDeque::new(),
            puppet_stop: None,
            starter,
            family: Family::of(main),
            main,
            status: None,
            began,
            watchdog,
            late: Vec::new(),
        }
    }

    fn follow(mut self) -> Result<Ended, Trouble> {
        while let Some((pid, status)) = kernel::wait() {
            self.happened(pid, status);
        }
        let (stdout, stderr) = self.starter.join().expect("no panic");
        // All who could hold the other ends are dead.
        let deadline = Instant::now() + A_LOADED_SECOND;
        let closed = stdout.wait_for_end(deadline) && stderr.wait_for_end(deadline);
        assert!(closed, "somebody who is not traced holds the output");
        let is_over = self.watchdog.is_over();
        let status = self.status.expect("the command has ended");
        let ended = Ended { status, stdout: stdout.bytes(), stderr: stderr.text(), elapsed: self.began.elapsed() };
        match is_over {
            false => Ok(ended),
            true if self.late.contains(&Role::Supervisor) => Err(Trouble::Hung(ended, self.late)),
            true => Err(Trouble::LeftBehind(ended, self.late)),
        }
    }

    fn happened(&mut self, pid: i32, status: i32) {
        if self.late.is_empty() && self.watchdog.is_over() {
            self.late = self.family.roles();
        }
        if libc::WIFSTOPPED(status) {
            self.stopped(pid, libc::WSTOPSIG(status), status >> 16);
        } else {
            self.ended(pid, status);
        }
    }

    fn ended(&mut self, pid: i32, status: i32) {
        self.family.gone(pid);
        self.puppets.retain(|&puppet| puppet != pid);
        if pid == self.main {
            self.status = Some(ExitStatus::from_raw(status));
            // What is promised to go with it, must.
            self.watchdog.at_most(A_LOADED_SECOND);
        }
    }

    fn stopped(&mut self, pid: i32, signal: i32, event: i32) {
        if event == 0 && self.puppets.contains(&pid) {
            self.puppet_stop = Some((pid, signal));
            return;
        }
        // A child can be seen before its parent says that it has one.
        let Some(process) = self.family.find(pid) else { return };
        match event {
            0 if signal == libc::SIGTRAP | 0x80 => {
                match kernel::side(pid) {
                    Some(Side::Entry { number, arguments }) => {
                        let call = process.enters(pid, number, arguments);
                        match (self.decide)(&call) {
                            Answer::Continue => {}
                            Answer::Fail(errno) => process.injected = replace(pid, number, errno),
                            Answer::Instead(other) => make_another(pid, other, call.arguments),
                            Answer::InsteadWith(other, arguments) => make_another(pid, other, arguments),
                            Answer::Hold if self.scope == Scope::Nobody => {}
                            Answer::Hold => {
                                self.puppets.push(pid);
                                self.new_puppets.push_back(pid);
                                return;
                            }
                        }
                    }
                    Some(Side::Exit { result }) => {
                        let result = process.injected.take().map_or(result, |injected| finish(pid, result, &injected));
                        process.leaves(pid, result);
                    }
                    None => {}
                }
                self.resume(pid, 0);
            }
            0 => self.resume(pid, signal),
            libc::PTRACE_EVENT_FORK => self.born(pid, Birth::Fork),
            libc::PTRACE_EVENT_VFORK => self.born(pid, Birth::Vfork),
            libc::PTRACE_EVENT_CLONE => self.born(pid, Birth::Clone),
            libc::PTRACE_EVENT_EXEC => {
                self.family.executed(pid);
                self.resume(pid, 0);
            }
            // A stop of the whole process, or the first stop of a new one.
            libc::PTRACE_EVENT_STOP if signal != libc::SIGTRAP => kernel::leave_stopped(pid),
            _ => self.resume(pid, 0),
        }
    }

    /// Lets it run to its next call, or on and on if nobody looks at its calls.
    fn resume(&mut self, pid: i32, signal: i32) {
        let role = self.family.role(pid);
        let looked_at = match self.scope {
            Scope::Everybody => true,
            Scope::Inside => !matches!(role, Role::Outside | Role::Supervisor | Role::Compiler),
            Scope::Compiler => role == Role::Compiler,
            Scope::Nobody => false,
        };
        if looked_at { kernel::resume(pid, signal) } else { kernel::let_go(pid, signal) }
    }

    fn born(&mut self, parent: i32, how: Birth) {
        if let Some(child) = kernel::subject(parent) {
            self.watchdog.adopt(child);
            if self.family.born(parent, child, how) {
                self.resume(child, 0);
            }
        }
        self.resume(parent, 0);
    }
}

/// At the entry of a call: it will not be made.
fn replace(pid: i32, number: i64, errno: i32) -> Option<Injected> {
    let mut registers = Registers::of(pid)?;
    // brk(2) fails by changing nothing, and does so when it is asked for address 0.
    let (replacement, argument, result) = match number {
        libc::SYS_brk => (libc::SYS_brk, 0, None),
        // A number that is none would be denied by the filters of the sandbox. Every one of them lets read(2) pass.
        _ => (libc::SYS_read, u64::MAX, Some(-i64::from(errno))),
    };
    registers.set_number(replacement);
    let first_argument = registers.replace_first_argument(argument);
    registers.store(pid);
    Some(Injected { result, first_argument })
}

fn make_another(pid: i32, number: i64, arguments: [u64; 6]) {
    if let Some(mut registers) = Registers::of(pid) {
        registers.set_call(number, arguments);
        registers.store(pid);
    }
}

/// At the end of a replaced call: as if nothing had been replaced. Returns the result.
fn finish(pid: i32, result: i64, injected: &Injected) -> i64 {
    let result = injected.result.unwrap_or(result);
    if let Some(mut registers) = Registers::of(pid) {
        registers.set_result(result);
        registers.replace_first_argument(injected.first_argument);
        registers.store(pid);
    }
    result
}

/// Makes a child say its pid and wait, before it executes the command.
fn waiting_first(command: Wasmproc, mut says: PipeWriter, mut waits: PipeReader) -> Wasmproc {
    command.first(move || {
        says.write_all(&std::process::id().to_ne_bytes())?;
        waits.read_exact(&mut [0])
    })
}

fn read_pid(mut pipe: PipeReader) -> i32 {
    let mut bytes = [0; 4];
    pipe.read_exact(&mut bytes).expect("a child says its pid");
    i32::from_ne_bytes(bytes)
}

fn go(mut pipe: PipeWriter) {
    pipe.write_all(&[1]).expect("the child waits");
}
