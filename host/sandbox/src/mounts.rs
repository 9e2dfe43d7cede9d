//! Mounts: an empty root, and directories that are handed over as descriptors of detached mounts.
//!
//! A detached mount has no parent, so `..` stops at its root; whoever holds the descriptor needs no mount of its own.
#![expect(unsafe_code, reason = "mount_setattr has no safe wrapper")]

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags,
    fsconfig_create, fsconfig_set_string, fsmount, fsopen, mount_change, move_mount, open_tree, unmount,
};

/// Cuts this mount namespace off from the host's: nothing mounted here is seen there, or the other way round.
pub fn make_private() -> io::Result<()> {
    Ok(mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?)
}

/// Opens a directory of the host for granting.
pub fn host_directory(path: &Path) -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
}

/// Opens the directory `path` below `directory`; neither `..` nor a symbolic link leads out of it.
pub fn subdirectory(directory: BorrowedFd<'_>, path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    Ok(rustix::fs::openat2(directory, path, flags, Mode::empty(), resolve)?)
}

/// A detached mount of `directory` and all below it, without devices or set-uid programs.
///
/// `directory` must come from this process's own mount namespace.
pub fn clone_directory(directory: BorrowedFd<'_>, read_only: bool) -> io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH
        | OpenTreeFlags::AT_RECURSIVE;
    let tree = open_tree(directory, c"", flags)?;
    let mut attributes = libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV;
    if read_only {
        attributes |= libc::MOUNT_ATTR_RDONLY;
    }
    set_attributes(tree.as_fd(), attributes)?;
    Ok(tree)
}

fn set_attributes(tree: BorrowedFd<'_>, attributes: u64) -> io::Result<()> {
    let request = libc::mount_attr { attr_set: attributes, attr_clr: 0, propagation: 0, userns_fd: 0 };
    let flags = libc::AT_EMPTY_PATH | libc::AT_RECURSIVE;
    // SAFETY: every pointer is to a live value, and the size is that of the structure.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            tree.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const request,
            size_of::<libc::mount_attr>(),
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// A detached file system in memory that holds at most `capacity_bytes`.
pub fn private_tmp(capacity_bytes: u64) -> io::Result<OwnedFd> {
    // An inode costs the kernel about a page, so files without content count as well.
    let inodes = (capacity_bytes / 4096).clamp(16, 1 << 20);
    let size = format!("{capacity_bytes}\0");
    let inodes = format!("{inodes}\0");
    let options = [(c"size", c_str(&size)), (c"nr_inodes", c_str(&inodes)), (c"mode", c"1777")];
    tmpfs(&options, MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV)
}

/// Replaces this process's root by an empty read-only directory, in its own mount namespace.
///
/// Call [`make_private`] first.
pub fn empty_root() -> io::Result<()> {
    enter_empty_root()?.detach()
}

/// The host's file tree, which this process has left and which is still mounted in its namespace.
#[derive(Debug)]
#[must_use = "the host's files are still there"]
pub struct OldRoot {
    is_mounted: bool,
}

impl OldRoot {
    /// Lets go of it. The kernel takes its time for that.
    pub fn detach(self) -> io::Result<()> {
        if self.is_mounted {
            unmount(c".", UnmountFlags::DETACH)?;
        }
        Ok(rustix::process::chdir(c"/")?)
    }
}

/// The first half of [`empty_root`]. No guest may run before the other half is done.
pub fn enter_empty_root() -> io::Result<OldRoot> {
    let attributes = MountAttrFlags::MOUNT_ATTR_RDONLY
        | MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    let root = tmpfs(&[(c"size", c"4k"), (c"mode", c"555")], attributes)?;
    move_mount(&root, c"", rustix::fs::CWD, c"/", MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?;
    rustix::process::fchdir(&root)?;
    match rustix::process::pivot_root(c".", c".") {
        // The old root is now mounted over the new one; letting go of it leaves only the new.
        Ok(()) => Ok(OldRoot { is_mounted: true }),
        // An initramfs can't be pivoted away. Without capabilities there is no way back out of a chroot either.
        Err(_) => {
            rustix::process::chroot(c".")?;
            Ok(OldRoot { is_mounted: false })
        }
    }
}

fn tmpfs(options: &[(&CStr, &CStr)], attributes: MountAttrFlags) -> io::Result<OwnedFd> {
    let context = fsopen(c"tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    for &(key, value) in options {
        fsconfig_set_string(context.as_fd(), key, value)?;
    }
    fsconfig_create(context.as_fd())?;
    Ok(fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)?)
}

fn c_str(text: &str) -> &CStr {
    CStr::from_bytes_until_nul(text.as_bytes()).unwrap_or_default()
}
