//! Ends a child that has children: all of them go, and what the grandchildren would have said is never said.

use std::thread::sleep;
use std::time::Duration;

use wasmproc_guest::{Error, Process, active_children, stop_requested};

fn grandchild() {
    println!("grandchild: started");
    sleep(Duration::from_secs(1));
    println!("grandchild: survived");
}

fn child() {
    for _ in 0..2 {
        Process::spawn(grandchild, ()).expect("a grandchild");
    }
    sleep(Duration::from_secs(60));
}

fn polite() -> String {
    stop_requested().wait();
    "thank you".to_owned()
}

fn deaf() {
    let _listening = stop_requested();
    sleep(Duration::from_secs(60));
}

#[wasmproc_guest::main]
fn main() -> Result<(), Error> {
    let subtree = Process::spawn(child, ())?;
    sleep(Duration::from_millis(300));
    subtree.terminate()?;
    println!("subtree: {}", subtree.join()?);
    println!("children left: {}", active_children().len());

    let asked = Process::spawn(polite, ())?;
    asked.terminate_with_grace(Duration::from_secs(30))?;
    println!("polite: {}", asked.result()?);

    let asked = Process::spawn(deaf, ())?;
    asked.terminate_with_grace(Duration::from_millis(200))?;
    println!("deaf: {}", asked.join()?);

    // Long enough for a grandchild that was overlooked to say so.
    sleep(Duration::from_millis(1200));
    Ok(())
}
