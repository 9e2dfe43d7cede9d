//! A component for others: a function that doubles, and a main that prints its arguments.

fn double(number: i64) -> i64 {
    2 * number
}

#[wasmproc_guest::main(functions(double))]
fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    println!("numbers: {}", arguments.join(" "));
}
