//! `wasmproc:ipc/shared`.

use wasmproc_shm::Layout;
use wasmtime::component::Resource;

use super::super::host::Host;
use super::super::objects::{Handle, Opened, Shared};
use super::generated::wasmproc::ipc::shared::{self as wit, Width};
use super::generated::wasmproc::ipc::types::{Error, ErrorCode};
use super::objects::{Answer, error, opened};

/// The most that one `read` copies.
const MAX_READ_BYTES: u64 = 64 << 20;

/// The type of handles to shared arrays.
#[expect(unreachable_pub, reason = "the generated bindings name it as their own")]
pub struct SharedArray;

impl wit::Host for Host {
    #[inline]
    fn load(&mut self, handle: Handle, index: u32) -> wasmtime::Result<u64> {
        let (_, cells) = opened!(self, handle, Cells);
        cells.load(index).ok_or_else(out_of_bounds)
    }

    #[inline]
    fn swap(&mut self, handle: Handle, index: u32, value: u64) -> wasmtime::Result<u64> {
        let (_, cells) = opened!(self, handle, Cells);
        cells.swap(index, value).ok_or_else(out_of_bounds)
    }

    #[inline]
    fn add(&mut self, handle: Handle, index: u32, value: u64) -> wasmtime::Result<u64> {
        let (_, cells) = opened!(self, handle, Cells);
        cells.add(index, value).ok_or_else(out_of_bounds)
    }

    #[inline]
    fn compare_exchange(&mut self, handle: Handle, index: u32, current: u64, new: u64) -> wasmtime::Result<u64> {
        let (_, cells) = opened!(self, handle, Cells);
        cells.compare_exchange(index, current, new).ok_or_else(out_of_bounds)
    }
}

impl wit::HostSharedArray for Host {
    fn create(&mut self, width: Width, length: u32) -> Answer<Resource<SharedArray>> {
        let width = match width {
            Width::Bits8 => wasmproc_shm::Width::One,
            Width::Bits16 => wasmproc_shm::Width::Two,
            Width::Bits32 => wasmproc_shm::Width::Four,
            Width::Bits64 => wasmproc_shm::Width::Eight,
        };
        self.create_object(Layout::Cells { width, length })
    }

    fn open(&mut self, id: u64) -> Answer<Resource<SharedArray>> {
        self.open_object(id, |shared| matches!(shared.opened, Opened::Cells(_)), "shared array")
    }

    fn id(&mut self, array: Resource<SharedArray>) -> wasmtime::Result<u64> {
        Ok(self.object(array.rep())?.id.0)
    }

    fn element_width(&mut self, array: Resource<SharedArray>) -> wasmtime::Result<Width> {
        let (_, cells) = opened!(self, array.rep(), Cells);
        Ok(match cells.width() {
            wasmproc_shm::Width::One => Width::Bits8,
            wasmproc_shm::Width::Two => Width::Bits16,
            wasmproc_shm::Width::Four => Width::Bits32,
            wasmproc_shm::Width::Eight => Width::Bits64,
        })
    }

    fn len(&mut self, array: Resource<SharedArray>) -> wasmtime::Result<u32> {
        let (_, cells) = opened!(self, array.rep(), Cells);
        Ok(cells.len())
    }

    fn read(&mut self, array: Resource<SharedArray>, start: u32, count: u32) -> Answer<Vec<u8>> {
        let (shared, cells) = opened!(self, array.rep(), Cells);
        let behind = start.checked_add(count).is_none_or(|end| end > cells.len());
        if !behind && u64::from(count) * cells.width().bytes() as u64 > MAX_READ_BYTES {
            let message = format!("{}: {count} elements are more than 64 MiB: read fewer at once", shared.name());
            return Ok(Err(error(ErrorCode::Limit, message)));
        }
        let mut bytes = Vec::new();
        Ok(cells.read(start, count, &mut bytes).map(|()| bytes).ok_or_else(|| behind_the_end(shared, cells.len())))
    }

    fn write(&mut self, array: Resource<SharedArray>, start: u32, bytes: Vec<u8>) -> Answer<()> {
        let (shared, cells) = opened!(self, array.rep(), Cells);
        Ok(cells.write(start, &bytes).ok_or_else(|| behind_the_end(shared, cells.len())))
    }

    fn plain_handle(&mut self, array: Resource<SharedArray>) -> wasmtime::Result<Handle> {
        Ok(array.rep())
    }

    fn drop(&mut self, array: Resource<SharedArray>) -> wasmtime::Result<()> {
        self.drop_object(&array)
    }
}

#[cold]
fn out_of_bounds() -> wasmtime::Error {
    wasmtime::Error::msg("an index is behind the end of a shared array")
}

fn behind_the_end(shared: &Shared, length: u32) -> Error {
    error(
        ErrorCode::Invalid,
        format!("{}: it has {length} elements, and whole ones are read and written", shared.name()),
    )
}
