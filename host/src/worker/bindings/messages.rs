//! Messages that are too long for a ring: they travel in memory of their own, and the ring carries a note.

use std::sync::atomic::Ordering::Relaxed;

use wasmproc_shm::{Batch, Layout, Mapping, Memory, Message};

use super::super::control::Control;
use super::super::host::Host;
use super::super::objects::{Failed, Shared};
use super::generated::wasmproc::ipc::types::{Error, ErrorCode};
use super::objects::error;
use crate::allocator;
use crate::wire::MAX_QUEUED_BYTES;
use crate::wire::object::{ObjectId, ObjectReply, ObjectRequest};
use crate::wire::worker::{Refusal, RefusalCode, Request};

/// Bytes of a ring unless said otherwise.
const DEFAULT_CAPACITY_BYTES: u64 = 64 << 10;

/// A message in memory of its own, and the note for it.
pub(super) struct Parcel {
    note: [u8; 8],
    parcel: u64,
}

impl Parcel {
    pub(super) fn note(&self) -> Message<'_> {
        Message::Elsewhere(&self.note)
    }
}

/// Puts a long message into memory of its own.
pub(super) fn pack(control: &Control, via: ObjectId, message: &[u8]) -> Result<Parcel, Failed> {
    if message.len() > MAX_QUEUED_BYTES {
        let message = format!("a message has at most 64 MiB, not {} bytes", message.len());
        return Err(Failed::Refused(Refusal { code: RefusalCode::TooLarge, message }));
    }
    let request = ObjectRequest::Parcel { via, bytes: message.len() as u64 };
    let (reply, mut descriptors) = control.request_object(request)?.map_err(Failed::Refused)?;
    let ObjectReply::Parcel { parcel, .. } = reply else { return Err(nonsense()) };
    let parcel = Parcel { note: parcel.to_le_bytes(), parcel };
    let mapping = descriptors.pop().and_then(|file| Mapping::of(&file, message.len(), ()).ok());
    let Some(mapping) = mapping else {
        discard(control, via, parcel.parcel)?;
        return Err(no_room());
    };
    mapping.write(0, message);
    Ok(parcel)
}

/// Gives up a message that was not sent after all, or was taken out of its memory.
fn discard(control: &Control, via: ObjectId, parcel: u64) -> Result<(), Failed> {
    Ok(control.notify(Request::Object(ObjectRequest::Discard { via, parcel }))?)
}

impl Parcel {
    /// Gives up what was not sent after all.
    pub(super) fn discard(self, control: &Control, via: ObjectId) {
        // If the supervisor is gone, so is the memory.
        let _ = discard(control, via, self.parcel);
    }
}

/// The message in a parcel, which stays where it is if there is no room for it here.
fn unpack(control: &Control, via: ObjectId, parcel: u64) -> Result<Vec<u8>, Failed> {
    let (reply, mut descriptors) =
        control.request_object(ObjectRequest::Unpack { via, parcel })?.map_err(Failed::Refused)?;
    let ObjectReply::Parcel { bytes, .. } = reply else { return Err(nonsense()) };
    let length = usize::try_from(bytes).unwrap_or(usize::MAX).min(MAX_QUEUED_BYTES);
    let mut message = Vec::new();
    let mapping = descriptors.pop().and_then(|file| Mapping::of(&file, length, ()).ok()).ok_or_else(no_room)?;
    allocator::try_reserve(&mut message, length).map_err(|_| no_room())?;
    mapping.append_to(0, length, &mut message);
    discard(control, via, parcel)?;
    Ok(message)
}

fn no_room() -> Failed {
    let message = "this process has no descriptor or memory left for a long message".to_owned();
    Failed::Refused(Refusal { code: RefusalCode::Limit, message })
}

fn nonsense() -> Failed {
    Failed::Broken(wasmtime::Error::msg("the supervisor answered another question"))
}

impl Host {
    /// The one message of a batch, wherever it is. One that there is no room for is the first that the process gets next
    /// time, see [`left_message`].
    pub(super) fn message_of(&self, shared: &Shared, batch: Batch) -> Result<Vec<u8>, Failed> {
        if !batch.elsewhere {
            return Ok(batch.bytes);
        }
        let parcel = batch.bytes.as_slice().try_into().map_or(0, u64::from_le_bytes);
        let message = unpack(&self.control, shared.id, parcel);
        let left = matches!(&message, Err(Failed::Refused(refusal)) if refusal.code == RefusalCode::Limit);
        shared.parcel.store(if left { parcel } else { 0 }, Relaxed);
        message
    }
}

/// A message that was taken before, for which there was no room then.
pub(super) fn left_message(shared: &Shared) -> Option<Batch> {
    let parcel = shared.parcel.load(Relaxed);
    (parcel != 0).then(|| Batch { bytes: parcel.to_le_bytes().to_vec(), lengths: vec![8], elsewhere: true })
}

/// How long a ring is for whom asks for that many bytes: a power of two.
pub(super) fn capacity(bytes: Option<u64>) -> Result<u32, Error> {
    let bytes = bytes.unwrap_or(DEFAULT_CAPACITY_BYTES);
    if bytes == 0 || bytes > u64::from(Layout::MAX_CAPACITY_BYTES) {
        return Err(error(ErrorCode::Invalid, format!("a capacity is between 1 byte and 1 GiB, not {bytes} bytes")));
    }
    // At most 2^30, so that it fits.
    Ok((bytes.next_power_of_two() as u32).max(Layout::MIN_CAPACITY_BYTES))
}
