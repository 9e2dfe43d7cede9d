//! What was enforced, as a value.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Namespace;

/// The walls that stand around a process, as the code that built them reports.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Walls {
    /// The namespaces of the run that differ from the host's.
    pub namespaces: Vec<Namespace>,
    /// The root directory is an empty read-only file system, not the host's.
    pub empty_root: bool,
    /// The version of Landlock whose rules are in force.
    pub landlock: Option<u32>,
    /// Files are opened under this user id of the host.
    pub user: u32,
    /// A seccomp allowlist is installed.
    pub seccomp: bool,
    /// The controllers of the run's cgroup; empty if it has none.
    pub cgroup: Vec<String>,
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

/// One layer of the sandbox, as it can be left out to see that others hold without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layer {
    /// One of the namespaces other than the user namespace, which brings the right to make them.
    Namespace(Namespace),
    EmptyRoot,
    Landlock,
    Seccomp,
    /// Giving up capabilities.
    Capabilities,
    Limits,
}

impl Layer {
    pub const ALL: [Layer; 10] = [
        Layer::Namespace(Namespace::Mount),
        Layer::Namespace(Namespace::Pid),
        Layer::Namespace(Namespace::Net),
        Layer::Namespace(Namespace::Ipc),
        Layer::Namespace(Namespace::Uts),
        Layer::EmptyRoot,
        Layer::Landlock,
        Layer::Seccomp,
        Layer::Capabilities,
        Layer::Limits,
    ];

    /// The layer of this name, as it is displayed.
    pub fn named(name: &str) -> Option<Layer> {
        Layer::ALL.into_iter().find(|layer| layer.to_string() == name)
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Layer::Namespace(namespace) => write!(f, "{}-namespace", namespace.name()),
            Layer::EmptyRoot => f.write_str("empty-root"),
            Layer::Landlock => f.write_str("landlock"),
            Layer::Seccomp => f.write_str("seccomp"),
            Layer::Capabilities => f.write_str("capabilities"),
            Layer::Limits => f.write_str("limits"),
        }
    }
}

/// A set of layers, those that are left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layers(u16);

impl Layers {
    pub fn all() -> Layers {
        Layer::ALL.into_iter().collect()
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub fn has(self, layer: Layer) -> bool {
        let bit = |layer: Layer| Layer::ALL.iter().position(|one| *one == layer);
        bit(layer).is_some_and(|bit| self.0 & 1 << bit != 0)
    }

    /// The layers whose names are joined by commas; other names are none.
    pub fn named(names: &str) -> Layers {
        names.split(',').filter_map(Layer::named).collect()
    }
}

impl FromIterator<Layer> for Layers {
    fn from_iter<T: IntoIterator<Item = Layer>>(layers: T) -> Layers {
        let layers: Vec<Layer> = layers.into_iter().collect();
        let bits = Layer::ALL.iter().enumerate().filter(|(_, layer)| layers.contains(layer));
        Layers(bits.fold(0, |set, (bit, _)| set | 1 << bit))
    }
}

impl fmt::Display for Layers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = Layer::ALL.iter().filter(|layer| self.has(**layer)).map(Layer::to_string).collect();
        f.write_str(&names.join(","))
    }
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
