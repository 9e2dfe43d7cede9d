//! What the compile worker found out about a component.

use serde::{Deserialize, Serialize};

/// A component as its imports and exports show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// What the file was.
    pub kind: SourceKind,
    /// Names of the imported interfaces, in order.
    pub imports: Vec<String>,
    /// Names of the exports, in order.
    pub exports: Vec<String>,
    /// Whether code of its own runs already when it is instantiated.
    pub runs_at_start: bool,
    /// Bytes of the WebAssembly file.
    pub source_bytes: u64,
    /// Bytes of the native artifact; 0 if none was made.
    pub artifact_bytes: u64,
    /// Milliseconds that compiling took.
    pub compile_ms: u64,
}

/// What a file was before it became a component.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SourceKind {
    Component,
    /// A core module for WASI preview 1, made into a component with wasmtime's adapter.
    CoreModule,
}

impl Manifest {
    /// The export that starts it as a command.
    pub fn run(&self) -> Option<&str> {
        self.exports.iter().map(String::as_str).find(|name| name.starts_with("wasi:cli/run@0.2."))
    }

    /// The export through which its functions can be processes.
    pub fn entry(&self) -> Option<&str> {
        self.exports.iter().map(String::as_str).find(|name| name.starts_with("wasmproc:ipc/entry@0.1."))
    }

    /// Whether it can start processes.
    pub fn starts_processes(&self) -> bool {
        self.imports.iter().any(|name| name.starts_with("wasmproc:ipc/process@"))
    }
}
