//! Panics in a function that has a name.

#[inline(never)]
fn innermost_function() {
    panic!("the flour is gone");
}

#[wasmproc_guest::main]
fn main() {
    innermost_function();
}
