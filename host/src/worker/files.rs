//! Streams of files, without a second thread.
//!
//! wasmtime-wasi hands a file's reads and writes to a pool of threads wherever they might block. A worker has one
//! thread and nothing else to do meanwhile, so these streams simply do them.

use std::io::{self, ErrorKind, IoSlice};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use rustix::io::{Errno, ReadWriteFlags};
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource};
use wasmtime_wasi::FsPerms;
use wasmtime_wasi::filesystem::{Descriptor, File};
use wasmtime_wasi::p2::bindings::filesystem::types::ErrorCode;
use wasmtime_wasi::p2::{
    DynInputStream, DynOutputStream, InputStream, OutputStream, Pollable, StreamError, StreamResult,
};

use super::Host;

/// The interface whose functions are replaced, as wasmtime-wasi names it.
const INTERFACE: &str = "wasi:filesystem/types@0.2.12";
/// The most that one call moves.
const CHUNK_BYTES: usize = 64 * 1024;

/// Puts these streams in the place of wasmtime-wasi's.
pub(super) fn replace_in(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    let mut types = linker.instance(INTERFACE)?;
    types.func_wrap("[method]descriptor.read-via-stream", |store, (file, offset): (Resource<Descriptor>, u64)| {
        Ok((input(store, &file, offset)?,))
    })?;
    types.func_wrap("[method]descriptor.write-via-stream", |store, (file, offset): (Resource<Descriptor>, u64)| {
        Ok((output(store, &file, Place::At(offset))?,))
    })?;
    types.func_wrap("[method]descriptor.append-via-stream", |store, (file,): (Resource<Descriptor>,)| {
        Ok((output(store, &file, Place::End)?,))
    })?;
    linker.allow_shadowing(false);
    Ok(())
}

type Made<T> = wasmtime::Result<Result<Resource<T>, ErrorCode>>;

fn input(mut store: StoreContextMut<'_, Host>, file: &Resource<Descriptor>, offset: u64) -> Made<DynInputStream> {
    let table = &mut store.data_mut().table;
    let file = match table.get(file)? {
        Descriptor::File(file) => file.file.clone(),
        Descriptor::Dir(_) => return Ok(Err(ErrorCode::IsDirectory)),
    };
    let stream: DynInputStream = Box::new(Input { file, position: offset });
    Ok(Ok(table.push(stream)?))
}

fn output(mut store: StoreContextMut<'_, Host>, file: &Resource<Descriptor>, place: Place) -> Made<DynOutputStream> {
    let table = &mut store.data_mut().table;
    let file = match table.get(file)? {
        Descriptor::File(File { perms: FsPerms::ReadOnly, .. }) => return Ok(Err(ErrorCode::NotPermitted)),
        Descriptor::File(file) => file.file.clone(),
        Descriptor::Dir(_) => return Ok(Err(ErrorCode::BadDescriptor)),
    };
    let stream: DynOutputStream = Box::new(Output { file, place });
    Ok(Ok(table.push(stream)?))
}

struct Input {
    file: Arc<std::fs::File>,
    position: u64,
}

#[async_trait]
impl Pollable for Input {
    async fn ready(&mut self) {}
}

impl InputStream for Input {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        let mut buffer = vec![0; size.min(CHUNK_BYTES)];
        if buffer.is_empty() {
            return Ok(Bytes::new());
        }
        loop {
            match self.file.read_at(&mut buffer, self.position) {
                Ok(0) => return Err(StreamError::Closed),
                Ok(count) => {
                    buffer.truncate(count);
                    self.position += count as u64;
                    return Ok(buffer.into());
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(StreamError::LastOperationFailed(error.into())),
            }
        }
    }
}

enum Place {
    At(u64),
    End,
}

struct Output {
    file: Arc<std::fs::File>,
    place: Place,
}

#[async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {}
}

impl OutputStream for Output {
    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(CHUNK_BYTES)
    }

    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        let written = match &mut self.place {
            Place::At(position) => {
                let written = self.file.write_all_at(&bytes, *position);
                *position += bytes.len() as u64;
                written
            }
            Place::End => append(&self.file, &bytes),
        };
        written.map_err(|error| StreamError::LastOperationFailed(error.into()))
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }
}

/// Writes at the end, wherever that is by then; the file need not have been opened for appending.
fn append(file: &std::fs::File, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::pwritev2(file, &[IoSlice::new(bytes)], 0, ReadWriteFlags::APPEND) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(count) => bytes = &bytes[count..],
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
