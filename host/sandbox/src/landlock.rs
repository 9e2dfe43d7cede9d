//! Landlock: files, where the root can't be emptied.
//!
//! With a mount namespace there is nothing to open but what was granted. Without one this is the wall around files.

use std::io;
use std::os::fd::BorrowedFd;

use landlock::{ABI, Access, AccessFs, CompatLevel, Compatible, PathBeneath, Ruleset, RulesetAttr, RulesetCreatedAttr};

/// From now on this process and what it forks can open nothing but what lies in these directories.
///
/// Fails if the kernel has no Landlock. Needs [`crate::forbid_new_privileges`] before.
pub fn restrict_files(directories: &[(BorrowedFd<'_>, bool)]) -> io::Result<()> {
    // Later versions add rights that are restricted where the kernel knows them; the first is a must.
    let refused = |error: &dyn std::fmt::Display| io::Error::other(format!("Landlock: {error}"));
    let all = AccessFs::from_all(ABI::V5);
    let ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(ABI::V1))
        .map_err(|error| refused(&error))?
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(all)
        .map_err(|error| refused(&error))?;
    let mut ruleset = ruleset.create().map_err(|error| refused(&error))?;
    for (directory, read_only) in directories {
        let access =
            if *read_only { AccessFs::from_read(ABI::V5) & !AccessFs::Execute } else { all & !AccessFs::Execute };
        ruleset = ruleset.add_rule(PathBeneath::new(directory, access)).map_err(|error| refused(&error))?;
    }
    ruleset.restrict_self().map(drop).map_err(|error| refused(&error))
}
