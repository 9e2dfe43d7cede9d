//! A compile worker in an attacker's hands: what it says, what it leaves for an artifact, and how it dies.
//!
//! Whoever starts it must get one line and an exit code in time. What it leaves may be taken for nothing but the artifact
//! of the file that was compiled, and of that only as long as it can be loaded.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::{Pid, Signal};
use wasmproc_test_artifacts::text;

use super::{Footing, LAST, MORE, PACKET_BYTES, Puppet, Stage, send_descriptors};
use crate::harness::{COMPILER_CONTROL, Ended, Scratch, Wasmproc};

/// Answers begin with these bytes, after that of the packet.
const DENIED: u8 = 0;
const COMPILED: u8 = 1;
const DESCRIBED: u8 = 2;
const REFUSED: u8 = 3;
const FAILED: u8 = 4;

const FULL: [u8; 1 + PACKET_BYTES] = [MORE; 1 + PACKET_BYTES];
const EVIL: &str = "\u{1b}[31m\u{9b}2J\r\nwasmproc: all is well\u{202e}\u{7f}\u{7}";

/// The descriptor of the artifact.
const ARTIFACT: u64 = 4;

/// A cache with one honest entry in it, and a file that it has no entry of.
struct Workshop {
    scratch: Scratch,
    file: String,
    before: Vec<(PathBuf, Vec<u8>)>,
}

impl Workshop {
    fn new() -> Workshop {
        let scratch = Scratch::new();
        let cache = scratch.folder("cache");
        Wasmproc::new(["compile", text::PREVIEW1]).cache(&cache).output().expect(0);
        let file = scratch.copy(text::EXIT_WITH_CODE, "exit.wat");
        let mut workshop = Workshop { scratch, file, before: Vec::new() };
        workshop.before = workshop.entries();
        workshop
    }

    fn command(&self, words: &[&str]) -> Wasmproc {
        Wasmproc::new([words, &[&self.file]].concat()).cache(self.scratch.at("cache"))
    }

    /// Has what `command` starts for a compiler in the hands of `script`. Nobody is left when it has ended.
    #[track_caller]
    fn betrayed(&self, words: &[&str], script: impl FnOnce(&mut Stage<'_, '_>) + Send) -> Ended {
        self.command(words).compiler_taken_over(script).expect("it ends, and nobody is left")
    }

    /// Every file in the cache.
    fn entries(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let files = fs::read_dir(self.scratch.at("cache")).expect("readable");
        let mut files: Vec<PathBuf> = files.map(|entry| entry.expect("readable").path()).collect();
        files.sort();
        files.into_iter().map(|path| (path.clone(), fs::read(path).expect("readable"))).collect()
    }

    /// Nothing was kept, and an honest compiler has its way.
    #[track_caller]
    fn is_unharmed(&self) {
        assert!(self.entries() == self.before, "{:?}", self.names());
        let honest = self.command(&["run"]).output().expect(77);
        assert_eq!(honest.stderr, "");
        assert_eq!(self.names().len(), self.before.len() + 2);
        assert!(self.before.iter().all(|entry| self.entries().contains(entry)), "another entry was changed");
    }

    fn names(&self) -> Vec<PathBuf> {
        self.entries().into_iter().map(|(path, _)| path).collect()
    }
}

/// Sends a packet. Returns what sendto(2) does.
fn say(stage: &mut Stage<'_, '_>, puppet: Puppet, packet: &[u8]) -> Option<i64> {
    let address = stage.write(puppet, 0, packet);
    let flags = libc::MSG_NOSIGNAL as u64;
    stage.call(puppet, libc::SYS_sendto, [COMPILER_CONTROL, address, packet.len() as u64, flags, 0, 0])
}

/// The compile worker, when it has written its artifact and is about to answer.
#[track_caller]
fn about_to_answer(stage: &mut Stage<'_, '_>) -> Puppet {
    let held = stage.compiler(libc::SYS_sendmsg);
    stage.take(held)
}

/// What an honest compile worker answers.
fn honest_answer() -> Vec<u8> {
    let mut answer = None;
    let ended = Workshop::new().betrayed(&["compile"], |stage| {
        let held = stage.compiler(libc::SYS_sendmsg);
        answer = stage.recorded().pop();
        stage.let_make(held);
    });
    ended.expect(0);
    let answer = answer.expect("it was recorded");
    assert_eq!(answer[..2], [LAST, COMPILED]);
    answer
}

