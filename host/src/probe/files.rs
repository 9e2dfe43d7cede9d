//! Reaching files that were not granted.

use std::ffi::CString;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use libc::{AT_FDCWD, O_CREAT, O_RDONLY, O_WRONLY};

use super::Property::Files;
use super::{Attempt, Scene, at, at_mut, call, refused};

pub(super) const ATTEMPTS: &[Attempt] = &[
    Attempt { name: "open", property: Files, what: "a file of the host is opened", run: open },
    Attempt { name: "openat2", property: Files, what: "a file of the host is opened, by openat2", run: openat2 },
    Attempt { name: "create", property: Files, what: "a file is made beside it", run: create },
    Attempt { name: "dot-dot", property: Files, what: "`..` leads out of the granted directory", run: dot_dot },
    Attempt {
        name: "symlink",
        property: Files,
        what: "a symbolic link leads out of the granted directory",
        run: symlink,
    },
    Attempt { name: "read-root", property: Files, what: "the host's root directory can be read", run: read_root },
    Attempt { name: "proc", property: Files, what: "/proc shows another process's environment", run: proc },
    Attempt { name: "sys", property: Files, what: "/sys is there", run: sys },
    Attempt { name: "unlink", property: Files, what: "a file of the host is removed", run: unlink },
    Attempt { name: "chroot-out", property: Files, what: "a chroot leads to another root", run: chroot },
    Attempt { name: "descriptors", property: Files, what: "a file of the host is open already", run: descriptors },
    Attempt { name: "environment", property: Files, what: "the host's environment is there", run: environment },
];

fn c_path(path: &Path) -> io::Result<CString> {
    Ok(CString::new(path.as_os_str().as_bytes())?)
}

fn open_path(directory: i64, path: &CString, flags: i32) -> io::Result<i64> {
    call(libc::SYS_openat, [directory, at(path.as_bytes_with_nul()), flags.into(), 0o600, 0, 0])
}

fn open(scene: &Scene<'_>) -> io::Result<()> {
    open_path(AT_FDCWD.into(), &c_path(&scene.place.secret)?, O_RDONLY).map(drop)
}

fn openat2(scene: &Scene<'_>) -> io::Result<()> {
    let path = c_path(&scene.place.secret)?;
    let how = [O_RDONLY as u64, 0, 0];
    call(libc::SYS_openat2, [AT_FDCWD.into(), at(path.as_bytes_with_nul()), at(&how), size_of_val(&how) as i64, 0, 0])
        .map(drop)
}

fn create(scene: &Scene<'_>) -> io::Result<()> {
    let path = c_path(&scene.place.secret.with_extension("new"))?;
    open_path(AT_FDCWD.into(), &path, O_CREAT | O_WRONLY).map(drop)
}

fn beyond(scene: &Scene<'_>, path: &str) -> io::Result<()> {
    let Some(granted) = scene.granted else { return refused() };
    open_path(granted.as_raw_fd().into(), &CString::new(path)?, O_RDONLY).map(drop)
}

fn dot_dot(scene: &Scene<'_>) -> io::Result<()> {
    beyond(scene, "../secret")
}

fn symlink(scene: &Scene<'_>) -> io::Result<()> {
    beyond(scene, "link-to-secret")
}

fn read_root(_: &Scene<'_>) -> io::Result<()> {
    let root = open_path(AT_FDCWD.into(), &CString::from(c"/"), O_RDONLY)?;
    let mut entries = [0u8; 4096];
    let length = entries.len() as i64;
    let length = call(libc::SYS_getdents64, [root, at_mut(&mut entries), length, 0, 0, 0])?;
    // An empty directory has two entries of 24 bytes each.
    if length > 48 { Ok(()) } else { refused() }
}

fn proc(scene: &Scene<'_>) -> io::Result<()> {
    let environment = CString::new(format!("/proc/{}/environ", scene.place.sentinel))?;
    open_path(AT_FDCWD.into(), &environment, O_RDONLY).map(drop)
}

fn sys(_: &Scene<'_>) -> io::Result<()> {
    open_path(AT_FDCWD.into(), &CString::from(c"/sys/kernel"), O_RDONLY).map(drop)
}

fn unlink(scene: &Scene<'_>) -> io::Result<()> {
    let path = c_path(&scene.place.secret)?;
    call(libc::SYS_unlinkat, [AT_FDCWD.into(), at(path.as_bytes_with_nul()), 0, 0, 0, 0]).map(drop)
}

fn chroot(scene: &Scene<'_>) -> io::Result<()> {
    let Some(folder) = scene.place.secret.parent() else { return refused() };
    call(libc::SYS_chroot, [at(c_path(folder)?.as_bytes_with_nul()), 0, 0, 0, 0, 0]).map(drop)
}

fn descriptors(scene: &Scene<'_>) -> io::Result<()> {
    // By fstat, because there may be no /proc to look into.
    let is_secret = |descriptor: i64| {
        // Device and inode are the first two fields of the structure on every architecture.
        let mut status = [0u64; 18];
        call(libc::SYS_fstat, [descriptor, at_mut(&mut status), 0, 0, 0, 0]).is_ok()
            && (status[0], status[1]) == scene.place.secret_inode
    };
    if (0..4096).any(is_secret) { Ok(()) } else { refused() }
}

fn environment(_: &Scene<'_>) -> io::Result<()> {
    if std::env::vars_os().next().is_some() { Ok(()) } else { refused() }
}
