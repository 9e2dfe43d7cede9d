//! The command under test, with a watchdog.

use std::ffi::OsStr;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use super::output::{Capture, Ended};
use super::processes::Process;
use super::scratch::CACHE;
use super::wait::eventually;

/// The executable under test.
pub(crate) const EXECUTABLE: &str = env!("CARGO_BIN_EXE_wasmproc");

/// After this a command is killed and its test fails.
const WATCHDOG: Duration = Duration::from_secs(60);

/// A command line that is about to be started. Its stdin is empty unless said otherwise.
pub(crate) struct Wasmproc {
    command: Command,
    input: Option<Vec<u8>>,
    pub(super) watchdog: Duration,
}

impl Wasmproc {
    /// `wasmproc ARGUMENTS...`
    pub(crate) fn new<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Wasmproc {
        Wasmproc::of(Command::new(EXECUTABLE), arguments)
    }

    /// `wasmproc run ARGUMENTS...`
    pub(crate) fn run<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Wasmproc {
        let mut wasmproc = Wasmproc::new(["run"]);
        wasmproc.command.args(arguments);
        wasmproc
    }

    /// `sh -c SCRIPT sh wasmproc ARGUMENTS...`: the script ends with `exec "$@"`.
    pub(crate) fn through_shell<A: AsRef<OsStr>>(script: &str, arguments: impl IntoIterator<Item = A>) -> Wasmproc {
        let mut command = Command::new("sh");
        command.args(["-c", script, "sh", EXECUTABLE]);
        Wasmproc::of(command, arguments)
    }

    /// Another program that starts wasmproc; its words come before.
    pub(crate) fn through<A: AsRef<OsStr>>(words: &[&str], arguments: impl IntoIterator<Item = A>) -> Wasmproc {
        let mut command = Command::new(words[0]);
        command.args(&words[1..]);
        Wasmproc::of(command, arguments)
    }

    fn of<A: AsRef<OsStr>>(mut command: Command, arguments: impl IntoIterator<Item = A>) -> Wasmproc {
        command.args(arguments).env("WASMPROC_CACHE_DIR", &*CACHE).env_remove("WASMPROC_WORKER");
        // Cargo sets it for its tests. A shell doesn't, and with it the command executes init instead of forking it.
        command.env_remove("LD_LIBRARY_PATH");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // A group of its own: what a test sends to the group reaches nobody else.
        command.process_group(0);
        Wasmproc { command, input: None, watchdog: WATCHDOG }
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Wasmproc {
        self.command.env(name, value);
        self
    }

    /// A cache of the test's own.
    pub(crate) fn cache(self, folder: impl AsRef<Path>) -> Wasmproc {
        self.env("WASMPROC_CACHE_DIR", folder.as_ref())
    }

    pub(crate) fn current_dir(mut self, folder: impl AsRef<Path>) -> Wasmproc {
        self.command.current_dir(folder);
        self
    }

    /// Bytes for its stdin.
    pub(crate) fn input(mut self, bytes: impl Into<Vec<u8>>) -> Wasmproc {
        self.input = Some(bytes.into());
        self
    }

    pub(crate) fn stdin(mut self, stdin: impl Into<Stdio>) -> Wasmproc {
        self.command.stdin(stdin);
        self
    }

    pub(crate) fn stdout(mut self, stdout: impl Into<Stdio>) -> Wasmproc {
        self.command.stdout(stdout);
        self
    }

    /// Has the child do something before it executes the command: system calls, and nothing that allocates.
    #[expect(unsafe_code, reason = "what is done between fork and exec")]
    pub(crate) fn first(mut self, act: impl FnMut() -> io::Result<()> + Send + Sync + 'static) -> Wasmproc {
        // SAFETY: what the tests do there are a few system calls.
        unsafe { self.command.pre_exec(act) };
        self
    }

    /// For a test that takes long because it does much.
    pub(crate) fn watchdog(mut self, limit: Duration) -> Wasmproc {
        self.watchdog = limit;
        self
    }

    /// Runs it to its end.
    #[track_caller]
    pub(crate) fn output(self) -> Ended {
        self.start().end()
    }

    /// Starts it. Stdin stays open, for lines, if it was given as a pipe.
    #[track_caller]
    pub(crate) fn start(self) -> Running {
        let (began, watchdog) = (Instant::now(), self.watchdog);
        let (child, stdin, stdout, stderr) = self.spawn();
        Running { child, stdin, stdout, stderr, began, deadline: began + watchdog }
    }

    /// Starts it for a tracer, who will hear of its end.
    pub(super) fn start_traced(self) -> (Capture, Capture) {
        let (_, _, stdout, stderr) = self.spawn();
        (stdout, stderr)
    }

    #[track_caller]
    fn spawn(mut self) -> (Child, Option<ChildStdin>, Capture, Capture) {
        if self.input.is_some() {
            self.command.stdin(Stdio::piped());
        }
        let mut child = self.command.spawn().unwrap_or_else(|error| panic!("{:?}: {error}", self.command));
        let mut stdin = child.stdin.take();
        if let Some(bytes) = self.input
            && let Some(mut stdin) = stdin.take()
        {
            // A guest that doesn't read all of it is none of this thread's business.
            thread::spawn(move || drop(stdin.write_all(&bytes)));
        }
        let stdout = child.stdout.take().map_or_else(Capture::closed, Capture::of);
        let stderr = child.stderr.take().map_or_else(Capture::closed, Capture::of);
        (child, stdin, stdout, stderr)
    }
}

/// A command that runs. It is killed when the test lets go of it.
pub(crate) struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Capture,
    stderr: Capture,
    began: Instant,
    deadline: Instant,
}

