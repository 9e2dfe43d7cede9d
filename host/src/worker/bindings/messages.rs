//! Messages that are too long for a ring: they travel in memory of their own, and the ring carries a note.

use wasmproc_shm::{Batch, Layout, Mapping, Memory, Message};

use super::super::control::Control;
use super::super::host::Host;
use super::super::objects::{Failed, Shared};
use super::generated::wasmproc::ipc::types::{Error, ErrorCode};
use super::objects::error;
use crate::wire::MAX_QUEUED_BYTES;
use crate::wire::object::{ObjectId, ObjectReply, ObjectRequest};
use crate::wire::worker::{Refusal, RefusalCode};

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
    let (ObjectReply::Parcel { parcel, .. }, Some(file)) = (reply, descriptors.pop()) else {
        return Err(no_descriptor());
    };
    let mapping = match Mapping::of(&file, message.len(), ()) {
        Ok(mapping) => mapping,
        Err(_) => return Err(no_descriptor()),
    };
    mapping.write(0, message);
    Ok(Parcel { note: parcel.to_le_bytes(), parcel })
}

/// Gives up a message that was not sent after all.
pub(super) fn discard(control: &Control, via: ObjectId, parcel: &Parcel) {
    // If the supervisor is gone, so is the memory.
    let _ = control.request_object(ObjectRequest::Unpack { via, parcel: parcel.parcel });
}

/// The message that a note is about.
fn unpack(control: &Control, via: ObjectId, note: &[u8]) -> Result<Vec<u8>, Failed> {
    let parcel = note.try_into().map(u64::from_le_bytes).unwrap_or(0);
    let (reply, mut descriptors) =
        control.request_object(ObjectRequest::Unpack { via, parcel })?.map_err(Failed::Refused)?;
    let (ObjectReply::Parcel { bytes, .. }, Some(file)) = (reply, descriptors.pop()) else {
        return Err(no_descriptor());
    };
    let length = usize::try_from(bytes).unwrap_or(usize::MAX).min(MAX_QUEUED_BYTES);
    let mut message = Vec::new();
    let mapping = Mapping::of(&file, length, ()).map_err(|_| no_descriptor())?;
    if message.try_reserve_exact(length).is_err() {
        return Err(no_descriptor());
    }
    mapping.append_to(0, length, &mut message);
    Ok(message)
}

fn no_descriptor() -> Failed {
    let message = "this process has no descriptor or memory left for a long message".to_owned();
    Failed::Refused(Refusal { code: RefusalCode::Limit, message })
}

impl Host {
    /// The one message of a batch, wherever it is.
    pub(super) fn message_of(&self, shared: &Shared, batch: Batch) -> Result<Vec<u8>, Failed> {
        if batch.elsewhere { unpack(&self.control, shared.id, &batch.bytes) } else { Ok(batch.bytes) }
    }
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
