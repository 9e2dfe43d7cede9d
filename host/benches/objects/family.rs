//! All processes of a run.

use std::fs;

/// A process and all that it is an ancestor of, itself first.
pub(crate) fn of(ancestor: u32) -> Vec<u32> {
    let mut family = vec![ancestor];
    let mut parents = Vec::new();
    for entry in fs::read_dir("/proc").expect("/proc is there").flatten() {
        if let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok())
            && let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat"))
            && let Some((_, fields)) = stat.rsplit_once(')')
            && let Some(parent) = fields.split_whitespace().nth(1).and_then(|parent| parent.parse::<u32>().ok())
        {
            parents.push((pid, parent));
        }
    }
    let mut next = 0;
    while let Some(&parent) = family.get(next) {
        family.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
        next += 1;
    }
    family
}
