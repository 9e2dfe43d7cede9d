//! Histories to begin with: each takes another way through the table.

use std::time::Duration;

use wasmproc_shm::Layout;

use super::{STEPS, Step};
use crate::Pid;
use crate::wire::object::{Blocker, ObjectId, ObjectRequest, Spec};
use crate::wire::worker::{Directory, FromWorker, Request, Spawn, Target};

const QUEUE: Layout = Layout::Queue { capacity_bytes: 4096, max_items: 10, seats: 0 };
const PIPE: Layout = Layout::Pipe { capacity_bytes: 4096, duplex: true };

/// The bytes of a history.
#[derive(Default)]
struct Script(Vec<u8>);

impl Script {
    /// The first process runs, in the worker with number 0, and two spares are there.
    fn running() -> Script {
        Script::default().step(Step::Fork, &[]).step(Step::Fork, &[]).step(Step::Fork, &[])
    }

    fn step(mut self, step: Step, numbers: &[u8]) -> Script {
        let position = STEPS.iter().position(|other| *other as u8 == step as u8);
        self.0.extend(position.and_then(|position| u8::try_from(position).ok()));
        self.0.extend(numbers);
        self
    }

    fn say(self, worker: u8, message: &FromWorker) -> Script {
        let mut said = self.step(Step::Say, &[worker]);
        said.0.extend(postcard::to_stdvec(message).unwrap_or_default());
        said
    }

    fn ask(self, worker: u8, request: Request) -> Script {
        self.say(worker, &FromWorker::Request { id: 0, request })
    }

    fn use_object(self, worker: u8, request: ObjectRequest) -> Script {
        self.ask(worker, Request::Object(request))
    }

    fn make(self, worker: u8, layout: Layout) -> Script {
        self.use_object(worker, ObjectRequest::Create { spec: Spec { layout, reentrant: false }, board: true })
    }

    fn spawn(self, worker: u8, change: impl FnOnce(&mut Spawn)) -> Script {
        let mut spawn = Spawn::plain(Target::Function("f".to_owned()));
        change(&mut spawn);
        self.ask(worker, Request::Spawn(Box::new(spawn)))
    }

    fn finish(self, worker: u8) -> Script {
        self.say(worker, &FromWorker::Finished { code: 0, output: Some(vec![1]) }).step(Step::Die, &[worker, 0])
    }
}

fn directory(source: &str, guest: &str) -> Directory {
    Directory { source: source.to_owned(), guest: guest.to_owned(), read_only: true }
}

