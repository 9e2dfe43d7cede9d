//! Where a new process begins: what a [`Builder`](crate::Builder) is a builder of.
//!
//! These types only tell apart what can be asked of a builder. They are made by [`Process::builder`],
//! [`Process::named`] and [`Process::command`].
//!
//! [`Process::builder`]: crate::Process::builder
//! [`Process::named`]: crate::Process::named
//! [`Process::command`]: crate::Process::command

use std::marker::PhantomData;

/// A function of this component.
#[derive(Clone, Copy, Debug)]
pub struct Local<F>(pub(crate) PhantomData<F>);

/// A function that a component gave a name, of this component or of another one.
#[derive(Clone, Debug)]
pub struct Named {
    pub(crate) function: String,
}

/// The main function of another component.
#[derive(Clone, Copy, Debug)]
pub struct Main(pub(crate) ());
