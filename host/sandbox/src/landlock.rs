//! Landlock: files, TCP, and signals, by rules that a process sets itself and can't take back.
//!
//! Behind an empty root, a network namespace and a pid namespace it is the second layer; where those are refused, it is the
//! first.

use std::io;
use std::os::fd::BorrowedFd;

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, PathBeneath, Ruleset, RulesetAttr, RulesetCreatedAttr,
    Scope,
};

/// The newest version whose rights this module knows.
const NEWEST: ABI = ABI::V6;

/// The version of Landlock that this kernel has and lets this process use.
#[expect(unsafe_code, reason = "asking for the version has no safe wrapper")]
pub fn landlock_version() -> io::Result<u32> {
    const ASK_FOR_VERSION: u32 = 1;
    let nothing = std::ptr::null::<u8>();
    // SAFETY: with this flag the kernel takes no attributes: null and 0 are what it expects.
    let version = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, nothing, 0usize, ASK_FOR_VERSION) };
    u32::try_from(version).map_err(|_| io::Error::last_os_error())
}

/// From now on this process and what it forks can open nothing but what lies in these directories (the flag: read only),
/// execute nothing, and as far as the kernel knows these rights (versions 4 and 6) open no TCP connection or port and
/// signal nobody outside.
///
/// Fails if the kernel has no Landlock. Needs [`crate::forbid_new_privileges`] before.
pub fn restrict(directories: &[(BorrowedFd<'_>, bool)]) -> io::Result<()> {
    let refused = |error: &dyn std::fmt::Display| io::Error::other(format!("Landlock: {error}"));
    let everything = AccessFs::from_all(NEWEST);
    // The first version is a must; what later ones added is restricted where the kernel knows it.
    let ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(ABI::V1))
        .map_err(|error| refused(&error))?
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(everything)
        .and_then(|ruleset| ruleset.handle_access(AccessNet::from_all(NEWEST)))
        .and_then(|ruleset| ruleset.scope(Scope::from_all(NEWEST)))
        .map_err(|error| refused(&error))?;
    let mut ruleset = ruleset.create().map_err(|error| refused(&error))?;
    for (directory, read_only) in directories {
        let rights = if *read_only { AccessFs::from_read(NEWEST) } else { everything };
        let rule = PathBeneath::new(directory, rights & !AccessFs::Execute);
        ruleset = ruleset.add_rule(rule).map_err(|error| refused(&error))?;
    }
    ruleset.restrict_self().map(drop).map_err(|error| refused(&error))
}
