//! Has its host copy a large argument: `fills_host BALLAST_MIB ARGUMENT_MIB [LIMIT_MIB]`. With a limit, a child does it.

use wasmproc_guest::{Error, Process};

#[wasmproc_guest::main]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mebibytes: Vec<usize> = std::env::args().skip(1).map(|word| word.parse()).collect::<Result<_, _>>()?;
    let (ballast, argument) = (mebibytes[0], mebibytes[1]);
    match mebibytes.get(2) {
        Some(limit) => {
            let child = Process::builder(fill_alone).max_memory((*limit as u64) << 20).spawn((ballast, argument))?;
            println!("the child: {}", child.join()?);
        }
        None => println!("the child had {} bytes", fill(ballast, argument)?),
    }
    Ok(())
}

fn fill(ballast: usize, argument: usize) -> Result<usize, Error> {
    let ballast = vec![1u8; ballast << 20];
    std::hint::black_box(&ballast);
    println!("holds {} MiB", ballast.len() >> 20);
    Process::spawn(length, "x".repeat(argument << 20))?.result()
}

fn fill_alone(ballast: usize, argument: usize) -> usize {
    fill(ballast, argument).unwrap_or(0)
}

fn length(text: String) -> usize {
    text.len()
}
