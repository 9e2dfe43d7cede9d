//! Gives children less than it has, and asks for more than it has. Expects `/data` with `shared/note` and MODE=fast.

use std::fs;
use std::time::Duration;

use wasmproc_guest::{Access, Error, Process};

fn look(path: String) -> String {
    match fs::read_to_string(&path) {
        Ok(text) => format!("{path}: {}", text.trim()),
        Err(error) => format!("{path}: {:?}", error.kind()),
    }
}

fn write(path: String) -> String {
    match fs::write(&path, "x") {
        Ok(()) => format!("{path}: written"),
        Err(_) => format!("{path}: refused"),
    }
}

fn variables() -> String {
    let all: Vec<String> = std::env::vars().map(|(name, value)| format!("{name}={value}")).collect();
    all.join(" ")
}

fn arguments() -> String {
    let all: Vec<String> = std::env::args().collect();
    all.join(" ")
}

fn hoard() {
    let hoard = vec![1u8; 32 << 20];
    std::hint::black_box(&hoard);
}

fn spin() {
    let mut number = 0u64;
    loop {
        number = std::hint::black_box(number.wrapping_add(1));
    }
}

fn sleep() {
    std::thread::sleep(Duration::from_secs(60));
}

#[wasmproc_guest::main]
fn main() -> Result<(), Error> {
    let shared = |access| move |builder: &str, path: &str| (builder.to_owned(), path.to_owned(), access);
    let (read, write_too) = (shared(Access::ReadOnly), shared(Access::ReadWrite));
    println!("inherited {}", Process::spawn(look, "/data/shared/note".to_owned())?.result()?);

    let (source, guest, access) = write_too("/data/shared", "/in");
    let child = |path: &str| Process::builder(look).directory(&source, &guest, access).spawn(path.to_owned());
    println!("narrowed {}", child("/in/note")?.result()?);
    println!("narrowed {}", child("/in/../secret")?.result()?);
    println!("narrowed {}", child("/data/secret")?.result()?);
    println!("none {}", Process::builder(look).no_directories().spawn("/data/secret".to_owned())?.result()?);

    let child = Process::builder(write).directory(&source, &guest, access).spawn("/in/new".to_owned())?;
    println!("writable {}", child.result()?);
    let (source, guest, access) = read("/data/shared", "/in");
    let child = Process::builder(write).directory(&source, &guest, access).spawn("/in/new".to_owned())?;
    println!("read-only {}", child.result()?);
    for source in ["/etc", "/", "/data/../etc", "/data/nothing"] {
        let refused = Process::builder(look).directory(source, "/in", Access::ReadOnly).spawn("/in".to_owned());
        println!("{source}: {:?}", refused.map(|_| "granted").map_err(|refusal| refusal.kind()));
    }

    println!("variables {}", Process::spawn(variables, ())?.result()?);
    println!("variables {}", Process::builder(variables).env("MORE", "1").spawn(())?.result()?);
    println!("variables {}", Process::builder(variables).env_clear().env("ONLY", "1").spawn(())?.result()?);
    println!("arguments {}", Process::builder(arguments).args(["a", "b"]).spawn(())?.result()?);

    println!("memory {}", Process::builder(hoard).max_memory(8 << 20).spawn(())?.join()?);
    println!("cpu {}", Process::builder(spin).cpu_time(Duration::from_millis(100)).spawn(())?.join()?);
    println!("time {}", Process::builder(sleep).timeout(Duration::from_millis(100)).spawn(())?.join()?);
    println!("unlimited {}", Process::spawn(hoard, ())?.join()?);
    Ok(())
}
