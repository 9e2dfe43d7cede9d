//! Which functions a process can be started on.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A function that can be called in another process with the arguments `A`.
///
/// It is implemented for every function of up to eight parameters, and for closures that capture nothing, since there
/// is no memory in common that a captured variable could be in. The arguments are a tuple of as many values, or the
/// value itself when there is one, or `()` when there is none. `Mark` tells these cases apart and is always inferred.
///
/// ```no_run
/// use wasmproc_guest::{Error, Process};
///
/// fn greet() {}
/// fn double(number: i64) -> i64 { 2 * number }
/// fn repeat(text: String, times: usize) -> String { text.repeat(times) }
///
/// # fn main() -> Result<(), Error> {
/// Process::spawn(greet, ())?;
/// Process::spawn(double, 21)?;
/// Process::spawn(double, (21,))?;
/// Process::spawn(repeat, ("ab".to_owned(), 3))?;
/// Process::spawn(|text: String| text.len(), "ab".to_owned())?;
/// # Ok(())
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be called in another process with the arguments `{A}`",
    note = "the arguments are a tuple of the function's parameters, `()` if it has none",
    note = "parameters and result implement `serde::Serialize` and `serde::de::DeserializeOwned`: `String`, not `&str`"
)]
pub trait Function<A, Mark>: sealed::Function<Mark> + Copy + 'static {
    /// What the function returns.
    type Output: Serialize + DeserializeOwned;

    #[doc(hidden)]
    fn call(self, arguments: A) -> Self::Output;
}

/// Nobody else implements [`Function`], because a value of the function's type is made from nothing in the child, and
/// that is right only for types that the compiler made for functions.
pub(crate) mod sealed {
    /// Marks a function whose arguments are a tuple.
    #[derive(Debug)]
    pub enum Tuple {}

    /// Marks a function whose argument stands alone.
    #[derive(Debug)]
    pub enum Single {}

    pub trait Function<Mark> {}

    impl<F> Function<Tuple> for F {}
    impl<F> Function<Single> for F {}
}

impl<F, A, R> Function<A, sealed::Single> for F
where
    F: Fn(A) -> R + Copy + 'static,
    R: Serialize + DeserializeOwned,
{
    type Output = R;

    fn call(self, argument: A) -> R {
        self(argument)
    }
}

macro_rules! function_of_tuple {
    ($($argument:ident: $parameter:ident),*) => {
        impl<F, R, $($parameter),*> Function<($($parameter,)*), sealed::Tuple> for F
        where
            F: Fn($($parameter),*) -> R + Copy + 'static,
            R: Serialize + DeserializeOwned,
        {
            type Output = R;

            fn call(self, ($($argument,)*): ($($parameter,)*)) -> R {
                self($($argument),*)
            }
        }
    };
}

function_of_tuple!();
function_of_tuple!(a: A);
function_of_tuple!(a: A, b: B);
function_of_tuple!(a: A, b: B, c: C);
function_of_tuple!(a: A, b: B, c: C, d: D);
function_of_tuple!(a: A, b: B, c: C, d: D, e: E);
function_of_tuple!(a: A, b: B, c: C, d: D, e: E, f: G);
function_of_tuple!(a: A, b: B, c: C, d: D, e: E, f: G, g: H);
function_of_tuple!(a: A, b: B, c: C, d: D, e: E, f: G, g: H, h: I);
