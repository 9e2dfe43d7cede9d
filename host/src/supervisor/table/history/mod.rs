//! Histories of a run that are made of bytes: for fuzzing.
//!
//! The bytes are steps, one behind the other: what a worker says, as it stands on the wire, or what a zygote, a kernel,
//! a clock or a user does. The world around the table does what the rest of the supervisor would do. After every
//! event the table is checked, and at the end the run must come to its end with nothing left.

mod seeds;
mod world;

use std::time::Duration;

use wasmproc_sandbox::WaitStatus;

pub(crate) use seeds::seeds;
use world::World;

use super::Event;
use crate::wire::object::ObjectId;
use crate::wire::worker::FromWorker;

/// Steps of one history; more of them show nothing new.
const MAX_STEPS: usize = 500;

/// What happens next. Numbers that follow say to whom, modulo what there is.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// A worker says something.
    Say,
    Fork,
    FailFork,
    LoseForks,
    /// A worker that was killed is reaped.
    Reap,
    /// A worker dies by itself.
    Die,
    Narrow,
    FailNarrow,
    /// What was held of an object is free.
    Recover,
    PassTime,
    Stop,
    Kill,
    /// A process writes into a lock that somebody holds it.
    Hold,
    /// A worker stops reading its messages.
    Deafen,
    /// Memory and descriptors run out, or are there again.
    Exhaust,
    /// Internal locks are held too long from now on, or not any more.
    Stall,
    Misbehave,
    /// A worker finishes with a long result.
    FinishLong,
}

const STEPS: [Step; 18] = [
    Step::Say,
    Step::Fork,
    Step::FailFork,
    Step::LoseForks,
    Step::Reap,
    Step::Die,
    Step::Narrow,
    Step::FailNarrow,
    Step::Recover,
    Step::PassTime,
    Step::Stop,
    Step::Kill,
    Step::Hold,
    Step::Deafen,
    Step::Exhaust,
    Step::Stall,
    Step::Misbehave,
    Step::FinishLong,
];

/// Lives through the history that `bytes` are. Panics if the table breaks a promise.
pub(crate) fn live(bytes: &[u8]) {
    let mut history = History { bytes, world: World::new() };
    for _ in 0..MAX_STEPS {
        if history.world.is_finished() || history.step().is_none() {
            break;
        }
    }
    history.world.bring_to_an_end();
}

struct History<'b> {
    bytes: &'b [u8],
    world: World,
}

impl History<'_> {
    /// `None` at the end of the bytes.
    fn step(&mut self) -> Option<()> {
        let step = STEPS[usize::from(self.byte()?) % STEPS.len()];
        match step {
            Step::Say => self.say()?,
            Step::Fork => self.world.fork(),
            Step::FailFork => self.world.fail_fork(),
            Step::LoseForks => self.world.lose_forks(),
            Step::Reap => {
                let number = self.byte()?;
                self.world.reap_killed(number.into());
            }
            Step::Die => {
                let (number, how) = (self.byte()?, self.byte()?);
                let status = if how < 128 { WaitStatus::Exited(how) } else { WaitStatus::Signaled(how - 128) };
                if let Some(worker) = self.world.pick(number.into()) {
                    self.world.reap(worker, status);
                }
            }
            Step::Narrow => self.world.narrow(),
            Step::FailNarrow => self.world.fail_narrow(),
            Step::Recover => {
                let number = self.byte()?;
                self.world.recover(number.into());
            }
            Step::PassTime => {
                let tenths = self.byte()?;
                self.world.pass(Duration::from_millis(u64::from(tenths) * 10));
            }
            Step::Stop => {
                let tenths = self.byte()?;
                self.world.handle(Event::Stop { grace: Duration::from_millis(u64::from(tenths) * 100) });
            }
            Step::Kill => self.world.handle(Event::Kill),
            Step::Hold => {
                let (lock, holder) = (self.byte()?, self.byte()?);
                self.world.hold(ObjectId(lock.into()), holder.into());
            }
            Step::Deafen => {
                let number = self.byte()?;
                self.world.deafen(number.into());
            }
            Step::Exhaust => self.world.exhaust(),
            Step::Stall => self.world.stall(),
            Step::Misbehave => {
                let number = self.byte()?;
                if let Some(worker) = self.world.pick(number.into()) {
                    self.world.handle(Event::Misbehaved(worker, "it breaks the rules".to_owned()));
                }
            }
            Step::FinishLong => {
                let (number, length) = (self.byte()?, self.byte()?);
                let output = Some(vec![0; usize::from(length) * 64]);
                if let Some(worker) = self.world.pick(number.into()) {
                    self.world.say(worker, FromWorker::Finished { code: 0, output });
                }
            }
        }
        Some(())
    }

    /// A message that can't be decoded breaks the rules, as the channel says.
    fn say(&mut self) -> Option<()> {
        let number = self.byte()?;
        let decoded = postcard::take_from_bytes::<FromWorker>(self.bytes);
        let worker = self.world.pick(number.into())?;
        match decoded {
            Ok((message, rest)) => {
                self.bytes = rest;
                self.world.say(worker, message);
            }
            Err(_) => self.world.handle(Event::Misbehaved(worker, "it can't be understood".to_owned())),
        }
        Some(())
    }

    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        Some(*byte)
    }
}
