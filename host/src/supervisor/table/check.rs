//! What has to hold in the table after every event, whatever the events are. For tests and for fuzzing.

use std::collections::BTreeSet;

#[cfg(feature = "fuzzing")]
use super::Now;
use super::death::long_bytes;
use super::{MAIN, Phase, Process, Table};

impl Table {
    /// Panics if the table contradicts itself.
    pub(crate) fn check(&self) {
        for (pid, process) in &self.processes {
            assert_eq!(*pid, process.pid);
            self.check_family(process);
            self.check_worker(process);
        }
        assert!(self.processes.len() <= self.limits.max_processes);
        assert!(self.processes.is_empty() || self.processes.contains_key(&MAIN), "the first process ends last");
        self.check_workers();
        self.check_memory();
        self.objects.check(|pid| self.processes.contains_key(&pid));
        assert!(self.objects.len() <= self.limits.max_total_objects);
        assert!(self.alarms.len() <= 2 * self.processes.len(), "each has a deadline and a grace period at most");
    }

    /// Panics if a time limit is over and nothing was done, or if nobody will look when it is.
    #[cfg(feature = "fuzzing")]
    pub(crate) fn check_time(&self, now: Now) {
        for process in self.processes.values().filter(|process| process.phase != Phase::Dying) {
            let grace = process.grace_over.map(|(over, _)| over);
            let Some(due) = process.deadline.into_iter().chain(grace).min() else { continue };
            assert!(due > now, "a time limit is kept");
            assert!(self.next_deadline().is_some_and(|look| look <= due), "somebody looks when a time limit is over");
        }
    }

    /// Panics if anything is left of a run that is over.
    #[cfg(feature = "fuzzing")]
    pub(crate) fn check_end(&self) {
        assert!(self.processes.is_empty() && self.by_worker.is_empty() && self.waiting.is_empty());
        assert!(self.kept.is_empty() && self.kept_bytes == 0);
        self.check_memory();
        self.objects.check_end();
    }

    fn check_family(&self, process: &Process) {
        assert_eq!(process.parent.is_none(), process.pid == MAIN);
        if let Some(parent) = process.parent {
            let parent = self.processes.get(&parent).expect("a living process has its parent in the table");
            assert!(parent.children.contains(&process.pid), "a process is among its parent's children");
            assert!(!parent.daemon, "a daemon has no children");
            let doomed = parent.phase == Phase::Dying;
            assert!(!doomed || process.phase == Phase::Dying, "descendants of the dying are dying");
        }
        for child in &process.children {
            let parent = self.processes.get(child).and_then(|child| child.parent);
            assert_eq!(parent, Some(process.pid), "children are in the table");
        }
        let ending = matches!(process.phase, Phase::Draining | Phase::Dying);
        assert_eq!(process.cause.is_some(), ending, "who ends has a cause");
        let over = ending && process.worker.is_none() && process.children.is_empty();
        assert!(!over, "a process of which nothing is left is not kept");
    }

    fn check_worker(&self, process: &Process) {
        if let Some(worker) = process.worker {
            assert_eq!(self.by_worker.get(&worker), Some(&process.pid));
        }
        let starting = process.phase == Phase::Starting;
        assert!(process.phase != Phase::Running || process.worker.is_some(), "who runs has a worker");
        assert!(!starting || (process.worker.is_none() && process.start.is_some()));
        let waiting = self.waiting.iter().filter(|pid| **pid == process.pid).count();
        assert!(waiting <= usize::from(process.start.is_some()), "only who has not begun waits for a worker, and once");
    }

    fn check_workers(&self) {
        for (worker, pid) in &self.by_worker {
            let process = self.processes.get(pid).expect("a worker's process is in the table");
            assert_eq!(process.worker, Some(*worker));
        }
        for spare in &self.spares {
            assert!(!self.by_worker.contains_key(spare) && !self.forking.contains(spare), "a spare is nobody's");
        }
        let distinct: BTreeSet<_> = self.spares.iter().collect();
        assert_eq!(distinct.len(), self.spares.len());
        assert!(self.waiting.iter().all(|pid| self.processes.contains_key(pid)));
        assert!(self.waiting.len() <= self.forking.len(), "a worker comes for everybody who waits for one");
    }

    fn check_memory(&self) {
        let processes: u64 = self.processes.values().map(|process| process.memory_bytes + process.start_bytes).sum();
        assert_eq!(self.memory_bytes, processes + self.objects.bytes(), "memory is counted");
        assert!(self.memory_bytes <= self.limits.max_total_memory_bytes);
        let coming = self.processes.values().filter_map(|process| process.output.as_deref()).map(long_bytes);
        let kept = coming.sum::<u64>() + self.kept.values().map(|(_, output)| output.len() as u64).sum::<u64>();
        assert_eq!(self.kept_bytes, kept);
        assert!(kept <= self.limits.max_kept_output_bytes);
        assert!(self.kept.values().all(|(owner, _)| self.processes.contains_key(owner)), "results are for the living");
    }
}
