//! What the kernel tells of this process in /proc, also when the root is empty.

use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags};

/// More than any of them has.
const MOST_BYTES: u64 = 1 << 20;

/// The host's /proc, if it has one.
#[derive(Debug)]
pub struct Procfs(Option<OwnedFd>);

impl Procfs {
    /// Must be opened while this process has the host's root.
    pub fn of_host() -> Procfs {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Procfs(rustix::fs::open(c"/proc", flags, Mode::empty()).ok())
    }

    /// Opens something below /proc.
    pub fn open(&self, name: &CStr, flags: OFlags) -> io::Result<OwnedFd> {
        let folder = self.0.as_ref().ok_or(io::ErrorKind::NotFound)?;
        Ok(rustix::fs::openat(folder, name, flags | OFlags::CLOEXEC, Mode::empty())?)
    }

    pub fn read(&self, name: &CStr) -> io::Result<String> {
        let mut text = String::new();
        // A file on its own is asked for its length and position first, which these files don't have.
        File::from(self.open(name, OFlags::RDONLY)?).take(MOST_BYTES).read_to_string(&mut text)?;
        Ok(text)
    }
}
