//! Objects that travel in messages.

use super::super::host::Host;
use super::super::objects::Handle;
use super::objects::Answer;
use crate::wire::object::{ObjectId, ObjectReply, ObjectRequest};

impl Host {
    pub(super) fn issue_ticket(&mut self, via: Handle, object: ObjectId) -> Answer<u64> {
        let via = self.object(via)?.id;
        match self.control.request_object(ObjectRequest::Ticket { via, object })? {
            Ok((ObjectReply::Ticket(ticket), _)) => {
                self.objects.moved(object);
                Ok(Ok(ticket))
            }
            Ok(_) => Err(wasmtime::Error::msg("the supervisor answered another question")),
            Err(refusal) => Ok(Err(refusal.into())),
        }
    }

    pub(super) fn redeem_ticket(&mut self, via: Handle, ticket: u64) -> Answer<u64> {
        let via = self.object(via)?.id;
        match self.control.request_object(ObjectRequest::Redeem { via, ticket })? {
            Ok((ObjectReply::Redeemed(object), _)) => Ok(Ok(object.0)),
            Ok(_) => Err(wasmtime::Error::msg("the supervisor answered another question")),
            Err(refusal) => Ok(Err(refusal.into())),
        }
    }
}
