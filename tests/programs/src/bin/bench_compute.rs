//! Computes: a sieve and a hash of what it found. Prints the milliseconds that it took.

use std::time::Instant;

const LIMIT: usize = 20_000_000;

fn main() {
    let started = Instant::now();
    let mut composite = vec![false; LIMIT];
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    for number in 2..LIMIT {
        if composite[number] {
            continue;
        }
        hash = (hash ^ number as u64).wrapping_mul(0x100_0000_01b3);
        let first = number.saturating_mul(number).min(LIMIT);
        for multiple in (first..LIMIT).step_by(number) {
            composite[multiple] = true;
        }
    }
    assert_ne!(hash, 0);
    println!("{}", started.elapsed().as_secs_f64() * 1e3);
}
