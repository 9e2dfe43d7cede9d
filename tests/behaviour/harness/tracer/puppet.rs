//! A worker in the hands of a test, as it would be in those of somebody who got out of WebAssembly into native code.
//!
//! A guest that is to be taken over prints a line that asks for it. From then on its process does what the test says:
//! system calls one at a time, or a loop of them in machine code. The kernel's sandbox stands around it as around
//! any worker. The supervisor is not looked at, so that it is as fast as ever; nobody is, once nobody more is to come.
//!
//! A puppet rests at the entry of a call that it has not made yet: the next one is put in its place. At the end of that,
//! the instruction is executed once more.
//!
//! A compile worker asks for nothing. It can be held when it is about to write what it has made, and to answer.

use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use super::kernel::{self, Registers, Side};
use super::{Answer, Call, Role, Scope, Trace, Trouble};
use crate::harness::command::Wasmproc;
use crate::harness::output::Ended;
use crate::harness::wait::A_LOADED_SECOND;

/// The descriptor of a worker's control socket.
pub(crate) const CONTROL: u64 = 48;

/// That of a compile worker's.
pub(crate) const COMPILER_CONTROL: u64 = 0;

/// What a guest prints to be taken over.
const TAKE_ME: &[u8] = b"take me over\n";

const SCRATCH_BYTES: usize = 1 << 20;
const STEP: Duration = Duration::from_micros(200);

impl Wasmproc {
    /// Runs it to its end, and has the workers that ask for it in the hands of `script`.
    pub(crate) fn taken_over(self, script: impl FnOnce(&mut Stage<'_, '_>) + Send) -> Result<Ended, Trouble> {
        self.played(Scope::Inside, script)
    }

    /// Runs it to its end, and has its compile worker in the hands of `script`.
    pub(crate) fn compiler_taken_over(self, script: impl FnOnce(&mut Stage<'_, '_>) + Send) -> Result<Ended, Trouble> {
        self.played(Scope::Compiler, script)
    }

    fn played(self, scope: Scope, script: impl FnOnce(&mut Stage<'_, '_>) + Send) -> Result<Ended, Trouble> {
        let play = move || {
            let recorded = RefCell::new(Vec::new());
            let decide = |call: &Call| decide(call, &mut recorded.borrow_mut());
            let mut trace = Trace::begin(self, scope, Box::new(decide));
            script(&mut Stage { trace: &mut trace, recorded: &recorded });
            trace.let_all_go();
            trace.follow()
        };
        let played = thread::scope(|scope| scope.spawn(play).join());
        played.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

impl Trace<'_> {
    /// Nobody is taken over any more. Those who are, and were not asked for, go on.
    fn let_all_go(&mut self) {
        self.scope = Scope::Nobody;
        for pid in std::mem::take(&mut self.new_puppets) {
            self.puppets.retain(|&puppet| puppet != pid);
            kernel::let_go(pid, 0);
        }
    }
}

fn decide(call: &Call, recorded: &mut Vec<Vec<u8>>) -> Answer {
    let [first, second, third, ..] = call.arguments;
    match call.number {
        // A worker is not traceable, for whoever is not root. That is tested elsewhere.
        libc::SYS_prctl if first == libc::PR_SET_DUMPABLE as u64 && second == 0 => Answer::Fail(0),
        libc::SYS_write if call.role == Role::Worker && third == TAKE_ME.len() as u64 => {
            match read(call.pid, second, TAKE_ME.len()) {
                Ok(line) if line == TAKE_ME => Answer::Hold,
                _ => Answer::Continue,
            }
        }
        libc::SYS_sendmsg if call.role == Role::Worker && first == CONTROL => {
            recorded.extend(packet(call.pid, second).ok());
            Answer::Continue
        }
        // What it writes once it is confined is its artifact, and what it sends is its answer.
        libc::SYS_write if call.role == Role::Compiler && call.filters > 0 => Answer::Hold,
        libc::SYS_sendmsg if call.role == Role::Compiler && first == COMPILER_CONTROL => {
            recorded.extend(packet(call.pid, second).ok());
            Answer::Hold
        }
        _ => Answer::Continue,
    }
}

/// What a message header points to.
fn packet(pid: i32, header: u64) -> io::Result<Vec<u8>> {
    let word = |address: u64| -> io::Result<u64> {
        Ok(u64::from_ne_bytes(read(pid, address, 8)?.try_into().expect("eight bytes")))
    };
    let (slices, count) = (word(header + 16)?, word(header + 24)?);
    let mut bytes = Vec::new();
    for slice in 0..count.min(16) {
        let (address, length) = (word(slices + 16 * slice)?, word(slices + 16 * slice + 8)?);
        bytes.extend(read(pid, address, length as usize)?);
    }
    Ok(bytes)
}

fn read(pid: i32, address: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    File::open(format!("/proc/{pid}/mem"))?.read_exact_at(&mut bytes, address)?;
    Ok(bytes)
}

fn write(pid: i32, address: u64, bytes: &[u8]) -> io::Result<()> {
    File::options().write(true).open(format!("/proc/{pid}/mem"))?.write_all_at(bytes, address)
}

/// A run in which workers are taken over.
pub(crate) struct Stage<'a, 'b> {
    trace: &'a mut Trace<'b>,
    recorded: &'a RefCell<Vec<Vec<u8>>>,
}

/// A worker that was taken over. Its calls return `None` when it is dead.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Puppet {
    pub(crate) pid: i32,
    /// Memory of its own to work with.
    scratch: u64,
    /// The call that it was about to make when it was taken over.
    number: i64,
    arguments: [u64; 6],
}

