//! The engine: one configuration, for the compile worker that makes native code and the zygote that runs it.

use wasmtime::{Config, Engine, WasmBacktraceDetails};

/// Bytes of stack that a guest may use, and of the stack that its host calls run on besides.
const GUEST_STACK_BYTES: usize = 1 << 20;
const ASYNC_STACK_BYTES: usize = 2 << 20;

/// Names in cache keys what is made and kept of a component: count it up whenever [`config`] or the manifest changes.
pub(super) const CONFIGURATION: &str = "2";

/// The version of wasmtime that this is built with; an artifact of another one is never loaded.
pub(super) const WASMTIME_VERSION: &str = "48.0.8";

/// No fuel and no epochs: a process that runs too long is killed, which costs compiled code nothing.
fn config() -> Config {
    let mut config = Config::new();
    config
        .concurrency_support(false)
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
        .max_wasm_stack(GUEST_STACK_BYTES)
        .async_stack_size(ASYNC_STACK_BYTES);
    config
}

pub(crate) fn engine() -> wasmtime::Result<Engine> {
    Engine::new(&config())
}

/// The processor's features that compiled code may use, for the cache key.
pub(super) fn cpu_features() -> String {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::is_x86_feature_detected as has;
        let features = [
            ("sse3", has!("sse3")),
            ("ssse3", has!("ssse3")),
            ("cmpxchg16b", has!("cmpxchg16b")),
            ("sse4.1", has!("sse4.1")),
            ("sse4.2", has!("sse4.2")),
            ("popcnt", has!("popcnt")),
            ("avx", has!("avx")),
            ("avx2", has!("avx2")),
            ("fma", has!("fma")),
            ("bmi1", has!("bmi1")),
            ("bmi2", has!("bmi2")),
            ("avx512bitalg", has!("avx512bitalg")),
            ("avx512dq", has!("avx512dq")),
            ("avx512f", has!("avx512f")),
            ("avx512vl", has!("avx512vl")),
            ("avx512vbmi", has!("avx512vbmi")),
            ("lzcnt", has!("lzcnt")),
        ];
        features.iter().filter(|(_, present)| *present).map(|(name, _)| *name).collect::<Vec<_>>().join("+")
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        std::env::consts::ARCH.to_owned()
    }
}
