//! `multiplies COUNT`: so many processes start one each in the same moment. All wait for a line of input, and main for one
//! more.

use wasmproc_guest::{Error, Event, Process, SharedValue};

type Shared = (Event, Event, SharedValue<u32>);

fn multiply((go, end, alive): Shared) {
    alive.add(1);
    go.wait().expect("main sets it");
    Process::spawn(wait, (end, alive)).and_then(|child| child.join()).expect("there is room for one more");
}

fn wait(end: Event, alive: SharedValue<u32>) {
    alive.add(1);
    end.wait().expect("main sets it");
}

#[wasmproc_guest::main]
fn main() -> Result<(), Error> {
    let count: u32 = std::env::args().nth(1).and_then(|count| count.parse().ok()).expect("a number");
    let (go, end, alive) = (Event::new()?, Event::new()?, SharedValue::new(0)?);
    let spawn = |_| Process::spawn(multiply, ((go.clone(), end.clone(), alive.clone()),));
    let parents = (0..count).map(spawn).collect::<Result<Vec<_>, _>>()?;
    let until = |number| {
        while alive.load() < number {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    };
    until(count);
    go.set();
    until(2 * count);
    println!("all wait");
    let line = || std::io::stdin().read_line(&mut String::new()).expect("text");
    line();
    end.set();
    parents.into_iter().try_for_each(Process::result)?;
    line();
    Ok(())
}