/// Names and bytes.
pub(crate) fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let number = ObjectId;
    let scripts = [
        (
            "results",
            Script::running()
                .spawn(0, |_| {})
                .spawn(0, |spawn| spawn.daemon = true)
                .step(Step::FinishLong, &[1, 200])
                .step(Step::Die, &[1, 0])
                .ask(0, Request::Children)
                .ask(0, Request::TakeOutput(Pid(2)))
                .ask(0, Request::Watch(Pid(3)))
                .finish(0),
        ),
        (
            "families",
            Script::running()
                .spawn(0, |spawn| spawn.name = Some("a".to_owned()))
                .spawn(1, |spawn| spawn.timeout = Some(Duration::from_secs(1)))
                .ask(1, Request::Watch(Pid(1)))
                .ask(0, Request::Forget(Pid(2)))
                .ask(0, Request::ListenForStop)
                .ask(0, Request::Terminate { pid: Pid(2), grace: Duration::from_secs(1) })
                .step(Step::PassTime, &[200])
                .step(Step::Reap, &[0])
                .step(Step::Stop, &[1])
                .step(Step::PassTime, &[200])
                .step(Step::Reap, &[0]),
        ),
        (
            "directories",
            Script::running()
                .spawn(0, |spawn| spawn.directories = Some(vec![directory("/a/x", "/x")]))
                .spawn(0, |spawn| spawn.directories = Some(vec![directory("/a", "/"), directory("/a/b/c", "/c")]))
                .spawn(0, |spawn| spawn.component = Some("b".to_owned()))
                .step(Step::Narrow, &[])
                .step(Step::FailNarrow, &[])
                .step(Step::FailFork, &[])
                .step(Step::LoseForks, &[])
                .step(Step::Fork, &[])
                .ask(0, Request::Memory(1 << 20))
                .step(Step::Misbehave, &[1]),
        ),
        (
            "objects",
            Script::running()
                .make(0, Layout::Lock)
                .make(0, Layout::Semaphore { permits: 2, bounded: true, seats: 0 })
                .make(0, Layout::Barrier { parties: 2, seats: 0 })
                .make(0, Layout::Condition { seats: 0 })
                .spawn(0, |spawn| spawn.objects = vec![number(1), number(2), number(3)])
                .use_object(1, ObjectRequest::Open { object: number(2), board: true })
                .use_object(1, ObjectRequest::Doorbell(number(3)))
                .use_object(0, ObjectRequest::Drop(number(2)))
                .step(Step::Stall, &[])
                .use_object(0, ObjectRequest::Stalled { object: number(3), at: 2, holder: 2, count: 1 })
                .step(Step::Recover, &[0])
                .step(Step::Reap, &[0]),
        ),
        (
            "tickets",
            Script::running()
                .make(0, QUEUE)
                .make(0, PIPE)
                .spawn(0, |spawn| spawn.objects = vec![number(1), number(3)])
                .use_object(0, ObjectRequest::Ticket { via: number(1), object: number(2) })
                .use_object(1, ObjectRequest::Redeem { via: number(1), ticket: 1 })
                .use_object(0, ObjectRequest::Parcel { via: number(1), bytes: 5000 })
                .use_object(1, ObjectRequest::Unpack { via: number(1), parcel: 2 })
                .use_object(1, ObjectRequest::Discard { via: number(1), parcel: 2 })
                .use_object(1, ObjectRequest::Ticket { via: number(2), object: number(3) })
                .step(Step::Exhaust, &[])
                .make(0, PIPE)
                .use_object(0, ObjectRequest::Parcel { via: number(1), bytes: 1 })
                .step(Step::Die, &[1, 137])
                .step(Step::Recover, &[1]),
        ),
        (
            "circles",
            Script::running()
                .make(0, QUEUE)
                .make(0, QUEUE)
                .make(0, PIPE)
                .use_object(0, ObjectRequest::Ticket { via: number(1), object: number(2) })
                .use_object(0, ObjectRequest::Ticket { via: number(2), object: number(1) })
                .use_object(0, ObjectRequest::Ticket { via: number(2), object: number(3) })
                .use_object(0, ObjectRequest::Ticket { via: number(4), object: number(4) })
                .use_object(0, ObjectRequest::Drop(number(1)))
                .use_object(0, ObjectRequest::Drop(number(2)))
                .step(Step::Recover, &[0])
                .step(Step::Recover, &[0])
                .make(0, QUEUE),
        ),
        (
            "deadlock",
            Script::running()
                .make(0, Layout::Lock)
                .spawn(0, |spawn| spawn.objects = vec![number(1)])
                .step(Step::Hold, &[1, 2])
                .use_object(0, ObjectRequest::Blocked { sequence: 1, on: Blocker::Lock(number(1)) })
                .use_object(1, ObjectRequest::Blocked { sequence: 1, on: Blocker::End(Pid(1)) })
                .step(Step::PassTime, &[9])
                .step(Step::PassTime, &[9])
                .step(Step::Deafen, &[1])
                .use_object(1, ObjectRequest::Unblocked)
                .say(1, &FromWorker::Trapped { message: String::new(), backtrace: String::new() })
                .step(Step::Kill, &[]),
        ),
    ];
    scripts.into_iter().map(|(name, script)| (name, script.0)).collect()
}
