//! The least that a program prints.

fn main() {
    println!("hello");
}
