//! The processes of a run, as /proc shows them to the host.

use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use super::wait::A_LOADED_SECOND;

/// A process. Its pid alone could be another's by now; with the time of its start it can't.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    pub(crate) name: String,
    /// The kernel's letter: R, S, D, T, Z...
    pub(crate) state: char,
    parent: i32,
    started: u64,
}

impl Process {
    pub(crate) fn of(pid: i32) -> Option<Process> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let name = stat[stat.find('(')? + 1..stat.rfind(')')?].to_owned();
        let fields: Vec<&str> = stat[stat.rfind(')')? + 1..].split_whitespace().collect();
        Some(Process {
            pid,
            name,
            state: fields.first()?.chars().next()?,
            parent: fields.get(1)?.parse().ok()?,
            started: fields.get(19)?.parse().ok()?,
        })
    }

    fn all() -> Vec<Process> {
        let pids = fs::read_dir("/proc").expect("/proc is there").flatten();
        pids.filter_map(|entry| Process::of(entry.file_name().to_str()?.parse().ok()?)).collect()
    }

    /// All that descend from `ancestor`, itself not among them.
    pub(crate) fn descendants(ancestor: i32) -> Vec<Process> {
        let mut children: HashMap<i32, Vec<Process>> = HashMap::new();
        for process in Process::all() {
            children.entry(process.parent).or_default().push(process);
        }
        let mut found = Vec::new();
        let mut parents = vec![ancestor];
        while let Some(parent) = parents.pop() {
            let own = children.remove(&parent).unwrap_or_default();
            parents.extend(own.iter().map(|process| process.pid));
            found.extend(own);
        }
        // Oldest first: a process that was forked a moment ago still has its maker's name.
        found.sort_by_key(|process| (process.started, process.pid));
        found
    }

    /// Whether it still does something: a zombie, which waits for its parent to look at it, doesn't.
    pub(crate) fn is_alive(&self) -> bool {
        Process::of(self.pid).is_some_and(|now| now.started == self.started && !matches!(now.state, 'Z' | 'X'))
    }

    pub(crate) fn kill(&self) {
        let pid = Pid::from_raw(self.pid).expect("not 0");
        // It may be dead already, which is as good.
        let _ = rustix::process::kill_process(pid, Signal::KILL);
    }

    /// A line of /proc/PID/status.
    #[track_caller]
    pub(crate) fn status(&self, field: &str) -> String {
        let status = fs::read_to_string(self.file("status")).expect("it is alive");
        let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        line.unwrap_or_else(|| panic!("no {field} in {status}")).trim().to_owned()
    }

    /// What it can write to and what lies there, which is where data are; `None` where only root may look.
    pub(crate) fn memory(&self) -> Option<Vec<u8>> {
        self.memory_with("wr")
    }

    /// What lies in its mappings that have this flag, as `VmFlags` in /proc/PID/smaps names it.
    pub(crate) fn memory_with(&self, flag: &str) -> Option<Vec<u8>> {
        let memory = File::open(self.file("mem")).ok()?;
        let mut found = Vec::new();
        let maps = fs::read_to_string(self.file("smaps")).ok()?;
        let mut addresses = "";
        for line in maps.lines() {
            let first = line.split_whitespace().next()?;
            if first.contains('-') {
                addresses = first;
            }
            if first != "VmFlags:" || !line.split_whitespace().any(|one| one == flag) {
                continue;
            }
            let (start, end) = addresses.split_once('-')?;
            let [start, end] = [start, end].map(|address| u64::from_str_radix(address, 16).expect("an address"));
            let mut bytes = vec![0; (end - start) as usize];
            // Some of it is only reserved.
            if let Ok(length) = memory.read_at(&mut bytes, start) {
                found.extend_from_slice(&bytes[..length]);
            }
        }
        Some(found)
    }

    /// Processor time that it has used; `None` when it is gone. (The ticks in `stat` would hide what is little.)
    pub(crate) fn cpu_time(&self) -> Option<Duration> {
        let schedstat = fs::read_to_string(self.file("schedstat")).ok()?;
        Some(Duration::from_nanos(schedstat.split_whitespace().next()?.parse().ok()?))
    }

    /// The number of its session.
    pub(crate) fn session(&self) -> Option<i32> {
        rustix::process::getsid(Pid::from_raw(self.pid)).ok().map(|session| session.as_raw_nonzero().get())
    }

    /// The group that the kernel's scheduler has put its session into, and the group's weight; `None` without such groups.
    pub(crate) fn autogroup(&self) -> Option<String> {
        Some(fs::read_to_string(self.file("autogroup")).ok()?.trim().to_owned())
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{name}", self.pid))
    }

    /// What names its namespace of this kind; `None` where only root may look.
    pub(crate) fn namespace(&self, kind: &str) -> Option<PathBuf> {
        fs::read_link(self.file(&format!("ns/{kind}"))).ok()
    }
}

/// Who belongs to a run: those who descend from its supervisor now, and whoever is in a pid namespace of theirs later.
pub(crate) struct Footprint {
    processes: Vec<Process>,
    namespaces: BTreeSet<PathBuf>,
}

impl Footprint {
    pub(crate) fn of(supervisor: i32) -> Footprint {
        let own = fs::read_link("/proc/self/ns/pid").expect("/proc is there");
        let processes = Process::descendants(supervisor);
        let found = processes.iter().filter_map(|process| process.namespace("pid"));
        Footprint { namespaces: found.filter(|namespace| *namespace != own).collect(), processes }
    }

    /// Asserts that nobody of it is left, within a second.
    #[track_caller]
    pub(crate) fn is_gone(&self) {
        let began = Instant::now();
        while let left = self.left()
            && !left.is_empty()
        {
            assert!(began.elapsed() < A_LOADED_SECOND, "left behind: {left:?}");
            sleep(Duration::from_millis(5));
        }
    }

    fn left(&self) -> Vec<Process> {
        let mut left: Vec<Process> = self.processes.iter().filter(|process| process.is_alive()).cloned().collect();
        if !self.namespaces.is_empty() {
            let inside = |process: &Process| {
                process.namespace("pid").is_some_and(|namespace| self.namespaces.contains(&namespace))
            };
            left.extend(Process::all().into_iter().filter(|process| inside(process) && process.is_alive()));
        }
        left
    }
}
