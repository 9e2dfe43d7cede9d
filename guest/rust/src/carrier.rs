//! How a handle travels inside of a value: what serialising and deserialising one does.
//!
//! A handle is of no use to another process before the host has granted it the object. So a handle that is serialised
//! asks what carries the value, and writes a number:
//!
//! ```text
//!   carried by              serialising writes             deserialising
//!   the start of a process  the id, and puts it on the     opens the id
//!                           list of what is granted
//!   a message               a ticket of its queue or pipe  redeems the ticket, opens its id
//!   anything else           is an error                    is an error
//! ```
//!
//! Serde has no room for such a context, so it is a variable of this module, set by those who encode and decode. A value
//! whose serialisation encodes another one has the inner carrier for the inner value only.
//!
//! The reason why a handle could not travel is kept beside serde's error, which has no text in postcard.

use std::any::Any;
use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

use crate::bindings::wasmproc::ipc::types;
use crate::error::Error;
use crate::object_id::ObjectId;

/// Something that is on its way, kept until it has arrived: its last handle here may be dropped before.
#[derive(Clone)]
pub(crate) struct Attachment {
    pub(crate) id: ObjectId,
    pub(crate) handle: Arc<dyn Keep>,
}

/// What is behind a handle.
pub(crate) trait Keep: Any + Send + Sync {
    /// The message that it was in was not sent, and this process has been granted it again.
    fn come_back(&self) {}
}

/// What messages travel through: it issues tickets for the objects in them.
pub(crate) trait Channel: Send + Sync {
    fn ticket(&self, object: ObjectId) -> Result<u64, types::Error>;
    fn redeem(&self, ticket: u64) -> Result<u64, types::Error>;
}

/// A ticket that was written into a message.
pub(crate) struct Ticket {
    number: u64,
    attachment: Attachment,
}

enum Carrier {
    Nothing,
    /// The arguments of a process to be started.
    Spawn(Vec<Attachment>),
    /// The arguments of this process.
    Arguments,
    /// A message to be sent.
    Outgoing(Arc<dyn Channel>, Vec<Ticket>),
    /// A message that came.
    Incoming(Arc<dyn Channel>),
}

thread_local! {
    static CARRIER: RefCell<Carrier> = const { RefCell::new(Carrier::Nothing) };
    static REASON: RefCell<Option<Error>> = const { RefCell::new(None) };
}

/// Encodes the arguments of a process to be started; says what must be granted to it.
pub(crate) fn into_spawn<R>(encode: impl FnOnce() -> R) -> (R, Vec<Attachment>) {
    match carried_by(Carrier::Spawn(Vec::new()), encode) {
        (result, Carrier::Spawn(attachments)) => (result, attachments),
        _ => unreachable!("a carrier stays what it is"),
    }
}

/// Decodes the arguments of this process.
pub(crate) fn from_spawn<R>(decode: impl FnOnce() -> R) -> R {
    carried_by(Carrier::Arguments, decode).0
}

/// Encodes a message; says which tickets are in it.
pub(crate) fn into_message<R>(channel: Arc<dyn Channel>, encode: impl FnOnce() -> R) -> (R, Vec<Ticket>) {
    match carried_by(Carrier::Outgoing(channel, Vec::new()), encode) {
        (result, Carrier::Outgoing(_, tickets)) => (result, tickets),
        _ => unreachable!("a carrier stays what it is"),
    }
}

/// Decodes a message.
pub(crate) fn from_message<R>(channel: Arc<dyn Channel>, decode: impl FnOnce() -> R) -> R {
    carried_by(Carrier::Incoming(channel), decode).0
}

/// How many tickets are in the message that is being encoded, so far.
pub(crate) fn tickets() -> usize {
    CARRIER.with_borrow(|carrier| match carrier {
        Carrier::Outgoing(_, tickets) => tickets.len(),
        _ => 0,
    })
}

/// Takes back what was to go in a message that was not sent: a ticket counts against a quota, and for an end of a pipe
/// it is all there is.
#[cold]
pub(crate) fn take_back(channel: &dyn Channel, tickets: impl IntoIterator<Item = Ticket>) {
    for ticket in tickets {
        // If that fails, the channel is gone or damaged, and the tickets with it.
        if channel.redeem(ticket.number).is_ok() {
            ticket.attachment.handle.come_back();
        }
    }
}

/// The number that stands for a handle in the value that is being encoded. `what` names its type.
pub(crate) fn check_in(what: &str, attachment: Attachment) -> Result<u64, NotCarried> {
    let number = CARRIER.with_borrow_mut(|carrier| match carrier {
        Carrier::Spawn(attachments) => {
            let id = attachment.id.get();
            attachments.push(attachment);
            Ok(id)
        }
        Carrier::Outgoing(channel, tickets) => {
            let number = channel.ticket(attachment.id)?;
            tickets.push(Ticket { number, attachment });
            Ok(number)
        }
        Carrier::Nothing | Carrier::Arguments | Carrier::Incoming(_) => Err(Error::encoding(format!(
            "a {what} travels as an argument of a process, or in a message of a queue or a connection; this is neither: \
             a function that is to return one takes a queue or a connection and sends it there"
        ))),
    });
    number.map_err(NotCarried::because)
}