/// A thread of a compile worker that is about to make this call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Held {
    pub(crate) pid: i32,
    pub(crate) arguments: [u64; 6],
}

impl Stage<'_, '_> {
    /// The compile worker, when it is about to make this call: write(2) of its artifact, or sendmsg(2) of its answer.
    #[track_caller]
    pub(crate) fn compiler(&mut self, number: i64) -> Held {
        loop {
            while let Some(pid) = self.trace.new_puppets.pop_front() {
                match kernel::side(pid) {
                    Some(Side::Entry { number: held, arguments }) if held == number => return Held { pid, arguments },
                    _ => self.go_on(pid),
                }
            }
            let (pid, status) = kernel::wait().expect("the compile worker makes this call");
            self.trace.happened(pid, status);
        }
    }

    /// Writes where a process that was held has its own memory.
    #[track_caller]
    pub(crate) fn spoil(&mut self, held: Held, address: u64, bytes: &[u8]) {
        write(held.pid, address, bytes).expect("a tracer may write anywhere");
    }

    /// Lets it make the call that it was held at.
    pub(crate) fn let_make(&mut self, held: Held) {
        self.go_on(held.pid);
    }

    /// From now on it does what the test says.
    #[track_caller]
    pub(crate) fn take(&mut self, held: Held) -> Puppet {
        self.prepare(held.pid).expect("it is alive")
    }

    pub(crate) fn supervisor(&self) -> i32 {
        self.trace.main
    }

    /// All packets that workers have sent so far, as long as their calls were looked at.
    pub(crate) fn recorded(&self) -> Vec<Vec<u8>> {
        self.recorded.borrow().clone()
    }

    /// The next worker that asks for it.
    #[track_caller]
    pub(crate) fn puppet(&mut self) -> Puppet {
        loop {
            if let Some(puppet) = self.trace.new_puppets.pop_front().and_then(|pid| self.prepare(pid)) {
                return puppet;
            }
            if self.trace.new_puppets.is_empty() {
                let (pid, status) = kernel::wait().expect("nobody asked to be taken over before the run was over");
                self.trace.happened(pid, status);
            }
        }
    }

