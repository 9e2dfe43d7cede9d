//! What was enforced, as a value.

use serde::{Deserialize, Serialize};

use crate::Namespace;

/// The walls that stand around a process, as the code that built them reports.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Walls {
    /// The namespaces of the run that differ from the host's.
    pub namespaces: Vec<Namespace>,
    /// The root directory is an empty read-only file system, not the host's.
    pub empty_root: bool,
    /// Files are opened under this user id of the host.
    pub user: u32,
    /// A seccomp allowlist is installed.
    pub seccomp: bool,
    /// Layers that this machine refused.
    pub missing: Vec<Missing>,
}

/// A layer that could not be had, why, and what would help.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// The layer, in the words of the documentation.
    pub layer: String,
    /// What the kernel answered.
    pub reason: String,
    /// What the user can do about it.
    pub remedy: String,
}

impl Walls {
    /// Whether `namespace` separates this process from the host.
    pub fn has(&self, namespace: Namespace) -> bool {
        self.namespaces.contains(&namespace)
    }

    /// One line for the user if anything is missing, else `None`.
    pub fn warning(&self) -> Option<String> {
        let first = self.missing.first()?;
        let layers: Vec<&str> = self.missing.iter().map(|missing| missing.layer.as_str()).collect();
        Some(format!(
            "the second wall is thinner here: no {} ({}); {}",
            layers.join(", no "),
            first.reason,
            first.remedy
        ))
    }
}