/// An answer that is a text.
fn text_of(kind: u8, text: &str) -> Vec<u8> {
    let length = text.len();
    assert!((1 << 7..1 << 14).contains(&length), "its length has two bytes");
    let mut packet = vec![LAST, kind, length as u8 | 0x80, (length >> 7) as u8];
    packet.extend_from_slice(text.as_bytes());
    packet
}

#[test]
fn answers_that_are_none_are_one_line_and_leave_nothing() {
    let evil = EVIL.repeat(8);
    let too_long = [&FULL[..], &[0]].concat();
    let answers: [(&[u8], i32, &str); 10] = [
        (&[LAST, 0xff, 0xff, 0xff], 125, "breaks the rules: a message can't be decoded"),
        (&[LAST], 125, "breaks the rules: a message can't be decoded"),
        (&[MORE, 7, 0], 125, "breaks the rules: a packet is short, or is no packet"),
        (&[7, 7, 7], 125, "breaks the rules: a packet is short, or is no packet"),
        (&too_long, 125, "breaks the rules: a packet is too large"),
        // Names without end.
        (&[LAST, COMPILED, 0, 0xff, 0xff, 0xff, 0xff, 0x0f], 125, "breaks the rules: a message can't be decoded"),
        (&[LAST, DESCRIBED, 0, 0, 0, 0, 0, 0, 0, 0], 125, "gave no artifact"),
        (&[LAST, DENIED, 41], 126, "system call 41, which is denied"),
        (&text_of(REFUSED, &evil), 126, "all is well"),
        (&text_of(FAILED, &evil), 125, "all is well"),
    ];
    let workshop = Workshop::new();
    for (packet, code, words) in answers {
        let ended = workshop.betrayed(&["run"], |stage| {
            let compiler = about_to_answer(stage);
            say(stage, compiler, packet);
            stage.dies(compiler);
        });
        ended.expect(code).complains_of(&[words]);
        assert!(workshop.entries() == workshop.before, "{words}: {:?}", workshop.names());
    }
    workshop.is_unharmed();
}

#[test]
fn answers_that_are_too_long_or_bring_descriptors_are_one_line() {
    let workshop = Workshop::new();
    let mut peak_bytes = 0;
    let ended = workshop.betrayed(&["run"], |stage| {
        let compiler = about_to_answer(stage);
        while say(stage, compiler, &FULL).is_some_and(|sent| sent > 0) {
            peak_bytes = Footing::of(stage.supervisor()).peak_memory_bytes;
        }
        stage.dies(compiler);
    });
    ended.expect(125).complains_of(&["breaks the rules: a message is too large"]);
    assert!((18 << 20..64 << 20).contains(&peak_bytes), "{peak_bytes} bytes");
    for descriptors in [1, 253] {
        let ended = workshop.betrayed(&["run"], |stage| {
            let compiler = about_to_answer(stage);
            send_descriptors(stage, compiler, COMPILER_CONTROL, &vec![COMPILER_CONTROL as i32; descriptors]);
            stage.dies(compiler);
        });
        ended.expect(125).complains_of(&["breaks the rules: a packet is too large or carries descriptors"]);
    }
    // A reason as long as a message can be.
    let ended = workshop.betrayed(&["run"], |stage| {
        let compiler = about_to_answer(stage);
        let length: usize = 16 << 20;
        let mut answer = vec![REFUSED, 0x80, 0x80, 0x80, (length >> 21) as u8];
        answer.resize(answer.len() + length, b'x');
        let mut packets = answer.chunks(PACKET_BYTES).peekable();
        while let Some(payload) = packets.next() {
            let head = if packets.peek().is_some() { MORE } else { LAST };
            say(stage, compiler, &[&[head], payload].concat());
        }
        stage.dies(compiler);
    });
    let ended = ended.expect(126);
    ended.complains_of(&["can't run", "xxx"]);
    assert!(ended.stderr.len() < 70_000, "{} bytes of one line", ended.stderr.len());
    workshop.is_unharmed();
}

