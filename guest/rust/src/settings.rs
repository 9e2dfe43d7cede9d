//! What a builder collects, and how it becomes the `options` of a spawn.
//!
//! What isn't said is inherited from this process.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::bindings::wasmproc::ipc::process::{Directory, Limits, Options};
use crate::carrier;
use crate::handle::sealed::Attachments;

#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    pub(crate) name: Option<String>,
    pub(crate) daemon: bool,
    pub(crate) component: Option<String>,
    pub(crate) arguments: Option<Vec<String>>,
    pub(crate) environment: Environment,
    pub(crate) directories: Option<Vec<Directory>>,
    pub(crate) max_memory_bytes: Option<u64>,
    pub(crate) cpu_time: Option<Duration>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) objects: Attachments,
}

/// How a child's environment differs from this process's: as in std, changes and not a list.
#[derive(Clone, Debug, Default)]
pub(crate) struct Environment {
    cleared: bool,
    /// `None` for a variable that the child doesn't get.
    changes: BTreeMap<String, Option<String>>,
}

impl Settings {
    pub(crate) fn add_arguments(&mut self, arguments: impl IntoIterator<Item = String>) {
        self.arguments.get_or_insert_default().extend(arguments);
    }

    pub(crate) fn add_directory(&mut self, directory: Directory) {
        self.directories.get_or_insert_default().push(directory);
    }

    pub(crate) fn to_options(&self) -> Options {
        let program = || self.component.clone().or_else(|| std::env::args().next()).unwrap_or_default();
        let arguments =
            self.arguments.as_ref().map(|arguments| [program()].into_iter().chain(arguments.iter().cloned()).collect());
        Options {
            name: self.name.clone(),
            daemon: self.daemon,
            arguments,
            environment: self.environment.resolve(inherited_variables),
            component: self.component.clone(),
            directories: self.directories.clone(),
            limits: Limits {
                max_memory_bytes: self.max_memory_bytes,
                cpu_time_ns: self.cpu_time.map(nanoseconds),
                timeout_ns: self.timeout.map(nanoseconds),
            },
            objects: carrier::ids(&self.objects.0),
        }
    }
}

impl Environment {
    pub(crate) fn set(&mut self, name: String, value: String) {
        self.changes.insert(name, Some(value));
    }

    pub(crate) fn remove(&mut self, name: String) {
        self.changes.insert(name, None);
    }

    /// Forgets what was inherited, and every change so far.
    pub(crate) fn clear(&mut self) {
        self.cleared = true;
        self.changes.clear();
    }

    /// The whole environment of the child; `None` if it is that of this process.
    fn resolve(&self, inherited: impl FnOnce() -> Vec<(String, String)>) -> Option<Vec<(String, String)>> {
        if !self.cleared && self.changes.is_empty() {
            return None;
        }
        let inherited = if self.cleared { Vec::new() } else { inherited() };
        let kept = inherited.into_iter().filter(|(name, _)| !self.changes.contains_key(name));
        let set = self.changes.iter().filter_map(|(name, value)| Some((name.clone(), value.clone()?)));
        Some(kept.chain(set).collect())
    }
}

/// A time-out as the host takes it.
pub(crate) fn within(timeout: Duration) -> Option<u64> {
    Some(nanoseconds(timeout))
}

/// In WebAssembly every variable is text, so none is left out there.
fn inherited_variables() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// A length of time as the host takes it. One that doesn't fit is longer than 500 years, so the longest will do.
pub(crate) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inherited() -> Vec<(String, String)> {
        pairs(&[("HOME", "/home"), ("LANG", "C")])
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    #[test]
    fn an_environment_without_changes_is_inherited() {
        assert_eq!(Environment::default().resolve(inherited), None);
    }

    #[test]
    fn changes_are_made_to_what_is_inherited() {
        let mut environment = Environment::default();
        environment.set("LANG".to_owned(), "de".to_owned());
        environment.set("MODE".to_owned(), "fast".to_owned());
        environment.remove("HOME".to_owned());

        assert_eq!(environment.resolve(inherited), Some(pairs(&[("LANG", "de"), ("MODE", "fast")])));
    }

    #[test]
    fn a_cleared_environment_has_only_what_was_set_afterwards() {
        let mut environment = Environment::default();
        environment.set("MODE".to_owned(), "fast".to_owned());
        environment.clear();
        environment.set("LANG".to_owned(), "de".to_owned());

        assert_eq!(environment.resolve(inherited), Some(pairs(&[("LANG", "de")])));
    }

    #[test]
    fn arguments_come_after_the_name_of_the_program() {
        let mut settings = Settings { component: Some("tool".to_owned()), ..Settings::default() };
        settings.add_arguments(["-v".to_owned()]);

        assert_eq!(settings.to_options().arguments, Some(vec!["tool".to_owned(), "-v".to_owned()]));
    }

    #[test]
    fn a_time_that_does_not_fit_is_the_longest_that_does() {
        assert_eq!(nanoseconds(Duration::from_millis(5)), 5_000_000);
        assert_eq!(nanoseconds(Duration::MAX), u64::MAX);
    }
}
