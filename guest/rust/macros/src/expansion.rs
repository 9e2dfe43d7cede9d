//! What `#[wasmproc_guest::main]` turns `fn main` into.
//!
//! The user's function stays as it is, inside a new `main` that runs it: so an executor's attribute below ours still
//! finds a function that is called `main`. The `entry` export is written into the user's crate and not into the SDK,
//! because it names the user's functions, and because an export in a dependency that nobody mentions is dropped.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Error, ItemFn, ReturnType};

use crate::arguments::{Arguments, NamedFunction};

pub(crate) fn expand(arguments: &Arguments, main: &ItemFn) -> syn::Result<TokenStream> {
    check(main)?;
    let entry = entry(&arguments.functions);
    // So that "`T` is not a `Termination`" points at the return type.
    let span = match &main.sig.output {
        ReturnType::Default => main.sig.ident.span(),
        ReturnType::Type(_, output) => output.span(),
    };
    let run = quote_spanned!(span=> ::wasmproc_guest::__private::run(main));
    Ok(quote! {
        fn main() -> ::std::process::ExitCode {
            #main
            #run
        }
        #entry
    })
}

/// The error, and a `main` in place of the user's: that it is missing would be a second error about nothing.
pub(crate) fn refuse(error: &Error) -> TokenStream {
    let error = error.to_compile_error();
    quote! {
        #error
        fn main() {}
    }
}

fn check(main: &ItemFn) -> syn::Result<()> {
    let signature = &main.sig;
    if signature.ident != "main" {
        return Err(Error::new(signature.ident.span(), "expected the program's `fn main`"));
    }
    if !signature.inputs.is_empty() {
        return Err(Error::new(signature.inputs.span(), "`main` takes no arguments: `std::env::args` has them"));
    }
    match &signature.asyncness {
        // Another attribute may be the one that makes it an ordinary function.
        Some(asyncness) if main.attrs.is_empty() => {
            let message = "`main` can't be async by itself: put an executor's attribute below this one";
            Err(Error::new(asyncness.span(), message))
        }
        _ => Ok(()),
    }
}

/// The component's `entry` export, which looks names up in a `match`.
fn entry(functions: &[NamedFunction]) -> TokenStream {
    let names: Vec<&str> = functions.iter().map(|function| function.name.as_str()).collect();
    let calls = functions.iter().map(|NamedFunction { name, path }| {
        quote_spanned!(path.span()=> #name => ::core::option::Option::Some(
            ::wasmproc_guest::__private::call_named(#path, #name, input),
        ))
    });
    quote! {
        const _: () = {
            struct Named;

            impl ::wasmproc_guest::__private::NamedFunctions for Named {
                const NAMES: &'static [&'static str] = &[#(#names),*];

                #[allow(unused_variables)]
                fn call(
                    name: &str,
                    input: ::std::vec::Vec<u8>,
                ) -> ::core::option::Option<
                    ::core::result::Result<::std::vec::Vec<u8>, ::std::string::String>,
                > {
                    match name {
                        #(#calls,)*
                        _ => ::core::option::Option::None,
                    }
                }
            }

            type Entry = ::wasmproc_guest::__private::Entry<Named>;
            ::wasmproc_guest::__private::export!(Entry with_types_in ::wasmproc_guest::__private::bindings);
        };
    }
}