/// The id of the object that a number stands for in the value that is being decoded.
pub(crate) fn check_out(what: &str, number: u64) -> Result<ObjectId, NotCarried> {
    let id = CARRIER.with_borrow(|carrier| match carrier {
        Carrier::Arguments => Ok(number),
        Carrier::Incoming(channel) => Ok(channel.redeem(number)?),
        Carrier::Nothing | Carrier::Spawn(_) | Carrier::Outgoing(..) => {
            Err(Error::encoding(format!("a {what} comes as an argument of this process, or in a message")))
        }
    });
    id.map(ObjectId::new).map_err(NotCarried::because)
}

/// Why the last handle could not travel, if that is why encoding or decoding failed.
pub(crate) fn take_reason() -> Option<Error> {
    REASON.take()
}

/// Before encoding or decoding: a reason that nobody took is not that of a later failure.
pub(crate) fn forget_reason() {
    REASON.set(None);
}

/// A handle could not travel: the reason waits in `take_reason`, and this is its text for serde.
pub(crate) struct NotCarried(String);

impl NotCarried {
    pub(crate) fn because(error: impl Into<Error>) -> Self {
        let error = error.into();
        let text = error.to_string();
        REASON.set(Some(error));
        Self(text)
    }
}

impl fmt::Display for NotCarried {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

fn carried_by<R>(carrier: Carrier, work: impl FnOnce() -> R) -> (R, Carrier) {
    let outer = CARRIER.replace(carrier);
    let result = work();
    (result, CARRIER.replace(outer))
}

impl fmt::Debug for Attachment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.id.fmt(formatter)
    }
}

/// What the host is told to grant: each object once.
pub(crate) fn ids(attachments: &[Attachment]) -> Vec<u64> {
    let mut ids: Vec<u64> = attachments.iter().map(|attachment| attachment.id.get()).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::error::ErrorKind;

    /// Issues tickets from 100 on, for any object but 13.
    #[derive(Default)]
    struct Post {
        redeemed: Mutex<Vec<u64>>,
    }

    impl Channel for Post {
        fn ticket(&self, object: ObjectId) -> Result<u64, types::Error> {
            match object.get() {
                13 => Err(types::Error { code: types::ErrorCode::Denied, message: "no object 13".to_owned() }),
                id => Ok(100 + id),
            }
        }

        fn redeem(&self, ticket: u64) -> Result<u64, types::Error> {
            self.redeemed.lock().expect("nobody panics").push(ticket);
            Ok(ticket - 100)
        }
    }

    #[derive(Default)]
    struct Kept(Mutex<u32>);

    impl Keep for Kept {
        fn come_back(&self) {
            *self.0.lock().expect("nobody panics") += 1;
        }
    }

    fn attachment(id: u64) -> Attachment {
        Attachment { id: ObjectId::new(id), handle: Arc::new(Kept::default()) }
    }

    #[test]
    fn arguments_carry_ids_and_say_what_to_grant() {
        let (numbers, attachments) = into_spawn(|| [7, 3, 7].map(|id| check_in("lock", attachment(id)).ok()));

        assert_eq!(numbers, [Some(7), Some(3), Some(7)]);
        assert_eq!(ids(&attachments), [3, 7]);
        assert_eq!(from_spawn(|| check_out("lock", 7).ok()), Some(ObjectId::new(7)));
    }

    #[test]
    fn messages_carry_tickets_of_their_channel() {
        let post = Arc::new(Post::default());

        let (number, tickets) = into_message(post.clone(), || check_in("lock", attachment(7)).ok());

        assert_eq!(number, Some(107));
        assert_eq!(tickets.len(), 1);
        assert_eq!(from_message(post, || check_out("lock", 107).ok()), Some(ObjectId::new(7)));
    }

    #[test]
    fn what_was_in_a_message_that_was_not_sent_comes_back() {
        let (post, kept) = (Arc::new(Post::default()), Arc::new(Kept::default()));
        let connection = Attachment { id: ObjectId::new(7), handle: kept.clone() };
        let (_, tickets) = into_message(post.clone(), || check_in("connection", connection).ok());

        take_back(&*post, tickets);

        assert_eq!(*post.redeemed.lock().expect("nobody panics"), [107]);
        assert_eq!(*kept.0.lock().expect("nobody panics"), 1);
    }

    #[test]
    fn a_handle_anywhere_else_is_an_error_that_says_what_to_do() {
        let text = check_in("lock", attachment(7)).expect_err("nothing carries it").to_string();

        assert!(text.starts_with("a lock travels as an argument"), "{text}");
        assert_eq!(take_reason().expect("it is kept").kind(), ErrorKind::Encoding);
        assert!(check_out("lock", 7).is_err());
    }

    #[test]
    fn a_refusal_of_the_host_keeps_its_kind() {
        let (number, tickets) = into_message(Arc::new(Post::default()), || check_in("lock", attachment(13)).ok());

        assert_eq!((number, tickets.len()), (None, 0));
        assert_eq!(take_reason().expect("it is kept").kind(), ErrorKind::Denied);
    }

    #[test]
    fn a_message_that_is_encoded_within_another_has_a_carrier_of_its_own() {
        let post = Arc::new(Post::default());

        let (inner, attachments) = into_spawn(|| {
            into_message(post, || check_in("lock", attachment(7)).ok()).0.zip(check_in("lock", attachment(3)).ok())
        });

        assert_eq!(inner, Some((107, 3)));
        assert_eq!(ids(&attachments), [3]);
    }
}
