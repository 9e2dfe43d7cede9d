//! What the machine does without processes or without us.

use std::io::{Read, Write};
use std::time::Instant;

const MESSAGES: usize = 400_000;

/// Nanoseconds for a message of 64 bytes from thread to thread.
pub(crate) fn channel() -> f64 {
    let (sender, receiver) = crossbeam_channel::bounded::<[u8; 64]>(8192);
    let began = Instant::now();
    let getter = std::thread::spawn(move || receiver.iter().count());
    for _ in 0..MESSAGES {
        sender.send([7; 64]).expect("the receiver is there");
    }
    drop(sender);
    assert_eq!(getter.join().expect("it counts"), MESSAGES);
    began.elapsed().as_nanos() as f64 / MESSAGES as f64
}

/// Nanoseconds for 64 bytes through a pipe of the kernel, one write and one read each.
pub(crate) fn pipe() -> f64 {
    let (mut reader, mut writer) = std::io::pipe().expect("a pipe");
    let began = Instant::now();
    let getter = std::thread::spawn(move || {
        let mut message = [0; 64];
        let mut taken = 0;
        while reader.read_exact(&mut message).is_ok() {
            taken += 1;
        }
        taken
    });
    for _ in 0..MESSAGES {
        writer.write_all(&[7; 64]).expect("the reader is there");
    }
    drop(writer);
    let taken: usize = getter.join().expect("it counts");
    assert_eq!(taken, MESSAGES);
    began.elapsed().as_nanos() as f64 / MESSAGES as f64
}
