//! What a machine may be short of, and the system calls that fail then.

use libc::*;

use crate::harness::{Call, Role};

/// What is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Shortage {
    /// The process may not have more descriptors.
    Descriptors,
    /// Nobody may have more open files.
    Files,
    Memory,
    Processes,
    /// On a disk, or for whatever else is counted.
    Space,
    /// The kernel's memory for what is under way in sockets.
    Buffers,
}

impl Shortage {
    pub(super) const ALL: [Shortage; 6] = [
        Shortage::Descriptors,
        Shortage::Files,
        Shortage::Memory,
        Shortage::Processes,
        Shortage::Space,
        Shortage::Buffers,
    ];

    /// What a call answers then.
    pub(super) fn errno(self) -> i32 {
        match self {
            Shortage::Descriptors => EMFILE,
            Shortage::Files => ENFILE,
            Shortage::Memory => ENOMEM,
            Shortage::Processes => EAGAIN,
            Shortage::Space => ENOSPC,
            Shortage::Buffers => ENOBUFS,
        }
    }

    /// The calls that can fail for it.
    fn calls(self) -> &'static [i64] {
        match self {
            Shortage::Descriptors => &[
                SYS_socketpair,
                SYS_memfd_create,
                SYS_open,
                SYS_openat,
                SYS_openat2,
                SYS_pipe2,
                SYS_eventfd2,
                SYS_signalfd4,
                SYS_epoll_create1,
                SYS_dup,
                SYS_fcntl,
                SYS_pidfd_open,
                SYS_open_tree,
                SYS_fsopen,
                SYS_fsmount,
                SYS_clone3,
                SYS_landlock_create_ruleset,
            ],
            Shortage::Files => {
                &[SYS_socketpair, SYS_memfd_create, SYS_open, SYS_openat, SYS_eventfd2, SYS_epoll_create1]
            }
            Shortage::Memory => &[
                SYS_mmap,
                SYS_mremap,
                SYS_mprotect,
                SYS_brk,
                SYS_clone3,
                SYS_clone,
                SYS_vfork,
                SYS_fork,
                SYS_execve,
                SYS_sendmsg,
                SYS_recvmsg,
                SYS_epoll_ctl,
                SYS_poll,
                SYS_ppoll,
                SYS_unshare,
                SYS_setns,
                SYS_sched_getaffinity,
                SYS_sched_setaffinity,
                SYS_mount,
                SYS_open_tree,
                SYS_mount_setattr,
                SYS_fsopen,
                SYS_fsconfig,
                SYS_fsmount,
                SYS_move_mount,
                SYS_pivot_root,
                SYS_umount2,
                SYS_seccomp,
                SYS_setgroups,
                SYS_setresuid,
                SYS_capset,
                SYS_chdir,
                SYS_fchdir,
                SYS_statx,
                SYS_newfstatat,
                SYS_readlink,
                SYS_readlinkat,
                SYS_getdents64,
            ],
            Shortage::Processes => &[SYS_clone3, SYS_clone, SYS_vfork, SYS_fork, SYS_setresuid],
            Shortage::Space => &[
                SYS_write,
                SYS_writev,
                SYS_pwrite64,
                SYS_ftruncate,
                SYS_fallocate,
                SYS_mkdir,
                SYS_mkdirat,
                SYS_rename,
                SYS_renameat,
                SYS_renameat2,
                SYS_link,
                SYS_linkat,
                SYS_unshare,
                SYS_mount,
                SYS_move_mount,
                SYS_open_tree,
                SYS_pivot_root,
                SYS_epoll_ctl,
            ],
            Shortage::Buffers => &[SYS_sendmsg, SYS_recvmsg],
        }
    }

    /// Whether this call can fail for it.
    pub(super) fn strikes(self, call: &Call) -> bool {
        if !call.in_main || !self.calls().contains(&call.number) {
            return false;
        }
        let [first, second, ..] = call.arguments;
        match call.number {
            // The others of its commands need nothing.
            libc::SYS_fcntl => [F_DUPFD as u64, F_DUPFD_CLOEXEC as u64].contains(&second),
            // What a guest or wasmproc says is not kept by this machine.
            libc::SYS_write | libc::SYS_writev => call.role != Role::Worker && first > 2,
            // What is known already is changed or removed without anything.
            libc::SYS_epoll_ctl => second == EPOLL_CTL_ADD as u64,
            _ => true,
        }
    }
}
