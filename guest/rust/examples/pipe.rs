//! A pipe with two ends that both send: `main` sends numbers, the other process answers with their squares.
//!
//! An end has one owner, so the other process gets its end as an argument, and `main` has it no longer. When `main` has
//! closed its direction, the other one sees the end of the stream and returns. Then it is done again, and the other process
//! is killed while it has its end: what it had answered can still be read, and then comes the end of the stream.
//!
//! Prints (in this order):
//! ```text
//! main: 1 squared is 1
//! main: 2 squared is 4
//! main: 3 squared is 9
//! other: end of the stream after 3 numbers
//! main: end of the stream
//! main: the other one was killed by process 1
//! main: 4 squared is 16
//! main: 5 squared is 25
//! main: end of the stream
//! main: nobody receives (Closed)
//! ```

use std::thread::sleep;
use std::time::Duration;

use wasmproc_guest::{Connection, Error, Event, Process, duplex_pipe};

fn square(main: Connection<u64, u32>) -> Result<(), String> {
    let mut numbers = 0;
    for number in &main {
        let number = u64::from(number.map_err(|error| error.to_string())?);
        main.send(number * number).map_err(|error| error.to_string())?;
        numbers += 1;
    }
    println!("other: end of the stream after {numbers} numbers");
    Ok(())
}

fn square_two_and_hang(main: Connection<u64, u32>, answered: Event) {
    for number in main.iter().take(2) {
        let number = u64::from(number.expect("a number"));
        main.send(number * number).expect("somebody asked");
    }
    answered.set();
    sleep(Duration::from_secs(60));
}

#[wasmproc_guest::main]
fn main() -> Result<(), Error> {
    let (other, its_end) = duplex_pipe()?;
    let process = Process::spawn(square, its_end)?;
    for number in 1..=3 {
        other.send(number)?;
        println!("main: {number} squared is {}", other.recv()?);
    }
    other.close_sending()?;
    process.result()?.expect("it has somebody to talk to");
    print_answers(&other, 4)?;

    the_other_one_dies()
}

fn the_other_one_dies() -> Result<(), Error> {
    let ((other, its_end), answered) = (duplex_pipe()?, Event::new()?);
    let process = Process::spawn(square_two_and_hang, (its_end, answered.clone()))?;
    for number in 4..=6 {
        other.send(number)?;
    }
    answered.wait()?;
    process.kill()?;
    println!("main: the other one was {}", process.join()?);
    print_answers(&other, 4)?;
    if let Err(error) = other.send(7) {
        println!("main: nobody receives ({:?})", error.kind());
    }
    Ok(())
}

fn print_answers(other: &Connection<u32, u64>, first: u32) -> Result<(), Error> {
    for (number, answer) in (first..).zip(other) {
        println!("main: {number} squared is {}", answer?);
    }
    println!("main: end of the stream");
    Ok(())
}
