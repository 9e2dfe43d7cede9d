//! Shared memory: numbers that several processes read and change.

mod array;
mod element;
mod elements;
mod value;

pub use array::SharedArray;
pub use element::{Element, Number};
pub use value::SharedValue;
