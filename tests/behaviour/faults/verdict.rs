//! How a run ended in which a call has failed: well, or as it must.

use std::fmt;

use crate::harness::{Ended, Role};

/// An end that is all right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verdict {
    /// As if nothing had happened.
    Unharmed,
    /// As it should, and the user was warned.
    Warned,
    /// As it should, after the guest was refused something and had asked again.
    Refused,
    /// With one line that says why, and the exit code for that.
    Failed,
}

/// What a run gives when nothing fails.
pub(super) struct Right {
    pub(super) code: i32,
    /// The last line that the guest says.
    pub(super) last_line: &'static str,
}

/// Judges a run in which a call of this role has failed.
pub(super) fn judge(ended: &Ended, right: &Right, role: Role) -> Result<Verdict, Wrong> {
    let lines: Vec<&str> = ended.stderr.lines().collect();
    let said = ended.lines();
    if ended.stderr.contains("panicked") || ended.text().contains("WRONG") {
        return Err(Wrong("it panicked, or the guest says that it is wrong"));
    }
    let Some(code) = ended.status.code() else { return Err(Wrong("the command was killed by a signal")) };
    let ours = |line: &&&str| line.starts_with("wasmproc: ");
    let warnings = lines.iter().filter(ours).filter(|line| line.starts_with("wasmproc: warning: ")).count();
    let complaints = lines.iter().filter(ours).count() - warnings;
    // A trap's functions are shown below its line.
    let others = lines.iter().filter(|line| !ours(line) && !line.starts_with("    ")).count();
    if others > 0 {
        return Err(Wrong("somebody else wrote to stderr"));
    }
    if warnings > 1 {
        return Err(Wrong("it warned more than once"));
    }
    let refused = said.iter().any(|line| line.starts_with("refused: "));
    if code == right.code && said.last().map_or("", String::as_str) == right.last_line {
        return match (complaints, warnings, refused) {
            (0, 0, false) => Ok(Verdict::Unharmed),
            (0, _, false) => Ok(Verdict::Warned),
            // A child that could not live for lack of something is told of.
            (0..=1, _, true) => Ok(Verdict::Refused),
            _ => Err(Wrong("it ended well, and complained")),
        };
    }
    let documented = match role {
        // What a guest's own process lacks may end that process, in any of the ways in which processes end.
        Role::Worker => [1, 125, 134, 137].contains(&code),
        Role::Compiler => [125, 126].contains(&code),
        _ => code == 125,
    };
    match (documented, complaints) {
        (false, _) => Err(Wrong("it ended with an exit code that means something else")),
        (true, 1) => Ok(Verdict::Failed),
        (true, _) => Err(Wrong("it failed, and did not say why in one line")),
    }
}

/// Why an end is not all right.
#[derive(Debug)]
pub(super) struct Wrong(pub(super) &'static str);

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}
