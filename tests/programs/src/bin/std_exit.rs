//! Prints without a newline, then exits through std with the code that its argument says.

fn main() {
    print!("before the exit");
    let code = std::env::args().nth(1).and_then(|code| code.parse().ok());
    std::process::exit(code.unwrap_or(0));
}
