//! Does one thing with a path: `read`, `write`, `list`, `fill`, `link`. Says what it got, or the kind of the error.

use std::fs::{self, File};
use std::io::{self, Write};
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        ["read", path] => fs::read_to_string(path),
        ["write", path, text] => fs::write(path, text).map(|()| "written".to_owned()),
        ["list", path] => list(path),
        ["fill", path] => fill(path),
        ["link", target, path] => link(target, path),
        _ => Err(io::Error::other("what?")),
    };
    match done {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("error: {:?}: {error}", error.kind());
            ExitCode::FAILURE
        }
    }
}

fn list(path: &str) -> io::Result<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(path)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names.join(" "))
}

/// Writes until there is no room, and says how many KiB there was room for.
fn fill(path: &str) -> io::Result<String> {
    let mut file = File::create(path)?;
    let block = [1; 64 * 1024];
    for blocks in 0.. {
        if file.write_all(&block).is_err() {
            return Ok(format!("full after {} KiB", blocks * 64));
        }
    }
    unreachable!("the loop has no end")
}

/// Makes a symbolic link and reads through it.
fn link(target: &str, path: &str) -> io::Result<String> {
    let (folder, name) = path.rsplit_once('/').unwrap_or((".", path));
    let folder = wasip2::filesystem::preopens::get_directories()
        .into_iter()
        .find(|(_, guest)| guest == folder)
        .map(|(folder, _)| folder)
        .ok_or(io::ErrorKind::NotFound)?;
    folder.symlink_at(target, name).map_err(|error| io::Error::other(error.name()))?;
    fs::read_to_string(path)
}
