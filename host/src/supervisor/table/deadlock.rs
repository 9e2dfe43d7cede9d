//! Circles of waiters.
//!
//! A process that waits for a lock or for another process's end, without a time-out, reports that after a while. The
//! reports and what the locks say of their holders are looked at together; a circle counts if a second look, a moment later,
//! finds the very same waits. One of its members, the last to report, gets an error instead of an eternity.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use super::{Action, Now, ObjectAction, Phase, Table};
use crate::Pid;
use crate::wire::object::{Blocker, ObjectId};
use crate::wire::worker::ToWorker;

/// Between a report and the first look, and between the two looks.
const PAUSE: Duration = Duration::from_millis(50);
/// Members of a circle that its message names.
const MAX_NAMED: usize = 16;

#[derive(Debug, Default)]
pub(super) struct Waits {
    reports: BTreeMap<Pid, Wait>,
    reported: u64,
    look_at: Option<Now>,
    /// Circles that were seen once.
    suspects: BTreeSet<Circle>,
}

#[derive(Debug, Clone, Copy)]
struct Wait {
    sequence: u64,
    on: Blocker,
    order: u64,
}

/// Who waits with which sequence number for whom, beginning with the smallest pid.
type Circle = Vec<(Pid, u64, Pid)>;

impl Waits {
    pub(super) fn next_deadline(&self) -> Option<Now> {
        self.look_at
    }

    /// What a process has waited for for a while.
    pub(super) fn of(&self, pid: Pid) -> Option<String> {
        self.reports.get(&pid).map(|wait| match wait.on {
            Blocker::Lock(id) => format!("lock {}", id.0),
            Blocker::End(other) => format!("the end of process {other}"),
        })
    }
}

impl Table {
    pub(super) fn blocked(&mut self, pid: Pid, sequence: u64, on: Blocker, now: Now) {
        let plausible = match on {
            Blocker::Lock(id) => self.objects.has(pid, id),
            Blocker::End(other) => {
                let is_parent =
                    |child: Pid, parent| self.processes.get(&child).is_some_and(|one| one.parent == Some(parent));
                is_parent(other, pid) || is_parent(pid, other)
            }
        };
        if !plausible {
            return;
        }
        self.waits.reported += 1;
        let order = self.waits.reported;
        self.waits.reports.insert(pid, Wait { sequence, on, order });
        self.waits.look_at.get_or_insert(now.saturating_add(PAUSE));
    }

    pub(super) fn unblocked(&mut self, pid: Pid) {
        self.waits.reports.remove(&pid);
    }

    pub(super) fn look_for_circles(&mut self, now: Now, actions: &mut Vec<Action>) {
        if self.waits.look_at.is_none_or(|due| due > now) {
            return;
        }
        self.waits.look_at = None;
        let locks: BTreeSet<ObjectId> = self
            .waits
            .reports
            .values()
            .filter_map(|wait| match wait.on {
                Blocker::Lock(id) => self.objects.memory_of(id),
                Blocker::End(_) => None,
            })
            .collect();
        actions.push(Action::Object(ObjectAction::ReadHolders(locks.into_iter().collect())));
    }

    pub(super) fn holders_read(&mut self, holders: &[(ObjectId, u32)], now: Now, actions: &mut Vec<Action>) {
        let holders: HashMap<ObjectId, Pid> =
            holders.iter().map(|(memory, holder)| (*memory, Pid(u64::from(*holder)))).collect();
        let mut circles = BTreeSet::new();
        for pid in self.waits.reports.keys() {
            if let Some(circle) = self.circle_of(*pid, &holders) {
                circles.insert(circle);
            }
        }
        let before = std::mem::take(&mut self.waits.suspects);
        let (proven, suspects): (BTreeSet<Circle>, BTreeSet<Circle>) =
            circles.into_iter().partition(|circle| before.contains(circle));
        for circle in &proven {
            self.break_circle(circle, actions);
        }
        if !suspects.is_empty() {
            self.waits.look_at = Some(now.saturating_add(PAUSE));
        }
        self.waits.suspects = suspects;
    }

    /// The shortest way from `pid` along those it waits for back to itself.
    fn circle_of(&self, pid: Pid, holders: &HashMap<ObjectId, Pid>) -> Option<Circle> {
        let mut came_from: HashMap<Pid, Pid> = HashMap::new();
        let mut next = VecDeque::from([pid]);
        while let Some(at) = next.pop_front() {
            for other in self.waited_for_by(at, holders) {
                if other == pid {
                    return Some(self.circle_through(pid, at, &came_from));
                }
                if let std::collections::hash_map::Entry::Vacant(new) = came_from.entry(other) {
                    new.insert(at);
                    next.push_back(other);
                }
            }
        }
        None
    }

    fn circle_through(&self, first: Pid, last: Pid, came_from: &HashMap<Pid, Pid>) -> Circle {
        let sequence = |pid: Pid| self.waits.reports.get(&pid).map_or(0, |wait| wait.sequence);
        let mut circle = vec![(last, sequence(last), first)];
        let mut at = last;
        while at != first {
            let Some(&before) = came_from.get(&at) else { break };
            circle.push((before, sequence(before), at));
            at = before;
        }
        circle.reverse();
        let smallest = circle.iter().enumerate().min_by_key(|(_, (pid, ..))| *pid).map_or(0, |(index, _)| index);
        circle.rotate_left(smallest);
        circle
    }

    fn waited_for_by(&self, pid: Pid, holders: &HashMap<ObjectId, Pid>) -> Vec<Pid> {
        // One whose main function has returned waits for its children.
        if let Some(process) = self.processes.get(&pid)
            && process.phase == Phase::Draining
        {
            return process.children.iter().copied().collect();
        }
        let Some(wait) = self.waits.reports.get(&pid) else { return Vec::new() };
        let other = match wait.on {
            Blocker::Lock(id) => self.objects.memory_of(id).and_then(|memory| holders.get(&memory).copied()),
            Blocker::End(other) => Some(other),
        };
        // Who waits for itself is told so at once, by its own worker.
        other.filter(|other| *other != pid && self.processes.contains_key(other)).into_iter().collect()
    }

    fn break_circle(&mut self, circle: &Circle, actions: &mut Vec<Action>) {
        let reported = |pid: &Pid| self.waits.reports.get(pid).map(|wait| (wait.order, *pid, wait.sequence));
        let Some((_, victim, sequence)) = circle.iter().filter_map(|(pid, ..)| reported(pid)).max() else { return };
        let message = self.describe(circle);
        self.waits.reports.remove(&victim);
        actions.push(Action::Notice(format!("{message}; process {victim} gets an error")));
        self.tell(victim, ToWorker::Deadlock { sequence, message }, actions);
        actions.push(Action::Object(ObjectAction::Alarm(victim)));
    }

    fn describe(&self, circle: &Circle) -> String {
        let named = |pid: &Pid| match self.processes.get(pid) {
            Some(process) => format!("process {pid} ({})", process.name),
            None => format!("process {pid}"),
        };
        let step = |(pid, _, other): &(Pid, u64, Pid)| match self.waits.reports.get(pid).map(|wait| wait.on) {
            Some(Blocker::Lock(id)) => format!("{} waits for lock {} held by {}", named(pid), id.0, named(other)),
            _ => format!("{} waits for the end of {}", named(pid), named(other)),
        };
        let mut steps: Vec<String> = circle.iter().take(MAX_NAMED).map(step).collect();
        if circle.len() > MAX_NAMED {
            steps.push(format!("and {} more", circle.len() - MAX_NAMED));
        }
        format!("deadlock: {}", steps.join(", "))
    }
}
