//! Cells.

use wasmproc_shm::{Cells, Layout, Width};

use crate::actor::Actor;
use crate::explore::{explore, join, start};
use crate::memory::Shared;

#[test]
fn neighbours_in_one_word_do_not_disturb_each_other() {
    const LAYOUT: Layout = Layout::Cells { width: Width::One, length: 4 };
    explore(4, || {
        let shared = Shared::new(LAYOUT);
        let actors = [0, 1].map(|number| {
            start(&shared, number, move |actor| {
                let cells = Cells::new(actor, LAYOUT);
                cells.add(number as u32, 255).unwrap();
                cells.add(number as u32, 2).unwrap();
                cells.add(3, 1).unwrap();
            })
        });
        join(actors);
        let cells = Cells::new(Actor::immortal(&shared, 3), LAYOUT);
        assert_eq!([0, 1, 2, 3].map(|index| cells.load(index)), [Some(1), Some(1), Some(0), Some(2)]);
    });
}
