//! What a command printed, while it runs and afterwards.

use std::fmt;
use std::io::Read;
use std::process::ExitStatus;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use std::os::unix::process::ExitStatusExt;

/// Everything that came out of a pipe so far.
#[derive(Clone, Default)]
pub(super) struct Capture(Arc<(Mutex<State>, Condvar)>);

#[derive(Default)]
struct State {
    bytes: Vec<u8>,
    closed: bool,
}

impl Capture {
    /// Reads `pipe` to its end on a thread of its own.
    pub(super) fn of(mut pipe: impl Read + Send + 'static) -> Capture {
        let capture = Capture::default();
        let filled = capture.clone();
        thread::spawn(move || {
            let mut buffer = vec![0; 64 * 1024];
            loop {
                let count = pipe.read(&mut buffer).unwrap_or(0);
                let (state, changed) = &*filled.0;
                let mut state = state.lock().expect("no panic");
                state.bytes.extend_from_slice(&buffer[..count]);
                state.closed = count == 0;
                changed.notify_all();
                if count == 0 {
                    return;
                }
            }
        });
        capture
    }

    pub(super) fn closed() -> Capture {
        Capture::of(std::io::empty())
    }

    /// Waits until all that came so far fulfils `condition`; false when it never will or `deadline` is over.
    pub(super) fn wait(&self, deadline: Instant, condition: impl Fn(&[u8]) -> bool) -> bool {
        let (state, changed) = &*self.0;
        let mut state = state.lock().expect("no panic");
        loop {
            if condition(&state.bytes) {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if state.closed || left == Duration::ZERO {
                return false;
            }
            state = changed.wait_timeout(state, left).expect("no panic").0;
        }
    }

    /// Waits until nobody holds the other end any more.
    pub(super) fn wait_for_end(&self, deadline: Instant) -> bool {
        self.wait(deadline, |_| false);
        self.0.0.lock().expect("no panic").closed
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        self.0.0.lock().expect("no panic").bytes.clone()
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes()).into_owned()
    }
}

/// A command that has ended.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
    pub(crate) elapsed: Duration,
}

impl Ended {
    /// The exit code. A command that was itself killed by a signal fails the test.
    #[track_caller]
    pub(crate) fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| panic!("killed by signal {:?}\n{self:?}", self.status.signal()))
    }

    /// Asserts the exit code, and shows everything if it is another.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Ended {
        assert_eq!(self.status.code(), Some(code), "{self:?}");
        self
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.text().lines().map(str::to_owned).collect()
    }

    /// Asserts that stderr is one line of wasmproc's own that has all of `words` in it.
    #[track_caller]
    pub(crate) fn complains_of(&self, words: &[&str]) {
        let lines: Vec<&str> = self.stderr.lines().collect();
        let [line] = lines[..] else { panic!("{} lines of complaint\n{self:?}", lines.len()) };
        assert!(line.starts_with("wasmproc: "), "{self:?}");
        assert!(!line.chars().any(char::is_control), "{self:?}");
        for word in words {
            assert!(line.contains(word), "the complaint lacks {word:?}\n{self:?}");
        }
    }
}

impl fmt::Debug for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stdout = self.text();
        let shown: String = stdout.chars().take(4000).collect();
        let cut = if shown.len() < stdout.len() { "... (cut)" } else { "" };
        write!(
            f,
            "{} after {:?}\n--- stdout\n{shown}{cut}\n--- stderr\n{}\n---",
            self.status, self.elapsed, self.stderr
        )
    }
}
