//! Says that it is ready, then computes for ever.

fn main() {
    println!("ready");
    let mut number = 0u64;
    loop {
        number = std::hint::black_box(number.wrapping_add(1));
    }
}
