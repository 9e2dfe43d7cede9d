//! Who is traced, and what each of them is.

use std::collections::{HashMap, HashSet};
use std::fs;

use super::Call;

/// What a process of a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Role {
    /// A program that starts the command.
    Outside,
    Supervisor,
    /// A child of the supervisor that is about to execute a program.
    Launcher,
    Compiler,
    Doorstep,
    Init,
    Zygote,
    Worker,
}

impl Role {
    /// What a new child is.
    fn of_child(self, how: Birth) -> Role {
        match (self, how) {
            (Role::Supervisor, Birth::Vfork) => Role::Launcher,
            (Role::Supervisor, Birth::Fork) => Role::Doorstep,
            // Its sibling, inside the namespaces.
            (Role::Doorstep, _) => Role::Init,
            (Role::Init, _) => Role::Zygote,
            (Role::Zygote, _) => Role::Worker,
            // A thread, or a process of which nothing is known.
            (same, _) => same,
        }
    }

    /// What a process is that has just been executed.
    fn of_executed(pid: i32) -> Role {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let first = line.split(|&byte| byte == 0).next().unwrap_or_default();
        match first.rsplit(|&byte| byte == b'/').next().unwrap_or_default() {
            b"wasmproc" => Role::Supervisor,
            b"wasmproc-init" => Role::Doorstep,
            b"wasmproc-compiler" => Role::Compiler,
            _ => Role::Outside,
        }
    }

    /// What a process is that has taken a name.
    fn named(self, pid: i32) -> Role {
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        match name.trim_end() {
            "wasmproc-init" => Role::Init,
            "wasmproc-zygote" => Role::Zygote,
            "wasmproc-worker" => Role::Worker,
            _ => self,
        }
    }
}

/// How a process came to be, as ptrace tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Birth {
    Fork,
    Vfork,
    /// A thread, or a sibling.
    Clone,
}

/// A traced process or thread.
pub(super) struct Process {
    role: Role,
    filters: u32,
    in_main: bool,
    /// The call that it is in.
    call: Option<Call>,
    /// What was done to that call.
    pub(super) injected: Option<Injected>,
}

/// A call that was replaced.
pub(super) struct Injected {
    /// What it is to return; `None` if what the replacement returns is right.
    pub(super) result: Option<i64>,
    pub(super) first_argument: u64,
}

impl Process {
    fn first() -> Process {
        Process { role: Role::Outside, filters: 0, in_main: false, call: None, injected: None }
    }

    fn child(&self, how: Birth) -> Process {
        // A thread begins with what the language does for it, and so does a compiler's.
        let in_main = self.in_main && self.role != Role::Compiler;
        Process { role: self.role.of_child(how), in_main, call: None, injected: None, ..*self }
    }

    /// It enters a system call: what is to become of that?
    pub(super) fn enters(&mut self, pid: i32, number: i64, arguments: [u64; 6]) -> Call {
        let call = Call { role: self.role, pid, number, arguments, filters: self.filters, in_main: self.in_main };
        self.call = Some(call);
        call
    }

    /// It leaves the call that it was in.
    pub(super) fn leaves(&mut self, pid: i32, result: i64) {
        let Some(call) = self.call.take() else { return };
        if result < 0 {
            return;
        }
        match (call.number, call.arguments[0]) {
            (libc::SYS_seccomp, mode) if mode == u64::from(libc::SECCOMP_SET_MODE_FILTER) => self.filters += 1,
            // The last that Rust does before `main`: a stack for the handler of stack overflows.
            (libc::SYS_sigaltstack, stack) if stack != 0 => self.in_main = true,
            (libc::SYS_prctl, option) if option == libc::PR_SET_NAME as u64 => self.role = self.role.named(pid),
            _ => {}
        }
    }
}

/// All tracees.
pub(super) struct Family {
    known: HashMap<i32, Process>,
    /// Seen before whoever made them said so; they stay stopped until then.
    early: HashSet<i32>,
}

impl Family {
    pub(super) fn of(first: i32) -> Family {
        Family { known: HashMap::from([(first, Process::first())]), early: HashSet::new() }
    }

    /// Somebody known, or nobody: then it is held until it is known.
    pub(super) fn find(&mut self, pid: i32) -> Option<&mut Process> {
        if !self.known.contains_key(&pid) {
            self.early.insert(pid);
        }
        self.known.get_mut(&pid)
    }

    /// A child was born. Returns whether it is stopped already.
    pub(super) fn born(&mut self, parent: i32, child: i32, how: Birth) -> bool {
        let born = self.known.get(&parent).map_or_else(Process::first, |parent| parent.child(how));
        self.known.insert(child, born);
        self.early.remove(&child)
    }

    pub(super) fn executed(&mut self, pid: i32) {
        if let Some(process) = self.known.get_mut(&pid) {
            process.role = Role::of_executed(pid);
            process.in_main = false;
        }
    }

    pub(super) fn knows(&self, pid: i32) -> bool {
        self.known.contains_key(&pid)
    }

    pub(super) fn pids(&self) -> impl Iterator<Item = i32> {
        self.known.keys().copied()
    }

    /// What it is; one of whom nothing is known comes from outside.
    pub(super) fn role(&self, pid: i32) -> Role {
        self.known.get(&pid).map_or(Role::Outside, |process| process.role)
    }

    pub(super) fn gone(&mut self, pid: i32) {
        self.known.remove(&pid);
        self.early.remove(&pid);
    }

    /// Who is there.
    pub(super) fn roles(&self) -> Vec<Role> {
        let mut roles: Vec<Role> = self.known.values().map(|process| process.role).collect();
        roles.sort();
        roles
    }
}
