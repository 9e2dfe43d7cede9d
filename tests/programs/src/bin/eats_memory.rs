//! Touches more and more memory, for ever; says how much it has whenever it has doubled.

fn main() {
    let mut hoard: Vec<Vec<u8>> = Vec::new();
    loop {
        hoard.push(vec![1; 1 << 20]);
        if hoard.len().is_power_of_two() {
            println!("{} MiB", hoard.len());
        }
        std::hint::black_box(&hoard);
    }
}
