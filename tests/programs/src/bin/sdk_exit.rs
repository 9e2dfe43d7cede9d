//! Prints a mebibyte and half a line, then exits through the SDK with the code that its argument says.

use std::io::Write;

#[wasmproc_guest::main]
fn main() {
    let line = [b'x'; 1023];
    for _ in 0..1024 {
        std::io::stdout().write_all(&line).expect("stdout takes it");
        println!();
    }
    print!("the end");
    let code = std::env::args().nth(1).and_then(|code| code.parse().ok());
    wasmproc_guest::exit(code.unwrap_or(0));
}
