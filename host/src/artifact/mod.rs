//! From a file to native code: read, look up in the cache, compile if need be.
//!
//! The supervisor reads bytes and hashes them; everything that looks into them happens in a compile worker. An
//! artifact is native code, so it comes from a compile worker or the cache and from nowhere else.

mod cache;
mod client;
mod compiler;
pub(crate) mod engine;
mod manifest;

use std::fs::File;
use std::io::{Read, Seek};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

#[cfg(feature = "fuzzing")]
pub(crate) use cache::seal;
pub use cache::{Cache, CacheEntry};
pub(crate) use client::describe;
pub(crate) use compiler::main as compiler_main;
#[cfg(feature = "fuzzing")]
pub(crate) use compiler::{Refused, prints, work};
pub use manifest::{Manifest, SourceKind};

use crate::error::{Context, Error, ErrorKind, Result};
use crate::supervisor::Attendant;

/// A component ready to run: native code in an open file, and what is known about it.
#[derive(Debug)]
pub struct Artifact {
    pub(crate) file: OwnedFd,
    pub manifest: Manifest,
    /// Whether the cache had it.
    pub cached: bool,
    key: Option<(Cache, String)>,
}

impl Artifact {
    /// Gets the artifact of the WebAssembly file at `path`: from the cache, or by compiling it into the cache.
    ///
    /// `attendant` is asked while a compilation runs, and is told what went wrong with the cache, which never stops a
    /// run.
    pub fn of_file(path: &Path, cache: Option<&Cache>, attendant: &mut dyn Attendant) -> Result<Artifact> {
        let source = read_source(path)?;
        let key = cache::key(&source);
        if let Some(cache) = cache
            && let Some((file, manifest)) = cache.find(&key)
        {
            return Ok(Artifact { file, manifest, cached: true, key: Some((cache.clone(), key)) });
        }
        let (file, manifest) = client::compile(path, &source, attendant)?;
        let Some(cache) = cache else {
            return Ok(Artifact { file, manifest, cached: false, key: None });
        };
        match cache.keep(&key, &file, &manifest) {
            Ok(file) => Ok(Artifact { file, manifest, cached: false, key: Some((cache.clone(), key)) }),
            Err(error) => {
                attendant.warn(&format!("the compiled artifact is not kept: {error}"));
                Ok(Artifact { file, manifest, cached: false, key: None })
            }
        }
    }

    /// Takes an artifact that turned out to be unusable out of the cache. Returns whether it came from there.
    pub(crate) fn discard(&self) -> bool {
        if let Some((cache, key)) = &self.key {
            cache.remove(key);
        }
        self.cached
    }
}

/// The bytes of a WebAssembly file.
fn read_source(path: &Path) -> Result<Vec<u8>> {
    let shown = path.display();
    let metadata = std::fs::metadata(path).map_err(|error| not_readable(path, &error))?;
    let kind = metadata.file_type();
    if kind.is_dir() {
        return Err(Error::cannot_run(format!("{shown} is a directory, not a WebAssembly file")));
    }
    if kind.is_fifo() || kind.is_socket() || kind.is_char_device() || kind.is_block_device() {
        return Err(Error::cannot_run(format!("{shown} is not a regular file: write it to one first")));
    }
    if metadata.len() > compiler::MAX_SOURCE_BYTES {
        let limit = compiler::MAX_SOURCE_BYTES >> 20;
        return Err(Error::cannot_run(format!("{shown} is larger than {limit} MiB, the most that is compiled")));
    }
    // One byte more, so that the end is seen without room for more.
    let mut source = Vec::with_capacity(metadata.len() as usize + 1);
    File::open(path)
        .and_then(|file| file.take(compiler::MAX_SOURCE_BYTES).read_to_end(&mut source))
        .map_err(|error| not_readable(path, &error))?;
    Ok(source)
}

fn not_readable(path: &Path, error: &std::io::Error) -> Error {
    let kind = match error.raw_os_error() {
        Some(libc::ENOENT) => ErrorKind::NotFound,
        // What this machine lacks is not the file's fault.
        Some(libc::ENOMEM | libc::EMFILE | libc::ENFILE) => ErrorKind::Failed,
        _ => ErrorKind::CannotRun,
    };
    Error::new(kind, format!("can't read {}: {error}", path.display()))
}

/// Reads a whole artifact from its beginning.
fn read_all(file: &OwnedFd) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut file = File::from(file.try_clone().context(|| "can't duplicate a descriptor".to_owned())?);
    file.rewind().and_then(|()| file.read_to_end(&mut bytes)).context(|| "can't read an artifact".to_owned())?;
    Ok(bytes)
}
