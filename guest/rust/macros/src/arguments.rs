//! What stands in the parentheses of `#[wasmproc_guest::main(...)]`.

use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Error, Ident, Path, Token, parenthesized};

/// The parsed arguments: empty, or `functions(path, path, ...)`.
#[derive(Default)]
pub(crate) struct Arguments {
    /// The functions that other components may start by name.
    pub(crate) functions: Vec<NamedFunction>,
}

/// A function and the name that it is known by: the last segment of its path.
pub(crate) struct NamedFunction {
    pub(crate) name: String,
    pub(crate) path: Path,
}

impl Parse for Arguments {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        if input.is_empty() {
            return Ok(Self::default());
        }
        let keyword: Ident = input.parse()?;
        if keyword != "functions" {
            return Err(Error::new(keyword.span(), "expected `functions(path, ...)`"));
        }
        let list;
        parenthesized!(list in input);
        let paths = Punctuated::<Path, Token![,]>::parse_terminated(&list)?;
        input.parse::<Option<Token![,]>>()?;
        if !input.is_empty() {
            return Err(input.error("expected nothing after `functions(...)`"));
        }

        let mut functions: Vec<NamedFunction> = Vec::new();
        for path in paths {
            let function = NamedFunction::new(path)?;
            if functions.iter().any(|known| known.name == function.name) {
                let message = format!("two functions are named `{}`: give one of them another name", function.name);
                return Err(Error::new_spanned(function.path, message));
            }
            functions.push(function);
        }
        Ok(Self { functions })
    }
}

impl NamedFunction {
    fn new(path: Path) -> syn::Result<Self> {
        match path.segments.last() {
            Some(last) => {
                let name = last.ident.to_string();
                // A raw identifier is a way to write a name, not a part of it.
                Ok(Self { name: name.trim_start_matches("r#").to_owned(), path })
            }
            None => Err(Error::new_spanned(path, "expected the path of a function")),
        }
    }
}