    /// One that was killed meanwhile, with its parent for example, is none.
    fn prepare(&mut self, pid: i32) -> Option<Puppet> {
        let access = (libc::PROT_READ | libc::PROT_WRITE) as u64;
        let kind = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS) as u64;
        let Side::Entry { number, arguments } = kernel::side(pid)? else { return None };
        let puppet = Puppet { pid, scratch: 0, number, arguments };
        let mapped = self.call(puppet, libc::SYS_mmap, [0, SCRATCH_BYTES as u64, access, kind, u64::MAX, 0])?;
        Some(Puppet { scratch: mapped as u64, ..puppet })
    }

    /// From now on nobody is looked at who is not in its hands.
    pub(crate) fn that_is_all(&mut self) {
        self.trace.scope = Scope::Nobody;
    }

    /// As before [`Stage::that_is_all`]: somebody more is to come.
    pub(crate) fn look_again(&mut self) {
        self.trace.scope = Scope::Inside;
        self.trace.family.pids().for_each(kernel::interrupt);
    }

    /// Kills a worker from outside.
    pub(crate) fn kill(&mut self, puppet: Puppet) {
        let pid = rustix::process::Pid::from_raw(puppet.pid).expect("not 0");
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }

    /// Makes a system call.
    pub(crate) fn call(&mut self, puppet: Puppet, number: i64, arguments: [u64; 6]) -> Option<i64> {
        let mut registers = Registers::of(puppet.pid)?;
        registers.set_call(number, arguments);
        registers.store(puppet.pid);
        let result = match self.reach_stop(puppet)? {
            Side::Exit { result } => result,
            Side::Entry { .. } => panic!("a call in a call"),
        };
        let mut registers = Registers::of(puppet.pid)?;
        registers.go_back();
        registers.store(puppet.pid);
        self.reach_stop(puppet)?;
        Some(result)
    }

    /// Lets it go, to do what it was about to do when it was taken over.
    pub(crate) fn release(&mut self, puppet: Puppet) {
        if let Some(mut registers) = Registers::of(puppet.pid) {
            registers.set_call(puppet.number, puppet.arguments);
            registers.store(puppet.pid);
        }
        self.go_on(puppet.pid);
    }

    fn go_on(&mut self, pid: i32) {
        self.trace.puppets.retain(|&puppet| puppet != pid);
        self.trace.resume(pid, 0);
    }

    /// Lets it go into machine code, with these values in the registers rdi, rsi, rdx, r10, and in rbx, r12 to r15.
    pub(crate) fn run(&mut self, puppet: Puppet, code: &[u8], arguments: [u64; 4], others: [u64; 5]) {
        let Some(mut registers) = Registers::of(puppet.pid) else { return };
        let [rdi, rsi, rdx, r10] = arguments;
        registers.set_call(libc::SYS_getpid, [rdi, rsi, rdx, r10, 0, 0]);
        [registers.0.rbx, registers.0.r12, registers.0.r13, registers.0.r14, registers.0.r15] = others;
        registers.store(puppet.pid);
        // It is its own copy of the page that changes.
        write(puppet.pid, registers.0.rip, code).expect("a tracer may write anywhere");
        self.trace.puppets.retain(|&pid| pid != puppet.pid);
        kernel::let_go(puppet.pid, 0);
    }

    /// Writes into its scratch memory. Returns the address.
    #[track_caller]
    pub(crate) fn write(&mut self, puppet: Puppet, offset: usize, bytes: &[u8]) -> u64 {
        assert!(offset + bytes.len() <= SCRATCH_BYTES, "there is no room for it");
        let address = puppet.scratch + offset as u64;
        // One that was killed meanwhile has no memory; what is asked of it next tells that.
        let _ = write(puppet.pid, address, bytes);
        address
    }

    pub(crate) fn read(&mut self, puppet: Puppet, offset: usize, length: usize) -> Option<Vec<u8>> {
        read(puppet.pid, puppet.scratch + offset as u64, length).ok()
    }

    /// Lets time pass for everybody else.
    pub(crate) fn wait(&mut self, time: Duration) {
        let began = Instant::now();
        while began.elapsed() < time {
            match kernel::poll() {
                Some((pid, status)) => self.trace.happened(pid, status),
                None => sleep(STEP),
            }
        }
    }

    /// Waits until a worker that was taken over is dead, and fails if that takes more than a second on a machine that
    /// has nothing else to do.
    #[track_caller]
    pub(crate) fn dies(&mut self, puppet: Puppet) {
        let began = Instant::now();
        while self.is_alive(puppet) {
            assert!(began.elapsed() < A_LOADED_SECOND, "it is still alive");
            self.wait(Duration::from_millis(1));
        }
    }

    pub(crate) fn is_alive(&self, puppet: Puppet) -> bool {
        self.trace.family.knows(puppet.pid)
    }

    /// Lets it go on to its next system call stop.
    fn reach_stop(&mut self, puppet: Puppet) -> Option<Side> {
        kernel::resume(puppet.pid, 0);
        while self.is_alive(puppet) {
            match self.trace.puppet_stop.take() {
                Some((pid, signal)) if pid == puppet.pid && signal == libc::SIGTRAP | 0x80 => {
                    return kernel::side(puppet.pid);
                }
                // All processes of a run ignore it: a write was too long for a file.
                Some((pid, libc::SIGXFSZ)) if pid == puppet.pid => kernel::resume(pid, libc::SIGXFSZ),
                // A denied call, most likely: its handler ends it.
                Some((pid, signal)) if pid == puppet.pid => {
                    self.trace.puppets.retain(|&one| one != pid);
                    kernel::let_go(pid, signal);
                    return None;
                }
                _ => {}
            }
            let (pid, status) = kernel::wait()?;
            self.trace.happened(pid, status);
        }
        None
    }
}
