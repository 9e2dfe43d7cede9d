//! Running a model.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use loom::model::Builder;
use loom::thread::{self, JoinHandle};
use wasmproc_shm::{Death, End, Findings, Layout, Seat, recover};

use crate::actor::{Actor, lease};
use crate::memory::Shared;

fn builder(preemptions: usize) -> Builder {
    let mut builder = Builder::new();
    builder.max_branches = 5_000;
    builder.preemption_bound = match std::env::var("SHM_MODEL_PREEMPTIONS").as_deref() {
        Ok("all") => None,
        Ok(number) => Some(number.parse().expect("SHM_MODEL_PREEMPTIONS is a number or `all`")),
        Err(_) => Some(preemptions),
    };
    builder
}

/// Runs `model` in every way that its actors can come between each other, with up to `preemptions` changes from one
/// to another that weren't called for.
///
/// It fails if one of them panics or if all of them wait for ever.
pub(crate) fn explore(preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let runs = Arc::new(AtomicU64::new(0));
    let count = runs.clone();
    let began = std::time::Instant::now();
    builder(preemptions).check(move || {
        count.fetch_add(1, Relaxed);
        model();
    });
    report(began, &runs);
}

/// As [`explore`], for a model one of whose actors dies: at its first step, at its second, and so on until it comes
/// through. The model returns whether it came through.
pub(crate) fn explore_deaths(preemptions: usize, model: impl Fn(u32) -> bool + Send + Sync + 'static) {
    let runs = Arc::new(AtomicU64::new(0));
    let model = Arc::new(model);
    let began = std::time::Instant::now();
    for dies_at in 0.. {
        let deaths = Arc::new(AtomicU64::new(0));
        let (model, count, died) = (model.clone(), runs.clone(), deaths.clone());
        builder(preemptions).check(move || {
            count.fetch_add(1, Relaxed);
            if !model(dies_at) {
                died.fetch_add(1, Relaxed);
            }
        });
        if deaths.load(Relaxed) == 0 {
            assert!(dies_at > 0, "nobody ever died");
            eprint!("{dies_at} steps, ");
            break;
        }
    }
    report(began, &runs);
}

fn report(began: std::time::Instant, runs: &AtomicU64) {
    eprintln!("{} runs in {:.1?}", runs.load(Relaxed), began.elapsed());
}

/// Starts an actor that lives.
pub(crate) fn start<R: 'static>(
    shared: &Rc<Shared>,
    number: usize,
    acts: impl FnOnce(Actor) -> R + 'static,
) -> JoinHandle<R> {
    let shared = shared.clone();
    thread::spawn(move || acts(Actor::immortal(&shared, number)))
}

/// Starts an actor that dies at a step. It returns `None` then.
pub(crate) fn start_mortal<R: 'static>(
    shared: &Rc<Shared>,
    number: usize,
    dies_at: u32,
    acts: impl FnOnce(Actor) -> R + 'static,
) -> JoinHandle<Option<R>> {
    let shared = shared.clone();
    thread::spawn(move || Actor::mortal(&shared, number, dies_at, acts))
}

/// Waits for all of them.
pub(crate) fn join<R, const N: usize>(actors: [JoinHandle<R>; N]) -> [R; N] {
    actors.map(|actor| actor.join().unwrap())
}

/// What the supervisor does once an actor is dead: recovers, and again, as if it had been interrupted before it could
/// note that it was done. Returns the first findings.
pub(crate) fn bury(shared: &Rc<Shared>, layout: Layout, dead: usize) -> Findings {
    bury_end(shared, layout, dead, End::First)
}

pub(crate) fn bury_end(shared: &Rc<Shared>, layout: Layout, dead: usize, end: End) -> Findings {
    let supervisor = Actor::immortal(shared, 3);
    let once = || loop {
        let seat = Seat(dead as u32);
        match recover(supervisor.clone(), layout, lease(dead), seat, end, Death::Violent) {
            Findings::Busy => thread::yield_now(),
            findings => return findings,
        }
    };
    let findings = once();
    once();
    findings
}
