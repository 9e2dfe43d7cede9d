//! Identity: who a process is, and what it may still become.
#![expect(unsafe_code, reason = "setgroups has no safe wrapper outside of thread-aware libraries")]

use std::fs;
use std::io;

use rustix::process::{DumpableBehavior, Gid, Uid};
use rustix::thread::{CapabilitySet, CapabilitySets};
use serde::{Deserialize, Serialize};

/// A user and group of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    pub uid: u32,
    pub gid: u32,
}

impl Identity {
    /// The conventional user without rights.
    pub const NOBODY: Identity = Identity { uid: 65534, gid: 65534 };
}

/// Becomes `identity` for good, without supplementary groups. For processes that are root on the host.
pub fn become_user(identity: Identity) -> io::Result<()> {
    // SAFETY: a null list of length 0 is valid.
    if unsafe { libc::setgroups(0, std::ptr::null()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let gid = Gid::from_raw(identity.gid);
    rustix::thread::set_thread_res_gid(gid, gid, gid)?;
    let uid = Uid::from_raw(identity.uid);
    Ok(rustix::thread::set_thread_res_uid(uid, uid, uid)?)
}

/// Why [`become_user`] would fail, if it would: in a container root may lack the rights of root, or know no other user.
pub fn hindrance_to_become(identity: Identity) -> Option<&'static str> {
    let needed = CapabilitySet::SETUID | CapabilitySet::SETGID;
    let held = rustix::thread::capabilities(None).is_ok_and(|sets| sets.effective.contains(needed));
    let denied = fs::read_to_string("/proc/self/setgroups").is_ok_and(|answer| answer.trim() == "deny");
    if !held {
        Some("root has no CAP_SETUID and CAP_SETGID here")
    } else if denied || !is_mapped("uid_map", identity.uid) || !is_mapped("gid_map", identity.gid) {
        Some("this user namespace has no other user")
    } else {
        None
    }
}

/// Whether this user namespace has the id. Without /proc it is assumed.
fn is_mapped(map: &str, id: u32) -> bool {
    let Ok(map) = fs::read_to_string(format!("/proc/self/{map}")) else { return true };
    map.lines().any(|line| {
        let numbers: Vec<u64> = line.split_whitespace().filter_map(|number| number.parse().ok()).collect();
        matches!(numbers[..], [inner, _, count] if (inner..inner.saturating_add(count)).contains(&u64::from(id)))
    })
}

/// Gives up every capability, in every set, for this process and whatever it becomes.
pub fn drop_capabilities() -> io::Result<()> {
    // The bounding set is emptied while CAP_SETPCAP is still there; without it there is nothing to drop from.
    for capability in 0..64 {
        let Some(set) = CapabilitySet::from_bits(1 << capability) else { continue };
        match rustix::thread::remove_capability_from_bounding_set(set) {
            Ok(()) | Err(rustix::io::Errno::PERM) => {}
            // The kernel knows fewer capabilities than this loop.
            Err(rustix::io::Errno::INVAL) => break,
            Err(error) => return Err(error.into()),
        }
    }
    rustix::thread::clear_ambient_capability_set()?;
    let none = CapabilitySet::empty();
    let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
    Ok(rustix::thread::set_capabilities(None, sets)?)
}

/// From now on no program that this process executes can have more rights than it has.
pub fn forbid_new_privileges() -> io::Result<()> {
    Ok(rustix::thread::set_no_new_privs(true)?)
}

/// No core dumps, and no other process of the same user may read or trace this one.
pub fn hide_from_tracers() -> io::Result<()> {
    Ok(rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}
