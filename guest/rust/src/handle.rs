//! Handles: what every shared object but a connection has in common.
//!
//! A process has each object once, however often it receives it: the handle that it has already is used again. So two
//! values that came with the same lock are the same holder of it, and a re-entrant lock is re-entrant across them; and
//! an object that comes in every message isn't opened every time.

use std::any::Any;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::{Arc, Weak};

use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::bindings::wasmproc::ipc::types;
use crate::carrier::{self, Attachment, Keep, NotCarried};
use crate::object_id::ObjectId;

/// The host's resource, with what this crate keeps about it.
pub(crate) trait Resource: Sized + Send + Sync + 'static {
    /// In messages.
    const NAME: &'static str;

    fn open(id: u64) -> Result<Self, types::Error>;
    fn id(&self) -> u64;
}

/// An open object. Its clones are the same handle to the host, which is dropped with the last of them.
pub(crate) struct Handle<R: Resource>(Arc<Opened<R>>);

pub(crate) struct Opened<R: Resource> {
    id: ObjectId,
    resource: R,
}

type Registry = BTreeMap<ObjectId, Weak<dyn Any + Send + Sync>>;

thread_local! {
    static OPEN: RefCell<Registry> = const { RefCell::new(Registry::new()) };
}

impl<R: Resource> Handle<R> {
    /// The handle of an object that was just made or opened, known to those who receive it again.
    pub(crate) fn new(resource: R) -> Self {
        let handle = Self::separate(resource);
        let open: Arc<dyn Any + Send + Sync> = handle.0.clone();
        OPEN.with_borrow_mut(|registry| registry.insert(handle.id(), Arc::downgrade(&open)));
        handle
    }

    /// A handle that nobody gets but through its clones.
    pub(crate) fn separate(resource: R) -> Self {
        Self(Arc::new(Opened { id: ObjectId::new(resource.id()), resource }))
    }

    /// The handle that this process has to an object, or else a new one.
    pub(crate) fn open(id: ObjectId) -> Result<Self, types::Error> {
        let open = OPEN.with_borrow(|registry| registry.get(&id).and_then(Weak::upgrade));
        match open.and_then(|open| open.downcast().ok()) {
            Some(opened) => Ok(Self(opened)),
            None => Ok(Self::new(R::open(id.get())?)),
        }
    }

    pub(crate) fn id(&self) -> ObjectId {
        self.0.id
    }

    pub(crate) fn attachment(&self) -> Attachment {
        Attachment { id: self.id(), handle: self.0.clone() }
    }

    pub(crate) fn opened(&self) -> &Arc<Opened<R>> {
        &self.0
    }
}

impl<R: Resource> Deref for Handle<R> {
    type Target = R;

    #[inline]
    fn deref(&self) -> &R {
        &self.0.resource
    }
}

impl<R: Resource> Deref for Opened<R> {
    type Target = R;

    fn deref(&self) -> &R {
        &self.resource
    }
}

impl<R: Resource> Clone for Handle<R> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<R: Resource> Keep for Opened<R> {}

impl<R: Resource> Drop for Opened<R> {
    fn drop(&mut self) {
        // The thread's variables may be gone when it ends. A newer handle's entry is not this one's.
        let _ = OPEN.try_with(|registry| {
            let mut registry = registry.borrow_mut();
            if registry.get(&self.id).is_some_and(|open| open.strong_count() == 0) {
                registry.remove(&self.id);
            }
        });
    }
}

impl<R: Resource> Serialize for Handle<R> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let number = carrier::check_in(R::NAME, self.attachment()).map_err(S::Error::custom)?;
        serializer.serialize_u64(number)
    }
}

impl<'de, R: Resource> Deserialize<'de> for Handle<R> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = u64::deserialize(deserializer)?;
        let id = carrier::check_out(R::NAME, number).map_err(D::Error::custom)?;
        Self::open(id).map_err(NotCarried::because).map_err(D::Error::custom)
    }
}

/// A shared object that a process can be granted by name. See [`Builder::share`](crate::Builder::share).
///
/// It is implemented by the shared objects of this crate, and can't be implemented by others.
///
/// ```no_run
/// use wasmproc_guest::{Error, Process, Share};
///
/// fn start(tool: &str, object: &impl Share) -> Result<Process, Error> {
///     Process::command(tool).share(object).spawn()
/// }
/// ```
pub trait Share: sealed::Attach {}

pub(crate) mod sealed {
    use crate::carrier::Attachment;