/// It could be that the answer goes on, for which there is time; but not for somebody who has had enough of it.
#[test]
fn answers_that_are_begun_and_not_gone_on_with_can_be_interrupted() {
    let workshop = Workshop::new();
    let ended = workshop.betrayed(&["run"], |stage| {
        let compiler = about_to_answer(stage);
        for _ in 0..3 {
            assert_eq!(say(stage, compiler, &FULL), Some(FULL.len() as i64));
        }
        stage.wait(Duration::from_millis(100));
        assert!(stage.is_alive(compiler), "it may have more to say");
        let supervisor = Pid::from_raw(stage.supervisor()).expect("not 0");
        rustix::process::kill_process(supervisor, Signal::TERM).expect("it is there");
        stage.dies(compiler);
    });
    ended.expect(143).complains_of(&["stopped while compiling", "exit.wat"]);
    // It dies in the middle.
    let ended = workshop.betrayed(&["run"], |stage| {
        let compiler = about_to_answer(stage);
        say(stage, compiler, &FULL);
        stage.kill(compiler);
        stage.dies(compiler);
    });
    ended.expect(125).complains_of(&["exit.wat", "the compiler was killed"]);
    workshop.is_unharmed();
}

#[test]
fn a_compiler_that_closes_its_socket_and_lives_is_ended() {
    let workshop = Workshop::new();
    let ended = workshop.betrayed(&["run"], |stage| {
        let compiler = about_to_answer(stage);
        stage.call(compiler, libc::SYS_close, [COMPILER_CONTROL, 0, 0, 0, 0, 0]);
        stage.dies(compiler);
    });
    ended.expect(125).complains_of(&["breaks the rules: it closed its control socket and went on"]);
    // A message of no bytes is how a socket tells that.
    let ended = workshop.betrayed(&["run"], |stage| {
        let compiler = about_to_answer(stage);
        say(stage, compiler, &[]);
        stage.dies(compiler);
    });
    ended.expect(125).complains_of(&["breaks the rules: it closed its control socket and went on"]);
    workshop.is_unharmed();
}

