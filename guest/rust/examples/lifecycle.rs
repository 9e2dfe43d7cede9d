//! The life of a process, from before its start to after its end, and the ways to end.
//!
//! Prints (in this order):
//! ```text
//! prepared: name None, alive false, exit status None
//! started: name process-2, pid 2, alive true, exit status None
//! join with timeout: None
//! terminated within a second: true
//! ended: alive false, exit status killed by process 1, code -9
//! named: sleeper
//! return: exited with code 0, code 0
//! exit(7): exited with code 7, code 7
//! panic: trapped, code -6
//! kill: killed by process 1, code -9
//! ```

use std::thread::sleep;
use std::time::{Duration, Instant};

use wasmproc_guest::{Error, ExitStatus, Process};

fn sleep_long() {
    sleep(Duration::from_secs(60));
}

fn nothing() {}

fn quit(code: u8) {
    wasmproc_guest::exit(code);
}

fn fall_over() {
    panic!("as it must");
}

#[wasmproc_guest::main]
fn main() -> Result<(), Error> {
    from_start_to_end()?;

    let sleeper = Process::builder(sleep_long).name("sleeper").spawn(())?;
    println!("named: {}", sleeper.name());

    report("return", &Process::spawn(nothing, ())?.join()?);
    report("exit(7)", &Process::spawn(quit, 7)?.join()?);
    report("panic", &Process::spawn(fall_over, ())?.join()?);
    sleeper.kill()?;
    report("kill", &sleeper.join()?);
    Ok(())
}

fn from_start_to_end() -> Result<(), Error> {
    let process = Process::builder(sleep_long).prepare(())?;
    let (name, alive, status) = (process.name(), process.is_alive(), process.exit_status());
    println!("prepared: name {name:?}, alive {alive}, exit status {status:?}");

    let process = process.start()?;
    let (name, pid, alive) = (process.name(), process.id(), process.is_alive());
    println!("started: name {name}, pid {pid}, alive {alive}, exit status {:?}", process.exit_status());
    println!("join with timeout: {:?}", process.join_timeout(Duration::from_millis(50))?);

    let start = Instant::now();
    process.terminate()?;
    let status = process.join()?;
    println!("terminated within a second: {}", start.elapsed() < Duration::from_secs(1));
    println!("ended: alive {}, exit status {status}, code {}", process.is_alive(), status.code());
    Ok(())
}

fn report(what: &str, status: &ExitStatus) {
    match status {
        ExitStatus::Trapped(_) => println!("{what}: trapped, code {}", status.code()),
        status => println!("{what}: {status}, code {}", status.code()),
    }
}
