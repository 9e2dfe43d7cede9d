//! A session of the run's own, so that the kernel divides processors between runs and not between processes.
//!
//! Kernels with autogroups (see sched(7)) divide processors among sessions first: a thousand processes in one get no more
//! than the only one in another. A session can be given less, and the same again later.
//!
//! It is no wall: nothing is refused to anybody. On kernels without autogroups, and where cgroups divide processors
//! instead, it changes nothing.

use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::Procfs;

/// The session of this process and those that it forks.
#[derive(Debug)]
pub struct Session {
    /// Where its weight is told, if it is a session of its own and the kernel has autogroups.
    autogroup: Option<OwnedFd>,
}

impl Session {
    /// Begins one, unless a terminal controls the present one: that stops and continues processes by their session.
    ///
    /// Must be called while this process has the host's root.
    pub fn begin(procfs: &Procfs) -> Session {
        let terminal = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let is_free = rustix::fs::open(c"/dev/tty", terminal, Mode::empty()).is_err_and(|error| error == Errno::NXIO);
        // The first process of a group can't begin one.
        let is_own = is_free && rustix::process::setsid().is_ok();
        let autogroup = if is_own { procfs.open(c"self/autogroup", OFlags::WRONLY).ok() } else { None };
        Session { autogroup }
    }

    /// Puts it behind other sessions by so many of nice(2)'s steps, each of which leaves it four fifths of what it had beside
    /// somebody who wants all. 0 takes that back.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when the kernel was told such a thing by anybody a moment ago.
    pub fn give_way(&self, steps: u8) -> io::Result<()> {
        if let Some(autogroup) = &self.autogroup {
            rustix::io::write(autogroup, steps.to_string().as_bytes())?;
        }
        Ok(())
    }
}
