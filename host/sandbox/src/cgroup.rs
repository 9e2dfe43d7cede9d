//! A cgroup of a run's own (version 2): what all its processes use together, counted and limited by the kernel.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::Pid;

use crate::walls::Missing;

/// What `statfs` says of the file system of cgroups.
const CGROUP2_MAGIC: u64 = 0x6367_7270;
const NAME: &str = "wasmproc";
/// How often, and after how long, an emptied cgroup is tried to be removed: the dead leave it a moment after their end.
const REMOVALS: u32 = 200;
const PAUSE: Duration = Duration::from_millis(5);

/// What the processes in a cgroup may use, all of them together.
#[derive(Debug, Clone, Copy)]
pub struct CgroupLimits {
    pub memory_bytes: u64,
    pub processes: u64,
}

/// A cgroup. It ends with this value, and so does whoever is in it.
#[derive(Debug)]
pub struct Cgroup {
    folder: PathBuf,
    /// The controllers whose limits are in force.
    controllers: Vec<&'static str>,
    missing: Vec<Missing>,
}

impl Cgroup {
    /// Makes one below `parent`, which has to be delegated to this user and should have the controllers `memory` and
    /// `pids` switched on for its children.
    ///
    /// # Errors
    /// When `parent` is no directory of a cgroup of version 2, or nothing can be made in it.
    pub fn create(parent: &Path, limits: CgroupLimits) -> io::Result<Cgroup> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        if rustix::fs::statfs(parent)?.f_type as u64 != CGROUP2_MAGIC {
            return Err(io::Error::other("it is not in a file system of cgroups, version 2"));
        }
        remove_abandoned(parent);
        for controller in ["memory", "pids"] {
            // On already, or refused because processes are in it: whether it worked is seen below.
            let _ = fs::write(parent.join("cgroup.subtree_control"), format!("+{controller}"));
        }
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = parent.join(format!("{NAME}-{}-{count}", std::process::id()));
        fs::create_dir(&folder)?;
        let mut cgroup = Cgroup { folder, controllers: Vec::new(), missing: Vec::new() };
        cgroup.limit("memory", "memory.max", limits.memory_bytes)?;
        cgroup.limit("pids", "pids.max", limits.processes)?;
        // Where there is no swap it has no such file.
        let _ = fs::write(cgroup.folder.join("memory.swap.max"), "0");
        Ok(cgroup)
    }

    fn limit(&mut self, controller: &'static str, file: &str, value: u64) -> io::Result<()> {
        match OpenOptions::new().write(true).open(self.folder.join(file)) {
            Ok(mut file) => {
                file.write_all(value.to_string().as_bytes())?;
                self.controllers.push(controller);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let parent = self.folder.parent().unwrap_or(&self.folder).display();
                let offered = fs::read_to_string(self.folder.with_file_name("cgroup.controllers")).unwrap_or_default();
                let (reason, remedy) = match offered.split_whitespace().any(|one| one == controller) {
                    true => (
                        format!("it is not switched on in {parent}"),
                        format!("echo +{controller} > {parent}/cgroup.subtree_control, with no process in it"),
                    ),
                    false => (
                        format!("{parent} does not have it"),
                        "have it delegated; a machine that uses cgroups of version 1 may have it there".to_owned(),
                    ),
                };
                self.missing.push(Missing { layer: format!("cgroup controller {controller}"), reason, remedy });
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    pub fn controllers(&self) -> &[&'static str] {
        &self.controllers
    }

    /// The controllers that could not be had.
    pub fn missing(&self) -> &[Missing] {
        &self.missing
    }

    /// What a process needs to [`enter`](enter_cgroup) it. Whether it may is decided by the rights of the one who calls this.
    pub fn entrance(&self) -> io::Result<OwnedFd> {
        Ok(OpenOptions::new().write(true).open(self.folder.join("cgroup.procs"))?.into())
    }

    /// How many processes in it the kernel has killed because their memory together reached the limit.
    pub fn memory_kills(&self) -> u64 {
        let events = fs::read_to_string(self.folder.join("memory.events")).unwrap_or_default();
        events.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok()).unwrap_or(0)
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // Nobody should be left. Before Linux 5.14 there is no such file.
        let _ = fs::write(self.folder.join("cgroup.kill"), "1");
        for _ in 0..REMOVALS {
            match fs::remove_dir(&self.folder) {
                Err(error) if error.kind() == io::ErrorKind::ResourceBusy => std::thread::sleep(PAUSE),
                _ => return,
            }
        }
    }
}

/// Goes into the cgroup, with all that this process will fork.
pub fn enter_cgroup(entrance: BorrowedFd<'_>) -> io::Result<()> {
    File::from(entrance.as_fd().try_clone_to_owned()?).write_all(b"0")
}

/// Those of runs whose supervisor was killed: empty, because all of a run ends with it.
fn remove_abandoned(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let pid =
            name.to_str().and_then(|name| name.strip_prefix(NAME)?.strip_prefix('-')?.split('-').next()?.parse().ok());
        let Some(pid) = pid.and_then(Pid::from_raw) else { continue };
        if rustix::process::test_kill_process(pid) == Err(Errno::SRCH) {
            let _ = fs::remove_dir(entry.path());
        }
    }
}