    /// The way to what is behind a public handle, known to this crate alone.
    pub trait Attach {
        #[doc(hidden)]
        fn attach(&self, attachments: &mut Attachments);
    }

    /// A list that only this crate can look into.
    #[derive(Clone, Debug, Default)]
    pub struct Attachments(pub(crate) Vec<Attachment>);
}

/// What all types around a `Handle` in a field `handle` offer: `id`, `open`, and that they can be shared. `$path` and
/// `$new` are for the examples: what makes one. `$around` puts a handle into the type.
macro_rules! shared_object {
    ([$($generics:tt)*] $type:ty: $name:literal, $path:literal, $new:literal, $around:expr) => {
        impl<$($generics)*> $type {
            /// Its number, for programs that can't be passed the object itself: see
            /// [`Builder::share`](crate::Builder::share).
            ///
            /// ```no_run
            /// # fn main() -> Result<(), wasmproc_guest::Error> {
            /// use wasmproc_guest::Process;
            ///
            #[doc = concat!("let object = wasmproc_guest::", $path, "::", $new, "?;")]
            /// Process::command("tool").share(&object).arg(object.id().to_string()).spawn()?;
            /// # Ok(())
            /// # }
            /// ```
            pub fn id(&self) -> crate::ObjectId {
                self.handle.id()
            }

            /// The object with this number, which was granted to this process. If this process has a handle to it
            /// already, this is a clone of it.
            ///
            /// # Errors
            ///
            /// [`Denied`](crate::ErrorKind::Denied) if it was not granted or doesn't exist,
            /// [`Invalid`](crate::ErrorKind::Invalid) if it is something else.
            ///
            /// ```no_run
            /// # fn example(id: wasmproc_guest::ObjectId) -> Result<(), wasmproc_guest::Error> {
            #[doc = concat!("let object = wasmproc_guest::", $path, "::open(id)?;")]
            /// # Ok(())
            /// # }
            /// ```
            pub fn open(id: crate::ObjectId) -> Result<Self, crate::Error> {
                crate::handle::Handle::open(id).map($around).map_err(crate::Error::from)
            }
        }

        impl<$($generics)*> crate::handle::Share for $type {}

        impl<$($generics)*> crate::handle::sealed::Attach for $type {
            fn attach(&self, attachments: &mut crate::handle::sealed::Attachments) {
                attachments.0.push(self.handle.attachment());
            }
        }

        impl<$($generics)*> std::fmt::Debug for $type {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.debug_struct($name).field("id", &self.id().get()).finish_non_exhaustive()
            }
        }
    };
}

pub(crate) use shared_object;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire;

    /// An object that knows how often it was opened in this process.
    struct Fake {
        id: u64,
        opened: u32,
    }

    thread_local! {
        static OPENED: RefCell<u32> = const { RefCell::new(0) };
    }

    impl Resource for Fake {
        const NAME: &'static str = "fake";

        fn open(id: u64) -> Result<Self, types::Error> {
            OPENED.with_borrow_mut(|opened| *opened += 1);
            Ok(Self { id, opened: OPENED.with_borrow(|opened| *opened) })
        }

        fn id(&self) -> u64 {
            self.id
        }
    }

    #[test]
    fn an_object_that_comes_again_is_the_same_handle_until_the_last_is_dropped() {
        let (bytes, _) = carrier::into_spawn(|| wire::encode(&Handle::new(Fake { id: 5, opened: 0 })));
        let bytes = bytes.expect("a handle travels as an argument");
        let receive = || carrier::from_spawn(|| wire::decode::<Handle<Fake>>(&bytes)).expect("it is granted");

        let (first, second) = (receive(), receive());
        assert_eq!((first.opened, second.opened), (1, 1));

        drop((first, second));
        assert_eq!(receive().opened, 2);
    }

    #[test]
    fn a_separate_handle_is_nobody_elses() {
        let separate = Handle::separate(Fake { id: 6, opened: 0 });

        let other = Handle::<Fake>::open(ObjectId::new(6)).expect("it is granted");
        drop(separate);

        assert_eq!(other.opened, 1);
        assert_eq!(Handle::<Fake>::open(ObjectId::new(6)).expect("it is granted").opened, 1);
    }

    #[test]
    fn a_result_with_a_handle_says_why_it_cannot_be() {
        let error = wire::encode(&Some(Handle::new(Fake { id: 7, opened: 0 }))).expect_err("nothing carries it");

        assert!(error.to_string().contains("takes a queue or a connection and sends it there"), "{error}");
    }
}
