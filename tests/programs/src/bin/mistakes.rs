//! Starts processes wrongly in every way, and tells what it is answered.

use wasmproc_guest::{Error, Process};

fn add(a: u64, b: u64) -> u64 {
    a + b
}

fn length(bytes: Vec<u8>) -> usize {
    bytes.len()
}

fn bulk(bytes: usize) -> Vec<u8> {
    vec![7; bytes]
}

fn panics() {
    panic!("the oven is cold");
}

fn says<R: std::fmt::Debug>(what: &str, result: Result<R, Error>) {
    match result {
        Ok(result) => println!("{what}: {result:?}"),
        Err(error) => println!("{what}: {:?}: {error}", error.kind()),
    }
}

#[wasmproc_guest::main(functions(add))]
fn main() -> Result<(), Error> {
    let named = |name: &str| Process::named(name);
    says("right", named("add").spawn((1u64, 2u64)).and_then(Process::<u64>::result));
    says("no function", named("subtract").spawn((1u64, 2u64)).and_then(Process::<u64>::result));
    says("wild index", named("#7:0000000000000000").spawn(()).and_then(Process::<u64>::result));
    says("malformed", named("#").spawn(()).and_then(Process::<u64>::result));
    says("bad arguments", named("add").spawn(()).and_then(Process::<u64>::result));
    says("no component", named("add").component("nobody").spawn((1u64, 2u64)).and_then(Process::<u64>::result));
    says("no such command", Process::command("nobody").spawn().and_then(Process::result));
    says("long name", Process::builder(add).name("x".repeat(65)).spawn((1, 2)).map(|_| ()));
    says("much text", Process::builder(add).env("BIG", "x".repeat(2 << 20)).spawn((1, 2)).map(|_| ()));
    says("much input", Process::spawn(length, vec![0u8; 16 << 20]).map(|_| ()));
    says("some input", Process::spawn(length, vec![0u8; 15 << 20]).and_then(Process::result));
    says("much output", Process::spawn(bulk, 16 << 20).and_then(Process::result).map(|bytes| bytes.len()));
    says("some output", Process::spawn(bulk, 15 << 20).and_then(Process::result).map(|bytes| bytes.len()));
    says("a panic", Process::spawn(panics, ()).and_then(Process::result));
    Ok(())
}
