//! Returns an error from main.

fn main() -> Result<(), String> {
    Err("no more flour".to_owned())
}
