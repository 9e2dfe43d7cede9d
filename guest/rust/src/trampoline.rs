//! From a place in the function table back to a function with types.
//!
//! A function can't be sent to another instance, but a number can: the place of its *trampoline* in the table, one
//! trampoline for each function and its types. A child that is handed a wrong number must not call some other
//! function wildly, and two checks see to it. A WebAssembly engine compares signatures on every indirect call, and a
//! trampoline's is like no other function's: so a number that isn't a trampoline's traps. And a trampoline compares
//! the hash of its types before it decodes anything: so another trampoline's number is refused.

#![expect(unsafe_code, reason = "a function is called by its place in the table, and a captureless one is made anew")]

use std::any::type_name;
use std::num::NonZeroUsize;
use std::ptr::NonNull;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::carrier;
use crate::function::Function;
use crate::locator::{Locator, TypeHash};
use crate::wire;

/// One call on its way into a trampoline and back.
struct Call {
    input: Vec<u8>,
    outcome: Result<Vec<u8>, String>,
}

/// The signature that nothing else in a program has. The parameters without a meaning are there for that alone.
type Trampoline = fn(f32, u64, f64, &mut Call, f64, f32, u64) -> f32;

/// Where `F` is. Refuses at compile time what another instance couldn't call.
pub(crate) fn locate<F, A, Mark>() -> Locator
where
    F: Function<A, Mark>,
    A: Serialize + DeserializeOwned,
{
    const {
        assert!(
            size_of::<F>() == 0,
            "the function of a process can't be a function pointer or capture variables: the \
             process has a memory of its own. Name the function itself, and pass values as its \
             arguments",
        );
    }
    let address = trampoline::<F, A, Mark> as Trampoline as usize;
    let index = NonZeroUsize::new(address).expect("a function is never at the null pointer");
    Locator { index, types: type_hash::<F, A, Mark>() }
}

/// Calls the function at `locator`.
///
/// Traps if no trampoline is there. An error is for another function than the caller meant, or for undecodable input.
#[cfg(target_family = "wasm")]
pub(crate) fn call(locator: Locator, input: Vec<u8>) -> Result<Vec<u8>, String> {
    // SAFETY: a function pointer is a number other than 0 in WebAssembly, and `index` isn't 0. Whether a function of
    // this signature is there is checked by the engine when it is called, and it traps if not.
    let trampoline = unsafe { std::mem::transmute::<usize, Trampoline>(locator.index.get()) };
    let mut call = Call { input, outcome: Err("the function was not called".to_owned()) };
    trampoline(0.0, locator.types.0, 0.0, &mut call, 0.0, 0.0, 0);
    call.outcome
}

/// Elsewhere a number is not checked when it is called, so it isn't called.
#[cfg(not(target_family = "wasm"))]
pub(crate) fn call(locator: Locator, input: Vec<u8>) -> Result<Vec<u8>, String> {
    let _ = (locator, input);
    Err("functions can be called by their place only in WebAssembly".to_owned())
}

/// Calls `function` with decoded arguments, and encodes what it returns.
pub(crate) fn invoke<F, A, Mark>(function: F, name: &str, input: Vec<u8>) -> Result<Vec<u8>, String>
where
    F: Function<A, Mark>,
    A: Serialize + DeserializeOwned,
{
    let arguments = carrier::from_spawn(|| wire::decode(&input))
        .map_err(|error| format!("the arguments of {name} can't be decoded: {error}"))?;
    // They may be large, and the function may run for long.
    drop(input);
    wire::encode(&function.call(arguments)).map_err(|error| format!("the result of {name} can't be encoded: {error}"))
}

fn trampoline<F, A, Mark>(_: f32, types: u64, _: f64, call: &mut Call, _: f64, _: f32, _: u64) -> f32
where
    F: Function<A, Mark>,
    A: Serialize + DeserializeOwned,
{
    let name = type_name::<F>();
    call.outcome = if TypeHash(types) == type_hash::<F, A, Mark>() {
        invoke(conjure::<F, A, Mark>(), name, std::mem::take(&mut call.input))
    } else {
        Err(format!("the function at this place is {name}, which isn't the one that was meant"))
    };
    0.0
}

fn type_hash<F, A, Mark>() -> TypeHash
where
    F: Function<A, Mark>,
{
    TypeHash::of(&[type_name::<F>(), type_name::<A>(), type_name::<F::Output>()])
}

/// A value of the type of a function or of a closure that captures nothing.
fn conjure<F, A, Mark>() -> F
where
    F: Function<A, Mark>,
{
    const { assert!(size_of::<F>() == 0) };
    // SAFETY: a value of no size is read, for which any aligned pointer will do. There is nothing in `F` that making
    // one more could break: `Function` is sealed, so `F` is the type of a function or of a closure, and it is `Copy`.
    unsafe { NonNull::<F>::dangling().read() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::function::sealed::{Single, Tuple};

    fn add(a: i32, b: i32) -> i32 {
        a + b
    }

    fn subtract(a: i32, b: i32) -> i32 {
        a - b
    }

    fn hash_of<F, A, Mark>(_: F) -> TypeHash
    where
        F: Function<A, Mark>,
    {
        type_hash::<F, A, Mark>()
    }

    fn enter<F, A>(_: F, types: TypeHash, input: &[u8]) -> Result<Vec<u8>, String>
    where
        F: Function<A, Tuple>,
        A: Serialize + DeserializeOwned,
    {
        let mut call = Call { input: input.to_vec(), outcome: Ok(Vec::new()) };
        trampoline::<F, A, Tuple>(0.0, types.0, 0.0, &mut call, 0.0, 0.0, 0);
        call.outcome
    }

    #[test]
    fn a_trampoline_calls_its_function() {
        let input = wire::encode(&(40, 2)).expect("numbers can be encoded");

        let output = enter(add, hash_of(add), &input).expect("it is the right function");

        assert_eq!(wire::decode(&output), Ok(42));
    }

    #[test]
    fn a_trampoline_refuses_a_call_that_meant_another_function() {
        let input = wire::encode(&(40, 2)).expect("numbers can be encoded");

        let error = enter(add, hash_of(subtract), &input).expect_err("it isn't the right function");

        assert!(error.contains("::add"), "{error}");
    }

    #[test]
    fn a_trampoline_refuses_arguments_that_it_cannot_decode() {
        let error = enter(add, hash_of(add), &[2]).expect_err("an argument is missing");

        assert!(error.contains("arguments of") && error.contains("::add"), "{error}");
    }

    #[test]
    fn closures_and_single_arguments_are_functions_too() {
        let length = |text: String| text.len();

        let input = wire::encode(&"four").expect("a text can be encoded");

        let output = invoke::<_, String, Single>(length, "length", input);

        assert_eq!(output, Ok(wire::encode(&4_usize).expect("a number can be encoded")));
    }
}
