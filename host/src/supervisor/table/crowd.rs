//! How far a run gives way to others: the further, the more processes it has.
//!
//! About half the weight for twice the number, so that what a run gets beside others doesn't grow with its processes. Among
//! themselves they are all alike.

use super::{Action, Table};

/// As many processes are no crowd, for each processor.
pub(super) const FEW_PER_PROCESSOR: usize = 8;
/// nice(2)'s steps that make up half the weight.
const STEPS_OF_HALF: u32 = 3;
/// A run that gives way furthest still gets a tenth of what another one gets that wants all. With less, its processes could
/// be kept from their processors until they seem to be stalled.
const MOST_STEPS: u32 = 10;

impl Table {
    /// Says how far the run gives way now, if that has changed. Back it comes only when half of them are gone, so that a
    /// process that comes and goes is no news.
    pub(super) fn give_way(&mut self, actions: &mut Vec<Action>) {
        let (now, least) = (self.steps(self.processes.len()), self.steps(2 * self.processes.len()));
        if now > self.gives_way || least < self.gives_way {
            self.gives_way = now;
            actions.push(Action::GiveWay(now));
        }
    }

    fn steps(&self, processes: usize) -> u8 {
        let times = processes / self.few.max(1);
        let doublings = times.checked_ilog2().map_or(0, |doublings| doublings + 1);
        (STEPS_OF_HALF * doublings).min(MOST_STEPS) as u8
    }
}
