//! Folders that a test may fill, and the cache that all tests share.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use tempfile::TempDir;

/// Compiled guests, kept for all tests of this process, so that each is compiled once.
///
/// Nothing runs after the last test that could remove it, so the next test process does.
pub(super) static CACHE: LazyLock<PathBuf> = LazyLock::new(|| {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR"));
    for entry in fs::read_dir(place).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name.strip_prefix("cache-").and_then(|pid| pid.parse::<u32>().ok());
        if owner.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            // Another test process may be removing it too.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    place.join(format!("cache-{}", std::process::id()))
});

/// A folder of one test, which goes with it.
pub(crate) struct Scratch(TempDir);

impl Scratch {
    pub(crate) fn new() -> Scratch {
        Scratch(tempfile::Builder::new().prefix("wasmproc-test-").tempdir().expect("a folder"))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// The path of `name` in it, as text.
    pub(crate) fn at(&self, name: &str) -> String {
        self.path().join(name).to_str().expect("UTF-8").to_owned()
    }

    /// Writes a file and returns its path.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.at(name);
        fs::write(&path, content).expect("a file");
        path
    }

    /// Makes a folder and returns its path.
    pub(crate) fn folder(&self, name: &str) -> String {
        let path = self.at(name);
        fs::create_dir_all(&path).expect("a folder");
        path
    }

    /// Copies a file that everybody may then read and execute, and returns the copy's path.
    pub(crate) fn copy(&self, source: &str, name: &str) -> String {
        let path = self.at(name);
        // By another process: what other tests start meanwhile would inherit a descriptor for writing, and as long as one of
        // them has it, the copy can't be executed.
        let copied = Command::new("cp").args([source, &path]).status().expect("cp is there");
        assert!(copied.success(), "{source} can be copied");
        fs::set_permissions(&path, Permissions::from_mode(0o755)).expect("its mode");
        path
    }

    /// Gives it to another user. Needs root.
    pub(crate) fn give_to(&self, user: u32) {
        chown(self.path(), Some(user), Some(user)).expect("root may");
    }

    /// The names of what is in it, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path()).expect("readable");
        let mut names: Vec<String> =
            entries.map(|entry| entry.expect("readable").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Says that a part of a test can't be done here.
pub(crate) fn skip(why: &str) {
    eprintln!("skipped here: {why}");
}
