//! Opens the file that its argument names again and again, and closes nothing. Says what stopped it.

use std::fs::File;

fn main() {
    let path = std::env::args().nth(1).expect("a path");
    let mut leaked = Vec::new();
    let error = loop {
        match File::open(&path) {
            Ok(file) => leaked.push(file),
            Err(error) => break error,
        }
    };
    println!("{} files open, then: {error}", leaked.len());
}
