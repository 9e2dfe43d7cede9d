//! Heartbeats: daemons report every tenth of a second that something is well, while a worker works.
//!
//! `main` waits for the worker only. Then it looks at its daemons and sees which heart has stopped; the other one
//! beats until `main` ends, and not longer.
//!
//! Prints (heartbeats mixed with the rest, but none after "main: done"):
//! ```text
//! worker: started
//! host ok
//! disk ok
//! host ok
//! host ok
//! host ok
//! worker: finished
//! host: beating
//! disk: exited with code 3
//! main: done
//! ```

use std::thread::sleep;
use std::time::Duration;

use wasmproc_guest::{Error, Process, exit};

const BEAT: Duration = Duration::from_millis(100);

fn watch(part: String, beats: u32) {
    for _ in 0..beats {
        println!("{part} ok");
        sleep(BEAT);
    }
    exit(3);
}

fn work() {
    println!("worker: started");
    // Between two beats, so that the last beat and the end of main aren't a race.
    sleep(3 * BEAT + BEAT / 2);
    println!("worker: finished");
}

#[wasmproc_guest::main]
fn main() -> Result<(), Error> {
    let heartbeat = |part: &str, beats| Process::builder(watch).name(part).daemon(true).spawn((part.to_owned(), beats));
    let hearts = [heartbeat("host", u32::MAX)?, heartbeat("disk", 1)?];

    Process::spawn(work, ())?.join()?;

    for heart in &hearts {
        match heart.exit_status() {
            None => println!("{}: beating", heart.name()),
            Some(status) => println!("{}: {status}", heart.name()),
        }
    }
    println!("main: done");
    Ok(())
}
