//! What is behind a connection: one end of a pipe, which moves.
//!
//! When a message with an end in it was not sent, the host grants this process the end again, and the handle is made anew.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::bindings::wasmproc::ipc::{pipe, types};
use crate::carrier::{self, Attachment, Channel, Keep, NotCarried};
use crate::object_id::ObjectId;

const NAME: &str = "connection";

pub(crate) struct End {
    id: ObjectId,
    /// Replaced when the end comes back. Locked for one call: there are no threads here, and so no wait.
    connection: Mutex<pipe::Connection>,
}

impl End {
    pub(crate) fn new(connection: pipe::Connection) -> Arc<Self> {
        Arc::new(Self { id: ObjectId::new(connection.id()), connection: Mutex::new(connection) })
    }

    pub(crate) fn open(id: ObjectId) -> Result<Arc<Self>, types::Error> {
        pipe::Connection::open(id.get()).map(Self::new)
    }

    pub(crate) fn id(&self) -> ObjectId {
        self.id
    }

    #[inline]
    pub(crate) fn connection(&self) -> MutexGuard<'_, pipe::Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn attachment(self: &Arc<Self>) -> Attachment {
        Attachment { id: self.id, handle: self.clone() }
    }

    pub(crate) fn serialize<S: Serializer>(self: &Arc<Self>, serializer: S) -> Result<S::Ok, S::Error> {
        let number = carrier::check_in(NAME, self.attachment()).map_err(S::Error::custom)?;
        number.serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<Self>, D::Error> {
        let number = u64::deserialize(deserializer)?;
        let id = carrier::check_out(NAME, number).map_err(D::Error::custom)?;
        Self::open(id).map_err(NotCarried::because).map_err(D::Error::custom)
    }
}

impl Keep for End {
    fn come_back(&self) {
        // If the host has made the old handle good again, there is nothing to open.
        if let Ok(connection) = pipe::Connection::open(self.id.get()) {
            *self.connection() = connection;
        }
    }
}

impl Channel for End {
    fn ticket(&self, object: ObjectId) -> Result<u64, types::Error> {
        self.connection().ticket(object.get())
    }

    fn redeem(&self, ticket: u64) -> Result<u64, types::Error> {
        self.connection().redeem(ticket)
    }
}
