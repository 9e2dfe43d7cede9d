//! Starts children that wait, until it is refused one. Says why, then shows that those it has go on.

use std::time::Duration;

use wasmproc_guest::{Error, Process};

fn wait() {
    std::thread::sleep(Duration::from_secs(120));
}

fn echo(word: String) -> String {
    word
}

#[wasmproc_guest::main]
fn main() -> Result<(), Error> {
    let mut children = Vec::new();
    let refusal = loop {
        match Process::spawn(wait, ()) {
            Ok(child) => children.push(child),
            Err(refusal) => break refusal,
        }
    };
    println!("{} children, then {:?}: {refusal}", children.len(), refusal.kind());
    println!("{} are alive", children.iter().filter(|child| child.is_alive()).count());
    for child in children.iter().take(2) {
        child.kill()?;
        println!("{}", child.join()?);
    }
    println!("{}", Process::spawn(echo, "there is room again".to_owned())?.result()?);
    for child in &children {
        child.kill()?;
    }
    Ok(())
}
