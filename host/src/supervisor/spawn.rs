//! What a new process gets: its parent's rights, narrowed as its parent asks, never widened.

use std::path::{Component as PathPart, Path, PathBuf};
use std::time::Duration;

use super::report::Allowed;
use crate::cause::cut;
use crate::wire::worker::{Directory, Refusal, RefusalCode, Spawn, Start, Target};
use crate::wire::{MAX_PAYLOAD_BYTES, MAX_TEXT_BYTES};
use crate::{Access, Pid};

/// Bytes of a process's name.
const MAX_NAME_BYTES: usize = 64;
/// Bytes of the text of a refusal, which may repeat what it is about.
const MAX_REFUSAL_BYTES: usize = 4096;
/// Directories of one process; each is a descriptor in its start message.
pub(crate) const MAX_DIRECTORIES: usize = 32;

/// Limits of a run.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    pub(crate) max_processes: usize,
    pub(crate) max_total_memory_bytes: u64,
    /// Results of ended processes that wait for their parents.
    pub(crate) max_kept_output_bytes: u64,
    /// Shared objects that one process has.
    pub(crate) max_objects: usize,
    pub(crate) max_total_objects: usize,
}

/// What is known of one of the run's components.
#[derive(Debug, Clone)]
pub(crate) struct Component {
    /// The name that it was granted under; the first one has none.
    pub(crate) name: Option<String>,
    pub(crate) has_run: bool,
    pub(crate) has_entry: bool,
    pub(crate) starts_processes: bool,
}

/// A directory as a process sees it: a part of one of the run's grants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct View {
    /// Absolute, without `.` and `..`.
    pub(crate) guest: String,
    /// Index into the run's grants.
    pub(crate) grant: usize,
    /// Where in the grant it begins; empty for its root.
    pub(crate) path: PathBuf,
    pub(crate) read_only: bool,
    /// It is less than the grant, so a mount of its own has to be made.
    pub(crate) narrowed: bool,
}

pub(crate) type Directories = Vec<View>;

/// The rights of a process, from which those of its children are derived.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) component: usize,
    pub(crate) arguments: Vec<String>,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) directories: Directories,
    pub(crate) max_memory_bytes: u64,
    pub(crate) cpu_time: Option<Duration>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) terminals: [bool; 3],
    pub(crate) parallelism: u32,
    pub(crate) max_output_bytes: u64,
}

impl From<Plan> for Allowed {
    fn from(plan: Plan) -> Allowed {
        let directory = |view: View| {
            let access = if view.read_only { Access::ReadOnly } else { Access::ReadWrite };
            (view.guest, access)
        };
        Allowed {
            max_memory_bytes: plan.max_memory_bytes,
            cpu_time: plan.cpu_time,
            timeout: plan.timeout,
            directories: plan.directories.into_iter().map(directory).collect(),
        }
    }
}

pub(crate) fn refuse(code: RefusalCode, message: impl Into<String>) -> Refusal {
    Refusal { code, message: cut(message.into(), MAX_REFUSAL_BYTES) }
}

fn invalid(message: impl Into<String>) -> Refusal {
    refuse(RefusalCode::Invalid, message)
}

/// Works out the rights of a child of a process that has the rights `of_parent`.
pub(crate) fn plan(
    spawn: Spawn,
    of_parent: &Plan,
    components: &[Component],
    parent: (Pid, &str),
) -> Result<(Plan, Start), Refusal> {
    // Its own worker refuses this before it asks.
    if spawn.input.len() > MAX_PAYLOAD_BYTES || spawn.text_bytes() > MAX_TEXT_BYTES {
        return Err(refuse(RefusalCode::TooLarge, "a process is started with 16 MiB and 1 MiB of text at most"));
    }
    let name = checked_name(spawn.name)?;
    let component = find_component(spawn.component.as_deref(), of_parent.component, components)?;
    check_target(&spawn.target, &components[component])?;
    let environment = match spawn.environment {
        Some(environment) => checked_environment(environment)?,
        None => of_parent.environment.clone(),
    };
    let directories = match spawn.directories {
        Some(directories) => narrow(directories, &of_parent.directories)?,
        None => of_parent.directories.clone(),
    };
    let plan = Plan {
        component,
        arguments: spawn.arguments.unwrap_or_else(|| of_parent.arguments.clone()),
        environment,
        directories,
        max_memory_bytes: spawn
            .max_memory_bytes
            .map_or(of_parent.max_memory_bytes, |own| own.min(of_parent.max_memory_bytes)),
        cpu_time: [spawn.cpu_time, of_parent.cpu_time].into_iter().flatten().min(),
        timeout: spawn.timeout,
        terminals: of_parent.terminals,
        parallelism: of_parent.parallelism,
        max_output_bytes: of_parent.max_output_bytes,
    };
    let start = Start {
        pid: Pid(0),
        name,
        parent: Some((parent.0, parent.1.to_owned())),
        daemon: spawn.daemon,
        component,
        target: spawn.target,
        input: spawn.input,
        arguments: plan.arguments.clone(),
        environment: plan.environment.clone(),
        directories: plan.directories.iter().map(|view| (view.guest.clone(), view.read_only)).collect(),
        stdin: false,
        terminals: [false, plan.terminals[1], plan.terminals[2]],
        memory_limit_bytes: 0,
        memory_allowance_bytes: 0,
        cpu_time: None,
        parallelism: plan.parallelism,
        max_output_bytes: plan.max_output_bytes,
    };
    Ok((plan, start))
}

