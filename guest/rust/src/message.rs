//! Values on their way through a queue or a pipe.
//!
//! A value is encoded into one buffer that is used for all messages of this process, from which the host copies it into
//! shared memory: no other copy is made of it on this side.

use std::cell::RefCell;
use std::mem;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bindings::wasmproc::ipc::types;
use crate::carrier::{self, Channel};
use crate::error::Error;
use crate::wire;

/// A buffer that a large message has made larger than this isn't kept.
const MAX_KEPT_BYTES: usize = 1 << 20;

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Encodes `value` and hands its bytes to `send`. What was in it comes back if they are not sent.
pub(crate) fn send<T: Serialize>(
    channel: &Arc<impl Channel + 'static>,
    value: &T,
    send: impl FnOnce(&[u8]) -> Result<(), types::Error>,
) -> Result<(), Error> {
    with_buffer(|bytes| {
        let (encoded, tickets) = carrier::into_message(channel.clone(), || wire::encode_behind(value, bytes));
        let sent = match encoded {
            Ok(()) => send(bytes).map_err(Error::from),
            Err(error) => Err(error.during("the message can't be serialised")),
        };
        if sent.is_err() {
            carrier::take_back(&**channel, tickets);
        }
        sent
    })
}

/// Decodes a message. It has been taken from its queue or pipe: if it can't be decoded, it is lost.
pub(crate) fn receive<T: DeserializeOwned>(channel: &Arc<impl Channel + 'static>, bytes: &[u8]) -> Result<T, Error> {
    carrier::from_message(channel.clone(), || wire::decode(bytes))
        .map_err(|error| error.during("the message can't be decoded"))
}

/// A buffer that is empty. While it is in use, a value whose serialisation sends another one gets a new one.
pub(crate) fn with_buffer<R>(work: impl FnOnce(&mut Vec<u8>) -> R) -> R {
    let mut buffer = BUFFER.with_borrow_mut(mem::take);
    buffer.clear();
    let result = work(&mut buffer);
    if buffer.capacity() <= MAX_KEPT_BYTES {
        BUFFER.set(buffer);
    }
    result
}
