//! Views of directories that init makes for processes that are starting.

use std::collections::HashMap;
use std::os::fd::OwnedFd;

use super::spawn::View;
use crate::Pid;
use crate::wire::init::{NoView, ToInit};

/// Views that are being made, and those that are ready and wait for their process to have a worker.
#[derive(Default)]
pub(super) struct Views {
    /// By the ticket of the first one.
    expected: HashMap<u64, Expected>,
    ready: HashMap<Pid, Vec<OwnedFd>>,
    last_ticket: u64,
}

/// The views of one process. Their tickets follow each other.
struct Expected {
    pid: Pid,
    views: Vec<Option<OwnedFd>>,
    missing: usize,
}

impl Views {
    /// What to ask of init for the views of a process.
    pub(super) fn ask(&mut self, pid: Pid, views: &[View]) -> Vec<ToInit> {
        let first = self.last_ticket + 1;
        self.last_ticket += views.len() as u64;
        let empty = views.iter().map(|_| None).collect();
        self.expected.insert(first, Expected { pid, views: empty, missing: views.len() });
        let narrow = |(ticket, view): (u64, &View)| ToInit::Narrow {
            ticket,
            grant: view.grant,
            path: view.path.clone(),
            read_only: view.read_only,
        };
        (first..).zip(views).map(narrow).collect()
    }

    /// Init has made one, or not. Returns the process that has all of its views by this, or will not have them.
    pub(super) fn made(
        &mut self,
        ticket: u64,
        view: Option<OwnedFd>,
        error: Option<NoView>,
    ) -> Option<(Pid, Result<(), NoView>)> {
        let holds = |(first, expected): (&u64, &Expected)| {
            (*first..*first + expected.views.len() as u64).contains(&ticket).then_some(*first)
        };
        let first = self.expected.iter().find_map(holds)?;
        let Some(view) = view else {
            let expected = self.expected.remove(&first)?;
            let error = error.unwrap_or_else(|| NoView { reason: "no descriptor is left".to_owned(), is_short: true });
            let reason = format!("a directory can't be passed on: {}", error.reason);
            return Some((expected.pid, Err(NoView { reason, ..error })));
        };
        let expected = self.expected.get_mut(&first)?;
        expected.views[(ticket - first) as usize] = Some(view);
        expected.missing -= 1;
        if expected.missing > 0 {
            return None;
        }
        let expected = self.expected.remove(&first)?;
        self.ready.insert(expected.pid, expected.views.into_iter().flatten().collect());
        Some((expected.pid, Ok(())))
    }

    /// The views that were made for a process, if any had to be.
    pub(super) fn take(&mut self, pid: Pid) -> Option<Vec<OwnedFd>> {
        self.ready.remove(&pid)
    }

    /// A process has ended, perhaps before it began.
    pub(super) fn forget(&mut self, pid: Pid) {
        self.ready.remove(&pid);
        self.expected.retain(|_, expected| expected.pid != pid);
    }
}
