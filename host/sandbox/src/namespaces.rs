//! Namespaces: a world of its own for the run's processes, mounts, network, IPC objects and host name.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::OFlags;
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe};
use serde::{Deserialize, Serialize};

use crate::{Missing, Procfs};

/// One kind of namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Namespace {
    User,
    Mount,
    Pid,
    Net,
    Ipc,
    Uts,
}

impl Namespace {
    fn flag(self) -> UnshareFlags {
        match self {
            Namespace::User => UnshareFlags::NEWUSER,
            Namespace::Mount => UnshareFlags::NEWNS,
            Namespace::Pid => UnshareFlags::NEWPID,
            Namespace::Net => UnshareFlags::NEWNET,
            Namespace::Ipc => UnshareFlags::NEWIPC,
            Namespace::Uts => UnshareFlags::NEWUTS,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Namespace::User => "user",
            Namespace::Mount => "mount",
            Namespace::Pid => "pid",
            Namespace::Net => "net",
            Namespace::Ipc => "ipc",
            Namespace::Uts => "uts",
        }
    }
}

/// The id that the invoking user has inside a user namespace. Not 0, so that nothing inside mistakes itself for root.
const INNER_ID: u32 = 1000;

/// Enters as many of `wanted` as this machine allows: a user namespace first, because it brings the right to make the
/// others. The pid namespace begins with the next child.
///
/// Returns the namespaces entered and, for each one refused, why.
pub fn enter(wanted: &[Namespace]) -> (Vec<Namespace>, Vec<Missing>) {
    let (mut entered, mut missing) = (Vec::new(), Vec::new());
    let mut others = wanted.to_vec();
    others.retain(|namespace| *namespace != Namespace::User);
    if others.len() < wanted.len() {
        match enter_user_namespace() {
            Ok(()) => entered.push(Namespace::User),
            Err(error) => missing.push(refused(Namespace::User, &error)),
        }
    }
    let all = others.iter().fold(UnshareFlags::empty(), |flags, namespace| flags | namespace.flag());
    if unshare(all).is_ok() {
        entered.extend(others);
        return (entered, missing);
    }
    for namespace in others {
        match unshare(namespace.flag()) {
            Ok(()) => entered.push(namespace),
            Err(error) => missing.push(refused(namespace, &error)),
        }
    }
    (entered, missing)
}

/// The network that this process is in, for others of its user namespace to enter.
pub fn own_network(procfs: &Procfs) -> io::Result<OwnedFd> {
    procfs.open(c"self/ns/net", OFlags::RDONLY)
}

/// Enters a network that another process has made, or where that is refused, one of its own.
pub fn enter_network(network: &OwnedFd) -> io::Result<()> {
    let entered = move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network));
    if entered.is_ok() { Ok(()) } else { unshare(UnshareFlags::NEWNET) }
}

/// Goes on in a mount namespace that begins with the same mounts.
pub fn copy_mounts() -> io::Result<()> {
    unshare(UnshareFlags::NEWNS)
}

fn enter_user_namespace() -> io::Result<()> {
    // Outside its own namespace an id has to be read before, and the map written by a process that has no threads.
    let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
    // Without these files the ids could not be mapped, and an unmapped user is worse than the host's.
    fs::metadata("/proc/self/uid_map")?;
    unshare(UnshareFlags::NEWUSER)?;
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("{INNER_ID} {} 1\n", uid.as_raw()))?;
    fs::write("/proc/self/gid_map", format!("{INNER_ID} {} 1\n", gid.as_raw()))?;
    // No further user namespaces inside, in which somebody would have all capabilities again. Seccomp forbids them too, so
    // it does no harm where this can't be written.
    let _ = fs::write("/proc/sys/user/max_user_namespaces", "0");
    Ok(())
}

#[expect(unsafe_code, reason = "unsharing is unsafe where threads share descriptors")]
fn unshare(flags: UnshareFlags) -> io::Result<()> {
    // SAFETY: the hazards are those of CLONE_FILES, which no `Namespace` maps to.
    Ok(unsafe { unshare_unsafe(flags) }?)
}

fn refused(namespace: Namespace, error: &io::Error) -> Missing {
    let sysctl = match namespace {
        Namespace::Mount => "mnt",
        other => other.name(),
    };
    let raise = format!("raise the sysctl user.max_{sysctl}_namespaces");
    let remedy = match error.raw_os_error() {
        Some(libc::ENOSPC) => &raise,
        Some(libc::EUSERS) => "too many namespaces are nested: run it further outside",
        _ if namespace == Namespace::User => {
            "allow user namespaces (sysctl kernel.unprivileged_userns_clone=1 or \
             kernel.apparmor_restrict_unprivileged_userns=0; in a container, --security-opt seccomp=unconfined)"
        }
        _ => "allow user namespaces, or give the container CAP_SYS_ADMIN",
    };
    Missing { layer: format!("{} namespace", namespace.name()), reason: error.to_string(), remedy: remedy.to_owned() }
}
