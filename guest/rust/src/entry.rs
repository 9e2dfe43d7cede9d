//! The component's `entry` export: where a process begins that was started on a function.

use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bindings::exports::wasmproc::ipc::entry::Guest;
use crate::exit::flush_stdout;
use crate::function::{Function, sealed};
use crate::locator::{Locator, MARK};
use crate::{panic, trampoline};

/// The functions of a component that others may start by name. Implemented by the `main` attribute.
pub trait NamedFunctions {
    /// What they are called.
    const NAMES: &'static [&'static str];

    /// Calls the function named `name`; `None` if there is no such function.
    fn call(name: &str, input: Vec<u8>) -> Option<Result<Vec<u8>, String>>;
}

/// The implementation of the export for a component with the named functions `N`.
#[derive(Debug)]
pub struct Entry<N>(PhantomData<N>);

impl<N: NamedFunctions> Guest for Entry<N> {
    fn call(function: String, input: Vec<u8>) -> Result<Vec<u8>, String> {
        panic::report_to_host();
        let outcome = dispatch::<N>(&function, input);
        // `main` does this when it returns; nothing else does it for an export.
        flush_stdout();
        outcome
    }
}

fn dispatch<N: NamedFunctions>(function: &str, input: Vec<u8>) -> Result<Vec<u8>, String> {
    if function.starts_with(MARK) {
        let locator: Locator = function.parse().map_err(|_| format!("{function:?} isn't the place of a function"))?;
        return trampoline::call(locator, input);
    }
    N::call(function, input).unwrap_or_else(|| Err(no_such_function::<N>(function)))
}

fn no_such_function<N: NamedFunctions>(function: &str) -> String {
    if N::NAMES.is_empty() {
        return format!(
            "no function {function:?}: this component names none, see `functions` of #[wasmproc_guest::main]"
        );
    }
    format!("no function {function:?}: this component has {}", N::NAMES.join(", "))
}

/// Calls one named function. The mark is given here, because from the function alone it couldn't be inferred.
pub fn call_named<F, A>(function: F, name: &str, input: Vec<u8>) -> Result<Vec<u8>, String>
where
    F: Function<A, sealed::Tuple>,
    A: Serialize + DeserializeOwned,
{
    trampoline::invoke(function, name, input)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire;

    struct Numbers;

    impl NamedFunctions for Numbers {
        const NAMES: &'static [&'static str] = &["double", "add"];

        fn call(name: &str, input: Vec<u8>) -> Option<Result<Vec<u8>, String>> {
            match name {
                "double" => Some(call_named(|number: i64| 2 * number, name, input)),
                "add" => Some(call_named(|a: i64, b: i64| a + b, name, input)),
                _ => None,
            }
        }
    }

    #[test]
    fn a_named_function_is_called_with_its_arguments() {
        let double = dispatch::<Numbers>("double", wire::encode(&21_i64).expect("a number can be encoded"));
        let add = dispatch::<Numbers>("add", wire::encode(&(1_i64, 2_i64)).expect("numbers can be encoded"));

        assert_eq!(double, Ok(wire::encode(&42_i64).expect("a number can be encoded")));
        assert_eq!(add, Ok(wire::encode(&3_i64).expect("a number can be encoded")));
    }

    #[test]
    fn a_name_that_is_unknown_is_rejected_with_those_that_are_known() {
        let error = dispatch::<Numbers>("tripel", Vec::new()).expect_err("there is no such function");

        assert_eq!(error, "no function \"tripel\": this component has double, add");
    }

    #[test]
    fn a_malformed_place_is_rejected_and_not_called() {
        let error = dispatch::<Numbers>("#0:0000000000000000", Vec::new()).expect_err("0 is no place");

        assert_eq!(error, "\"#0:0000000000000000\" isn't the place of a function");
    }
}
