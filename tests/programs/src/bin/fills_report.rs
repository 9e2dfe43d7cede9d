//! Starts children that have long lists of directories, one after another: as many as told. Expects `/tmp`.

use wasmproc_guest::{Access, Error, Process};

/// A directory's name as long as a spawn can have one, nearly.
const NAME_BYTES: usize = 1_000_000;

fn nothing() {}

#[wasmproc_guest::main]
fn main() -> Result<(), Error> {
    let count = std::env::args().nth(1).map_or(0, |count| count.parse().expect("a number"));
    let guest = format!("/{}", "x".repeat(NAME_BYTES - 1));
    for _ in 0..count {
        let child = Process::builder(nothing).directory("/tmp", &guest, Access::ReadWrite).spawn(())?;
        assert_eq!(child.join()?.code(), 0);
    }
    Ok(())
}