impl Running {
    /// The supervisor's pid.
    pub(crate) fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// Writes a line to its stdin, which must have been given as a pipe.
    #[track_caller]
    pub(crate) fn say(&mut self, line: &str) {
        self.press(&format!("{line}\n"));
    }

    /// Writes to its stdin, as keys are pressed at a terminal.
    #[track_caller]
    pub(crate) fn press(&mut self, keys: &str) {
        let stdin = self.stdin.as_mut().expect("stdin is a pipe");
        stdin.write_all(keys.as_bytes()).expect("it reads");
    }

    /// Waits until it has printed `text`.
    #[track_caller]
    pub(crate) fn expect_stdout(&self, text: &str) {
        self.expect(&self.stdout, text);
    }

    /// Whether it has printed `text` so far.
    pub(crate) fn has_said(&self, text: &str) -> bool {
        self.stdout.text().contains(text)
    }

    /// Waits until it has printed `text` on stderr.
    #[track_caller]
    pub(crate) fn expect_stderr(&self, text: &str) {
        self.expect(&self.stderr, text);
    }

    #[track_caller]
    fn expect(&self, capture: &Capture, text: &str) {
        let has = |bytes: &[u8]| bytes.windows(text.len()).any(|window| window == text.as_bytes());
        assert!(capture.wait(self.deadline, has), "it never said {text:?}\n{}", self.so_far());
    }

    /// Waits until one of its processes has the name `name`, and returns it.
    #[track_caller]
    pub(crate) fn process(&self, name: &str) -> Process {
        self.processes(name, 1).swap_remove(0)
    }

    /// Waits until at least `count` of its processes have the name `name`, and returns them.
    #[track_caller]
    pub(crate) fn processes(&self, name: &str, count: usize) -> Vec<Process> {
        let mut found = Vec::new();
        eventually(&format!("{count} processes named {name}"), || {
            found = Process::descendants(self.pid());
            found.retain(|process| process.name == name);
            found.len() >= count
        });
        found
    }

    pub(crate) fn send(&self, signal: Signal) {
        let pid = Pid::from_raw(self.pid()).expect("not 0");
        rustix::process::kill_process(pid, signal).expect("it is there");
    }

    /// To all of its process group, as a terminal does.
    pub(crate) fn send_to_group(&self, signal: Signal) {
        let pid = Pid::from_raw(self.pid()).expect("not 0");
        rustix::process::kill_process_group(pid, signal).expect("it is there");
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("it is a child").is_none()
    }

    /// Waits for its end, closing its stdin first, and for the end of everybody who holds its stdout or stderr.
    #[track_caller]
    pub(crate) fn end(mut self) -> Ended {
        self.stdin = None;
        let Some(status) = self.status() else {
            let so_far = self.so_far();
            panic!("it had not ended after {:?}\n{so_far}", self.began.elapsed());
        };
        let elapsed = self.began.elapsed();
        // A moment more for whoever outlives it: a pipe that stays open is a process that was left behind.
        let deadline = self.deadline.max(Instant::now() + Duration::from_secs(5));
        let closed = self.stdout.wait_for_end(deadline) && self.stderr.wait_for_end(deadline);
        assert!(closed, "it ended ({status}), and somebody still holds its output\n{}", self.so_far());
        Ended { status, stdout: self.stdout.bytes(), stderr: self.stderr.text(), elapsed }
    }

    fn status(&mut self) -> Option<ExitStatus> {
        while Instant::now() < self.deadline {
            if let Some(status) = self.child.try_wait().expect("it is a child") {
                return Some(status);
            }
            thread::sleep(Duration::from_millis(2));
        }
        None
    }

    fn so_far(&self) -> String {
        format!("--- stdout\n{}\n--- stderr\n{}\n---", self.stdout.text(), self.stderr.text())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // SIGKILL, also to a wrapper's children: a test that failed leaves nothing behind.
        if matches!(self.child.try_wait(), Ok(None)) {
            self.send_to_group(Signal::KILL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
