//! Numbers in rows, each with its ratio to the first.

/// The middle one.
pub(crate) fn median<T: Copy + PartialOrd>(mut values: Vec<T>) -> T {
    values.sort_by(|left, right| left.partial_cmp(right).expect("measurements are numbers"));
    values[values.len() / 2]
}

/// Prints rows of (what, median) and how many times the first row each of them is.
pub(crate) fn print(title: &str, rows: &[(&str, f64)], unit: &str) {
    println!("\n{title}");
    let Some((_, first)) = rows.first() else { return };
    for (what, value) in rows {
        println!("  {what:<44} {value:>10.1} {unit:<4} {:>8.2} x", value / first);
    }
}
