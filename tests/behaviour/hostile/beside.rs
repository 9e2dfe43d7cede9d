//! A run beside a hostile one of the same user, under way or begun meanwhile.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::thread;

use wasmproc_test_artifacts::programs;

use super::floods::{SEND, SEND_AND_READ, flood};
use super::{CHILDREN, Duration, MORE, PACKET_BYTES, Stage, asked, betrayed, send};
use crate::harness::{Process, Running, Scratch, Wasmproc};

/// A run that goes on all the while, with its cache and a folder that is granted to it.
struct Neighbour {
    scratch: Scratch,
    running: Running,
    /// Those of its processes that stay.
    processes: Vec<Process>,
    cache: Vec<(String, Vec<u8>)>,
    asked: u64,
}

impl Neighbour {
    fn new() -> Neighbour {
        let scratch = Scratch::new();
        let cache = scratch.folder("cache");
        let grant = format!("{}::/data", scratch.folder("data"));
        scratch.write("data/note", "untouched");
        for program in [programs::SPAWNS_ON_DEMAND, programs::SHOW] {
            Wasmproc::new(["compile", program]).cache(&cache).output().expect(0);
        }
        let run = Wasmproc::run(["--dir", &grant, programs::SPAWNS_ON_DEMAND]).cache(&cache);
        let running = run.stdin(Stdio::piped()).start();
        running.expect_stdout("ready");
        // The first worker is main's. Zygotes come and go.
        let processes = vec![running.process("wasmproc-init"), running.process("wasmproc-worker")];
        Neighbour { cache: entries(Path::new(&cache)), scratch, running, processes, asked: 0 }
    }

    /// It starts a child of its own and gets the right answer.
    #[track_caller]
    fn works(&mut self) {
        self.asked += 1;
        self.running.say(&(1000 + self.asked).to_string());
        self.running.expect_stdout(&format!("\n{}\n", 2 * (1000 + self.asked)));
    }

    #[track_caller]
    fn ends_unharmed(self) {
        let dead: Vec<&Process> = self.processes.iter().filter(|process| !process.is_alive()).collect();
        assert!(dead.is_empty(), "{dead:?}");
        let ended = self.running.end().expect(0);
        assert_eq!(ended.stderr, "");
        assert_eq!(ended.lines().len() as u64, 1 + self.asked, "{ended:?}");
        assert!(entries(&self.scratch.path().join("cache")) == self.cache, "the cache was changed");
        assert_eq!(entries(&self.scratch.path().join("data")), [("note".to_owned(), b"untouched".to_vec())]);
    }

    /// Another run begins, with the same cache, and ends. Meanwhile the hostile one goes on.
    #[track_caller]
    fn another_works(&self, stage: &mut Stage<'_, '_>) {
        let compiled = Wasmproc::run([programs::SHOW, "beside"]).cache(self.scratch.at("cache"));
        let anew = Wasmproc::run(["--no-cache", programs::SHOW, "beside"]);
        // By a thread of their own: this one waits for whatever happens to any child of it.
        let runs = thread::spawn(|| [compiled.output(), anew.output()]);
        while !runs.is_finished() {
            stage.wait(Duration::from_millis(1));
        }
        for ended in runs.join().expect("no panic") {
            let ended = ended.expect(0);
            assert!(ended.text().contains("beside") && ended.stderr == "on stderr\n", "{ended:?}");
        }
    }
}

/// The files in a folder, by name.
fn entries(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let files = fs::read_dir(folder).expect("readable").map(|entry| entry.expect("readable"));
    let read = |entry: fs::DirEntry| {
        (entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path()).expect("readable"))
    };
    let mut entries: Vec<_> = files.map(read).collect();
    entries.sort();
    entries
}

/// By its numbers, which native code might guess.
#[test]
fn a_hostile_worker_reaches_nobody_of_another_run() {
    let mut neighbour = Neighbour::new();
    let all = [neighbour.running.pid()].into_iter().chain(neighbour.processes.iter().map(|process| process.pid));
    let (kill, zero) = (libc::SIGKILL as u64, 0);
    let tries: Vec<(i64, [u64; 6])> = all
        .map(|pid| pid as u64)
        .flat_map(|pid| {
            [
                (libc::SYS_kill, [pid, kill, zero, zero, zero, zero]),
                (libc::SYS_tgkill, [pid, pid, kill, zero, zero, zero]),
                (libc::SYS_pidfd_open, [pid, zero, zero, zero, zero, zero]),
                (libc::SYS_ptrace, [u64::from(libc::PTRACE_SEIZE), pid, zero, zero, zero, zero]),
                (libc::SYS_process_vm_readv, [pid, zero, zero, zero, zero, zero]),
            ]
        })
        .chain([(libc::SYS_kill, [u64::MAX, kill, zero, zero, zero, zero])])
        .collect();
    let outcome = betrayed(&[], |stage| {
        for (number, arguments) in &tries {
            let hostile = stage.puppet();
            assert_eq!(stage.call(hostile, *number, *arguments), None, "call {number}");
            stage.dies(hostile);
            neighbour.works();
        }
    });
    for (index, (number, _)) in tries.iter().enumerate() {
        let (cause, _, description) = &outcome.hostile()[index];
        assert_eq!(cause, "denied-syscall");
        assert!(description.contains(&format!("system call {number}")), "{description}");
    }
    neighbour.ends_unharmed();
}

#[test]
fn runs_beside_a_flood_work_and_end_rightly() {
    let mut neighbour = Neighbour::new();
    let outcome = betrayed(&["talk"], |stage| {
        let hostile = stage.puppet();
        let request = asked(stage, CHILDREN);
        flood(stage, hostile, &request, SEND_AND_READ);
        for _ in 0..3 {
            neighbour.works();
            neighbour.another_works(stage);
        }
        assert!(stage.is_alive(hostile), "it has flooded all the while");
        stage.kill(hostile);
        stage.dies(hostile);
        // Of descriptors, which the kernel counts for all processes of a user together.
        let hostile = stage.puppet();
        let bell = asked(stage, super::DOORBELL);
        flood(stage, hostile, &bell, SEND);
        neighbour.works();
        neighbour.another_works(stage);
        stage.dies(hostile);
    });
    outcome.failed_for(1, "does not read its messages");
    neighbour.ends_unharmed();
}

#[test]
fn runs_beside_one_who_keeps_everything_to_himself_work_and_end_rightly() {
    let mut neighbour = Neighbour::new();
    let outcome = betrayed(&["kin"], |stage| {
        let hostile = stage.puppet();
        // A message that is begun, and nothing more of it or of anything else.
        send(stage, hostile, &[MORE; 1 + PACKET_BYTES]);
        neighbour.works();
        neighbour.another_works(stage);
        assert!(stage.is_alive(hostile), "others have not waited for it");
        stage.kill(hostile);
        stage.dies(hostile);
    });
    assert_eq!(outcome.hostile()[0].0, "signaled");
    neighbour.ends_unharmed();
}
