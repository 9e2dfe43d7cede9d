//! Touches as many MiB as its argument says, and ends well.

fn main() {
    let mebibytes: usize = std::env::args().nth(1).and_then(|number| number.parse().ok()).expect("a number of MiB");
    let hoard = vec![1u8; mebibytes << 20];
    std::hint::black_box(&hoard);
    println!("{} MiB held", hoard.len() >> 20);
}
