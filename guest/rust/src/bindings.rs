//! The host's interfaces as `wit/` describes them: generated, and wrapped by the rest of this crate.
//!
//! Public to the expansion of the `main` attribute alone, which writes the export into the user's crate.

#![allow(missing_docs, unreachable_pub, reason = "generated")]

wit_bindgen::generate!({
    world: "task",
    path: "../../wit",
    pub_export_macro: true,
    export_macro_name: "export",
    default_bindings_module: "wasmproc_guest::__private::bindings",
    with: { "wasi:io/poll@0.2.6": wasip2::io::poll },
});
