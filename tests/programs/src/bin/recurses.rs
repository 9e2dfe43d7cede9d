//! Recurses for ever.

#[inline(never)]
#[expect(unconditional_recursion, reason = "that is what is tested")]
fn deeper(depth: u64) -> u64 {
    1 + deeper(std::hint::black_box(depth + 1))
}

fn main() {
    println!("{}", deeper(0));
}
