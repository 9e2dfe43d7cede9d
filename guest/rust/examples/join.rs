//! Waiting: `join` returns when a process has ended, so what follows it happens afterwards.
//!
//! Prints (the numbered mails in any order, everything else in this order):
//! ```text
//! first mail sent
//! second mail sent
//! mail 1 sent
//! mail 2 sent
//! mail 3 sent
//! mail 4 sent
//! mail 5 sent
//! last mail sent
//! ```

use std::thread::sleep;
use std::time::Duration;

use wasmproc_guest::{Error, Process};

fn send(mail: String) {
    sleep(Duration::from_millis(50));
    println!("{mail} sent");
}

#[wasmproc_guest::main]
fn main() -> Result<(), Error> {
    Process::spawn(send, "first mail".to_owned())?.join()?;
    println!("second mail sent");

    // All five are on their way before the first is waited for.
    let mails: Vec<Process> =
        (1..=5).map(|number| Process::spawn(send, format!("mail {number}"))).collect::<Result<_, _>>()?;
    for mail in &mails {
        mail.join()?;
    }
    println!("last mail sent");
    Ok(())
}