/// The name, or nothing for the default one.
fn checked_name(name: Option<String>) -> Result<String, Refusal> {
    let Some(name) = name else { return Ok(String::new()) };
    if name.is_empty() || name.len() > MAX_NAME_BYTES || name.chars().any(char::is_control) {
        let limit = MAX_NAME_BYTES;
        return Err(invalid(format!("a process's name has 1 to {limit} bytes and no control characters")));
    }
    Ok(name)
}

fn find_component(name: Option<&str>, own: usize, components: &[Component]) -> Result<usize, Refusal> {
    let Some(name) = name else { return Ok(own) };
    let found = components.iter().position(|component| component.name.as_deref() == Some(name));
    found.ok_or_else(|| {
        let name = crate::cause::printable(name);
        invalid(format!("there is no component {name}: grant one with --component {name}=FILE"))
    })
}

fn check_target(target: &Target, component: &Component) -> Result<(), Refusal> {
    let shown = component.name.as_deref().map_or("this component".to_owned(), |name| format!("the component {name}"));
    match target {
        Target::Attempt { .. } => Err(invalid("attempts are the doctor's")),
        Target::Main if !component.has_run => Err(invalid(format!("{shown} doesn't export wasi:cli/run"))),
        Target::Function(_) if !component.has_entry => {
            Err(invalid(format!("{shown} doesn't export wasmproc:ipc/entry, so none of its functions can be started")))
        }
        _ => Ok(()),
    }
}

fn checked_environment(environment: Vec<(String, String)>) -> Result<Vec<(String, String)>, Refusal> {
    let bad = |(name, value): &(String, String)| name.is_empty() || name.contains(['=', '\0']) || value.contains('\0');
    match environment.iter().any(bad) {
        true => Err(invalid("an environment variable has an empty name, a name with =, or a zero byte")),
        false => Ok(environment),
    }
}

/// The views for a child, each within one of its parent's.
fn narrow(wanted: Vec<Directory>, of_parent: &[View]) -> Result<Directories, Refusal> {
    if wanted.len() > MAX_DIRECTORIES {
        return Err(refuse(RefusalCode::Limit, format!("a process can have {MAX_DIRECTORIES} directories at most")));
    }
    let mut views: Directories = Vec::with_capacity(wanted.len());
    for directory in wanted {
        let view = view(&directory, of_parent)?;
        if views.iter().any(|other| other.guest == view.guest) {
            return Err(invalid(format!("two directories are to be {}", crate::cause::printable(&view.guest))));
        }
        views.push(view);
    }
    Ok(views)
}

fn view(directory: &Directory, of_parent: &[View]) -> Result<View, Refusal> {
    let source = guest_path(&directory.source)?;
    let guest = guest_path(&directory.guest)?;
    let below = |view: &View| Path::new(&source).strip_prefix(&view.guest).ok().map(Path::to_owned);
    let found = of_parent.iter().filter_map(|view| Some((view, below(view)?)));
    let Some((view, rest)) = found.max_by_key(|(view, _)| view.guest.len()) else {
        let shown = crate::cause::printable(&source);
        return Err(refuse(RefusalCode::Denied, format!("this process has no directory {shown} to pass on")));
    };
    let read_only = view.read_only || directory.read_only;
    let narrowed = view.narrowed || !rest.as_os_str().is_empty() || read_only != view.read_only;
    Ok(View { guest, grant: view.grant, path: view.path.join(rest), read_only, narrowed })
}

/// An absolute path without `.`, `..` and doubled slashes. Relative ones begin at `/`, a guest's working directory.
pub(crate) fn guest_path(path: &str) -> Result<String, Refusal> {
    let mut normal = String::new();
    for part in Path::new(path).components() {
        match part {
            PathPart::Normal(part) => {
                normal.push('/');
                normal.push_str(&part.to_string_lossy());
            }
            PathPart::RootDir | PathPart::CurDir => {}
            PathPart::ParentDir | PathPart::Prefix(_) => {
                let shown = crate::cause::printable(path);
                return Err(invalid(format!("{shown} has .. in it: name the directory itself")));
            }
        }
    }
    if path.is_empty() || path.contains('\0') {
        return Err(invalid("a directory's name is empty or has a zero byte"));
    }
    Ok(if normal.is_empty() { "/".to_owned() } else { normal })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parent() -> Vec<View> {
        let view = |guest: &str, grant, read_only| View {
            guest: guest.to_owned(),
            grant,
            path: PathBuf::new(),
            read_only,
            narrowed: false,
        };
        vec![view("/data", 0, false), view("/data/deep", 1, true)]
    }

    fn asked(source: &str, read_only: bool) -> Directory {
        Directory { source: source.to_owned(), guest: "/x".to_owned(), read_only }
    }

    #[test]
    fn a_child_gets_the_innermost_grant_and_no_more_than_its_parent() {
        let whole = view(&asked("/data", false), &parent()).expect("granted");
        assert_eq!((whole.grant, whole.narrowed), (0, false));
        let below = view(&asked("/data/sub/./dir", true), &parent()).expect("granted");
        assert_eq!(
            (below.grant, below.path.to_str(), below.read_only, below.narrowed),
            (0, Some("sub/dir"), true, true)
        );
        let inner = view(&asked("data/deep/x", false), &parent()).expect("granted");
        assert_eq!((inner.grant, inner.read_only), (1, true), "read-only stays read-only");
    }

    #[test]
    fn what_the_parent_does_not_have_is_denied() {
        for source in ["/", "/database", "/etc"] {
            assert_eq!(view(&asked(source, true), &parent()).expect_err(source).code, RefusalCode::Denied);
        }
        assert_eq!(view(&asked("/data/../etc", true), &parent()).expect_err("..").code, RefusalCode::Invalid);
    }
}
