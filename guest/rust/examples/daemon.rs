//! Daemons: a daemon ends with its parent's main function, while any other child is waited for.
//!
//! 1. A parent that ends at once takes its daemon with it, before the daemon's second line.
//! 2. A daemon may not have children: it gets an error.
//! 3. A daemon prints stars beside a normal child, until `main` ends; the child goes on and finishes.
//!
//! Prints (lines of 3 mixed, but no star after "main: done"; "daemon: awake" never appears):
//! ```text
//! daemon: asleep
//! parent: exited with code 0
//! daemon's child: refused (Invalid)
//! *
//! worker: started
//! *
//! *
//! main: done
//! worker: finished
//! ```

use std::thread::sleep;
use std::time::Duration;

use wasmproc_guest::{Error, Process};

fn sleepy() {
    println!("daemon: asleep");
    sleep(Duration::from_millis(200));
    println!("daemon: awake");
}

fn short_lived_parent() {
    Process::builder(sleepy).daemon(true).spawn(()).expect("a daemon can be started");
    sleep(Duration::from_millis(50));
}

fn ambitious() -> String {
    match Process::spawn(worker, ()) {
        Ok(child) => format!("started as {}", child.id()),
        Err(error) => format!("refused ({:?})", error.kind()),
    }
}

fn stars() {
    loop {
        println!("*");
        sleep(Duration::from_millis(50));
    }
}

fn worker() {
    println!("worker: started");
    sleep(Duration::from_millis(200));
    println!("worker: finished");
}

#[wasmproc_guest::main]
fn main() -> Result<(), Error> {
    let status = Process::spawn(short_lived_parent, ())?.join()?;
    println!("parent: {status}");

    let answer = Process::builder(ambitious).daemon(true).spawn(())?.result()?;
    println!("daemon's child: {answer}");

    Process::builder(stars).daemon(true).spawn(())?;
    Process::spawn(worker, ())?;
    // Between two stars, so that the last star and the end of main aren't a race.
    sleep(Duration::from_millis(125));
    println!("main: done");
    Ok(())
}
