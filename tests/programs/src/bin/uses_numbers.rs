//! Starts a function and the main of the component that it was granted as `numbers`.

use wasmproc_guest::{Error, Process};

#[wasmproc_guest::main]
fn main() -> Result<(), Error> {
    let doubled: Process<i64> = Process::named("double").component("numbers").spawn(21_i64)?;
    println!("double: {}", doubled.result()?);
    println!("main: {}", Process::command("numbers").args(["one", "two"]).spawn()?.join()?);
    Ok(())
}
