//! Takes as much as it can get, for ever: `bench_bombs spin|fork|crowd|churn|memory|output`.

use std::io::Write;

use wasmproc_guest::Process;

#[wasmproc_guest::main]
fn main() {
    println!("ready");
    match std::env::args().nth(1).as_deref() {
        Some("fork") => fork(),
        Some("crowd") => crowd(),
        Some("churn") => churns(),
        Some("memory") => memory(),
        Some("output") => output(),
        _ => spin(),
    }
}

fn spin() {
    let mut number = 0u64;
    loop {
        number = std::hint::black_box(number.wrapping_add(1));
    }
}

/// Starts processes that do the same, and asks again when it is refused one.
fn fork() {
    let mut children = Vec::new();
    loop {
        children.extend(Process::spawn(fork, ()));
    }
}

/// How many a crowd is.
const MANY: usize = 200;

fn crowd() {
    let _children: Vec<_> = (0..MANY).map(|_| Process::spawn(spin, ())).collect();
    spin()
}

fn churns() {
    let _children: Vec<_> = (0..MANY).map(|_| Process::spawn(churn, ())).collect();
    churn()
}

/// Starts processes that end at once, one after the other.
fn churn() {
    loop {
        let _ = Process::spawn(|| (), ()).and_then(|process| process.join());
    }
}

/// Children that touch memory until they are ended for it, one after the other.
fn memory() {
    loop {
        let _ = Process::spawn(hoard, ()).and_then(Process::result);
    }
}

fn hoard() {
    let mut hoard: Vec<Vec<u8>> = Vec::new();
    loop {
        hoard.push(vec![1; 1 << 20]);
        std::hint::black_box(&hoard);
    }
}

fn output() {
    let line = [b'y'; 4096];
    while std::io::stdout().write_all(&line).is_ok() {}
}
