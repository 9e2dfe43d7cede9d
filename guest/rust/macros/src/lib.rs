//! The attribute macros of `wasmproc-guest`, which re-exports and documents them.
//!
//! A macro here only writes down what the user's crate must contain itself: the component's `entry` export and the
//! names of its functions. What happens when they are called is ordinary code in `wasmproc-guest`.

mod arguments;
mod expansion;

use proc_macro::TokenStream;
use syn::{ItemFn, parse_macro_input};

use arguments::Arguments;

/// Documented where it is re-exported: `wasmproc_guest::main`.
#[proc_macro_attribute]
pub fn main(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let main = parse_macro_input!(item as ItemFn);
    syn::parse(arguments)
        .and_then(|arguments: Arguments| expansion::expand(&arguments, &main))
        .unwrap_or_else(|error| expansion::refuse(&error))
        .into()
}