/// What ends a process, and what is said of it.
enum Death {
    /// It sends itself this signal.
    Signal(i32),
    /// It runs these instructions.
    Fault(&'static [u8]),
    Exit(u64),
}

#[test]
fn however_a_compiler_dies_it_is_one_line_and_leaves_nothing() {
    let deaths = [
        (Death::Signal(libc::SIGKILL), 125, "the compiler was killed"),
        (Death::Signal(libc::SIGABRT), 126, "too much memory"),
        (Death::Signal(libc::SIGXCPU), 126, "processor time"),
        (Death::Signal(libc::SIGPROF), 126, "processor time"),
        (Death::Signal(libc::SIGALRM), 126, "ended with signal: 14"),
        (Death::Signal(libc::SIGTRAP), 126, "ended with signal: 5"),
        (Death::Signal(libc::SIGUSR1), 126, "ended with signal: 10"),
        (Death::Signal(libc::SIGRTMIN()), 126, "ended with signal: 34"),
        // ud2; mov [0], eax; div by zero.
        (Death::Fault(b"\x0f\x0b"), 126, "ended with signal: 4"),
        (Death::Fault(b"\x31\xc0\x89\x00"), 126, "ended with signal: 11"),
        (Death::Fault(b"\x31\xc9\xf7\xf1"), 126, "ended with signal: 8"),
        (Death::Exit(0), 126, "ended with exit status: 0"),
        (Death::Exit(7), 126, "ended with exit status: 7"),
    ];
    let workshop = Workshop::new();
    for (death, code, words) in deaths {
        let ended = workshop.betrayed(&["run"], |stage| {
            let compiler = about_to_answer(stage);
            let own = compiler.pid as u64;
            match death {
                Death::Signal(signal) => {
                    let _ = stage.call(compiler, libc::SYS_tgkill, [own, own, signal as u64, 0, 0, 0]);
                }
                Death::Fault(code) => stage.run(compiler, code, [0; 4], [0; 5]),
                Death::Exit(status) => {
                    let _ = stage.call(compiler, libc::SYS_exit_group, [status, 0, 0, 0, 0, 0]);
                }
            }
            stage.dies(compiler);
        });
        ended.expect(code).complains_of(&["exit.wat", words]);
        assert!(workshop.entries() == workshop.before, "{words}: {:?}", workshop.names());
    }
    workshop.is_unharmed();
}

/// As long as it says, and of bytes that no engine can load.
#[test]
fn a_false_artifact_is_refused_and_compiled_again() {
    let workshop = Workshop::new();
    let garble = |stage: &mut Stage<'_, '_>| {
        let writing = stage.compiler(libc::SYS_write);
        let [artifact, address, length, ..] = writing.arguments;
        assert_eq!(artifact, ARTIFACT);
        stage.spoil(writing, address, &vec![0xe5; length as usize]);
        stage.let_make(writing);
        let answering = stage.compiler(libc::SYS_sendmsg);
        stage.let_make(answering);
    };
    let ended = workshop.betrayed(&["run"], garble);
    ended.expect(125).complains_of(&["the compiled artifact can't be loaded"]);
    workshop.is_unharmed();
    // Nobody has tried to load this one until it is run.
    let workshop = Workshop::new();
    workshop.betrayed(&["compile"], garble).expect(0);
    assert_eq!(workshop.names().len(), workshop.before.len() + 2);
    let ended = workshop.command(&["run"]).output().expect(77);
    assert_eq!(ended.stderr, "");
    let ended = workshop.command(&["run"]).output().expect(77);
    assert_eq!(ended.stderr, "");
}

#[test]
fn an_artifact_of_another_length_is_refused() {
    let honest = honest_answer();
    let workshop = Workshop::new();
    let ended = workshop.betrayed(&["compile"], |stage| {
        let writing = stage.compiler(libc::SYS_write);
        let compiler = stage.take(writing);
        say(stage, compiler, &honest);
        stage.dies(compiler);
    });
    ended.expect(125).complains_of(&["breaks the rules: its artifact has another length"]);
    workshop.is_unharmed();
}

/// It would cost nothing, as long as nobody copies it.
#[test]
fn an_artifact_longer_than_the_supervisor_could_copy_cannot_be_made() {
    let honest = honest_answer();
    let workshop = Workshop::new();
    let mut supervisor = Footing::default();
    let ended = workshop.betrayed(&["compile"], |stage| {
        let writing = stage.compiler(libc::SYS_write);
        let compiler = stage.take(writing);
        let far = 1 << 40;
        let place = stage.call(compiler, libc::SYS_lseek, [ARTIFACT, far, libc::SEEK_SET as u64, 0, 0, 0]);
        assert_eq!(place, Some(far.cast_signed()));
        let byte = stage.write(compiler, 0, b"x");
        let written = stage.call(compiler, libc::SYS_write, [ARTIFACT, byte, 1, 0, 0, 0]);
        assert_eq!(written, Some(-i64::from(libc::EFBIG)));
        supervisor = Footing::of(stage.supervisor());
        say(stage, compiler, &honest);
        stage.dies(compiler);
    });
    ended.expect(125).complains_of(&["breaks the rules: its artifact has another length"]);
    assert!(supervisor.peak_memory_bytes < 64 << 20, "{supervisor:?}");
    workshop.is_unharmed();
}

/// The names of imports and exports, and what is said of them.
#[test]
fn names_and_worlds_reach_nobody_with_control_characters() {
    let evil = |packet: &[u8]| {
        let name = b"wasi:cli/run@0.2";
        let text = &EVIL.as_bytes()[..name.len()];
        let places: Vec<usize> = (0..packet.len()).filter(|&at| packet[at..].starts_with(name)).collect();
        assert!(!places.is_empty(), "it exports that");
        let mut packet = packet.to_vec();
        places.iter().for_each(|&at| packet[at..at + name.len()].copy_from_slice(text));
        packet
    };
    for words in [&["run"][..], &["inspect"], &["inspect", "--json"]] {
        let workshop = Workshop::new();
        let ended = workshop.betrayed(words, |stage| {
            let compiler = about_to_answer(stage);
            let answer = stage.recorded().pop().expect("it was recorded");
            say(stage, compiler, &evil(&answer));
            stage.dies(compiler);
        });
        let shown = format!("{}{}", ended.text(), ended.stderr);
        let is_harmful = |one: char| (one.is_control() && one != '\n') || one == '\u{202e}';
        assert!(!shown.chars().any(is_harmful), "{ended:?}");
        if words == ["run"] {
            ended.expect(126).complains_of(&["doesn't export wasi:cli/run"]);
        } else {
            assert!(ended.expect(0).text().contains("31m"), "it is shown");
        }
        // At worst its own entry is wrong, which is of use to nobody.
        assert!(workshop.before.iter().all(|entry| workshop.entries().contains(entry)), "another entry was changed");
        Wasmproc::new(["cache", "clear"]).cache(workshop.scratch.at("cache")).output().expect(0);
        workshop.command(&["run"]).output().expect(77);
    }
}
