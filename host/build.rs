//! Links the command so that the zygote can move each of its segments to huge pages as a whole (`src/zygote/text.rs`): they
//! begin at one, and nothing else lies in their last one.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // What a linker doesn't know of these it says and ignores.
    println!("cargo::rustc-link-arg-bins=-Wl,-z,max-page-size=0x200000,-z,separate-loadable-segments");
}
