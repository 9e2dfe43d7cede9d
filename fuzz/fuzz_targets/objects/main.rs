//! Shared objects whose memory is full of nonsense, and gets more of it between any two accesses.
//!
//! The bytes say what the object is, what is in its memory, what a hostile peer writes when, and what is done. Every
//! operation comes to an end within a bounded number of sleeps, and a copy is bounded by the object's size; when the
//! peer is done, recovery takes everything from the dead.

#![no_main]

mod input;
mod peer;
mod steps;

use std::os::fd::OwnedFd;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use wasmproc_shm::{
    Death, End, Findings, Layout, Lease, Mapping, Memory, Seat, Semaphore, create, holder, possessions, recover,
};

use input::Input;
use peer::{Balance, Peer};

/// The largest object here.
const MOST_BYTES: usize = 64 << 10;

static FILE: LazyLock<OwnedFd> = LazyLock::new(|| create(c"fuzzed", MOST_BYTES).expect("there is memory"));

fuzz_target!(|bytes: &[u8]| {
    let mut input = Input::new(bytes);
    let layout = input.layout();
    let mapping = Mapping::of(&*FILE, layout.bytes(), Balance::default()).expect("it can be mapped");
    // What was there before is not part of the input.
    mapping.write(0, &vec![0; layout.bytes()]);
    wasmproc_shm::initialise(&mapping, layout);
    for (at, value) in input.contents(layout) {
        mapping.word(at).store(value, std::sync::atomic::Ordering::Relaxed);
    }
    let peer = Peer::new(&mapping, input.writes(layout));
    while let Some(step) = input.byte() {
        steps::take(step, &peer, layout, &mut input);
        assert_eq!(mapping.wakers().get(), 0, "who is in no operation notes that it is in none");
    }
    bury_everybody(&peer, layout);
});

/// After the last write of the peer nothing is left of a process that is recovered, unless somebody alive is in the way.
fn bury_everybody(peer: &Peer<'_>, layout: Layout) {
    peer.stop();
    for number in 1..=3 {
        let dead = Lease::new(number).expect("it is a lease");
        for end in [End::First, End::Second] {
            if recover(peer, layout, dead, Seat(number - 1), end, Death::Violent) == Findings::Busy {
                let in_the_way = possessions(&peer, layout);
                assert!(in_the_way.iter().any(|(_, holder, _)| *holder != number), "somebody else is busy");
                continue;
            }
            // A signalling semaphore has no internal lock: what stands in its place is nobody's.
            let locked = !matches!(layout, Layout::Semaphore { bounded: false, .. });
            let held = possessions(&peer, layout).iter().any(|(_, holder, _)| *holder == number);
            assert!(!(locked && held), "the dead hold nothing");
            assert_ne!(holder(&peer, layout), number, "the dead hold nothing");
            if let Layout::Semaphore { permits, bounded: true, .. } = layout {
                let available = Semaphore::new(peer, layout, Lease::SUPERVISOR, Seat(0)).available();
                assert!(available <= permits, "there are never more permits than there are");
            }
        }
    }
}
