//! `wasmproc run`.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;

use super::report::{self, Destination};
use super::terminal::{self, Terminal};
use crate::units;
use crate::{Access, Identity, Task};

/// Run a WebAssembly program in a sandboxed process of its own
///
/// FILE is a component that exports wasi:cli/run, a core module for WASI preview 1, or the text form of
/// either. It has its standard streams, its arguments, clocks and random numbers; everything else is
/// granted by flags.
#[derive(Debug, Args)]
#[command(override_usage = "wasmproc run [OPTIONS] FILE [ARGS]...", after_help = EXAMPLES)]
pub(super) struct Run {
    /// Set a variable of the guest's environment, or with KEY alone pass the present one on
    #[arg(long, value_name = "KEY[=VALUE]")]
    env: Vec<String>,

    /// Grant a directory: as GUEST, by default under the same name below the guest's working directory /
    #[arg(long, value_name = "HOST[::GUEST][:ro]")]
    dir: Vec<String>,

    /// Grant a private /tmp in memory that holds SIZE; without SIZE, 64MiB
    #[arg(long, value_name = "SIZE", num_args = 0..=1, require_equals = true, default_missing_value = "64MiB", value_parser = units::bytes)]
    tmp: Option<u64>,

    /// Grant another component, for the guest to start processes of
    #[arg(long, value_name = "NAME=FILE")]
    component: Vec<String>,

    /// Kill the run after this much wall time [default: none]
    #[arg(long, value_name = "TIME", value_parser = units::duration)]
    timeout: Option<Duration>,

    /// Kill a process that has used this much processor time [default: none]
    #[arg(long, value_name = "TIME", value_parser = units::duration)]
    cpu_time: Option<Duration>,

    /// Memories and tables of one process together, and what the host keeps for it
    #[arg(long, value_name = "SIZE", default_value = "1GiB", value_parser = units::bytes)]
    max_memory: u64,

    /// Memories, tables and shared objects of all processes together, and the compiled code
    #[arg(long, value_name = "SIZE", default_value = "4GiB", value_parser = units::bytes)]
    max_total_memory: u64,

    /// Processes at a time
    #[arg(long, value_name = "NUMBER", default_value_t = Task::DEFAULT_MAX_PROCESSES)]
    max_processes: usize,

    /// Shared objects (locks, queues, ends of pipes...) that one process has at a time
    #[arg(long, value_name = "NUMBER", default_value_t = Task::DEFAULT_MAX_OBJECTS)]
    max_objects: usize,

    /// Shared objects of all processes together; each is an open file of wasmproc
    #[arg(long, value_name = "NUMBER", default_value_t = Task::DEFAULT_MAX_TOTAL_OBJECTS)]
    max_total_objects: usize,

    /// Files, and objects that it waits for in its event loop, that one process has open at a time
    #[arg(long, value_name = "NUMBER", default_value_t = Task::DEFAULT_MAX_OPEN_FILES)]
    max_open_files: u64,

    /// How long files may become by what a process writes, a redirected output included [default: no limit]
    #[arg(long, value_name = "SIZE", value_parser = units::bytes)]
    max_file_size: Option<u64>,

    /// What one process may write to its standard output and error together [default: no limit]
    #[arg(long, value_name = "SIZE", value_parser = units::bytes)]
    max_output: Option<u64>,

    /// When the run is stopped by a signal and listens to stop requests: how long it may take to end
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = units::duration)]
    grace: Duration,

    /// Whose rights workers have where this machine has no user namespaces and wasmproc is root [default: nobody]
    #[arg(long, value_name = "UID[:GID]", value_parser = identity)]
    user: Option<Identity>,

    /// Have the run's processes in a cgroup (v2) of their own, made in this directory, which must be delegated to this user
    #[arg(long, value_name = "DIR")]
    cgroup: Option<PathBuf>,

    /// Fail, rather than warn, when this machine refuses a layer of the sandbox
    #[arg(long)]
    strict: bool,

    /// Compile afresh, and keep nothing
    #[arg(long)]
    no_cache: bool,

    /// Tell at the end what every process did and how it ended: on stderr, or to FILE
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = "-")]
    report: Option<PathBuf>,

    /// The report as JSON; a FILE that ends in .json is so anyway
    #[arg(long, requires = "report")]
    json: bool,

    /// The program, and its arguments: nothing after FILE is taken for a flag of wasmproc
    // One list, so that flags end where it begins.
    #[arg(value_name = "FILE", num_args = 1.., required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    program: Vec<OsString>,
}

const EXAMPLES: &str = "\
Examples:
  wasmproc run task.wasm --flag-of-the-task      everything after FILE is the guest's
  wasmproc run --dir . task.wasm notes.txt       the guest's / is this directory
  wasmproc run --dir /srv/www::/www:ro task.wasm
  wasmproc run --env HOME --env MODE=fast --tmp=16MiB task.wasm
  wasmproc run --timeout 1.5s --max-memory 256MiB --report task.wasm
  CARGO_TARGET_WASM32_WASIP2_RUNNER=\"wasmproc run\" cargo test --target wasm32-wasip2";

impl Run {
    pub(super) fn execute(self) -> Result<u8> {
        let mut terminal = Terminal::with_signals()?;
        let destination = self.report.clone().map(|file| Destination::new(file, self.json));
        let task = self.task()?;
        let outcome = task.prepare(&mut terminal)?.wait(&mut terminal)?;
        // From now on signals end the command, whoever doesn't read what it still says.
        drop(terminal);
        if let Some(destination) = destination {
            // The guest has run; a report that can't be written must not change how it ended.
            if let Err(error) = report::write(&outcome, &destination) {
                terminal::complain_of(&error);
            }
        }
        Ok(outcome.exit_code())
    }

    pub(super) fn task(self) -> Result<Task> {
        let mut program = self.program.into_iter();
        let file = program.next().unwrap_or_default();
        if file.len() > 1 && file.as_encoded_bytes().starts_with(b"-") {
            // Everything from the first word that is no flag of ours belongs to the guest; this was meant to be ours.
            bail!("there is no flag {}: see wasmproc run --help", file.display());
        }
        let mut task = Task::new(file)
            .max_memory(self.max_memory)
            .max_total_memory(self.max_total_memory)
            .max_processes(self.max_processes)
            .max_objects(self.max_objects)
            .max_total_objects(self.max_total_objects)
            .max_open_files(self.max_open_files)
            .grace(self.grace)
            .strict(self.strict)
            .use_cache(!self.no_cache)
            .list_processes(self.report.is_some());
        for argument in program {
            let argument =
                argument.into_string().map_err(|bad| anyhow::anyhow!("the argument {bad:?} is not UTF-8"))?;
            task = task.arg(argument);
        }
        for variable in self.env {
            let (name, value) = variable_of(&variable)?;
            task = task.env(name, value);
        }
        for directory in self.dir {
            let (host, guest, access) = directory_of(&directory)?;
            task = task.directory(host, guest, access);
        }
        if let Some(capacity) = self.tmp {
            task = task.tmp(capacity);
        }
        for component in self.component {
            let (name, file) = component
                .split_once('=')
                .filter(|(name, _)| !name.is_empty())
                .with_context(|| format!("--component {component}: write NAME=FILE"))?;
            task = task.component(name, file);
        }
        if let Some(bytes) = self.max_file_size {
            task = task.max_file_size(bytes);
        }
        if let Some(bytes) = self.max_output {
            task = task.max_output(bytes);
        }
        if let Some(timeout) = self.timeout {
            task = task.timeout(timeout);
        }
        if let Some(limit) = self.cpu_time {
            task = task.cpu_time(limit);
        }
        if let Some(user) = self.user {
            task = task.user(user);
        }
        if let Some(parent) = self.cgroup {
            task = task.cgroup(parent);
        }
        Ok(task)
    }
}

fn variable_of(text: &str) -> Result<(String, String)> {
    if let Some((name, value)) = text.split_once('=') {
        return Ok((name.to_owned(), value.to_owned()));
    }
    match env::var(text) {
        Ok(value) => Ok((text.to_owned(), value)),
        Err(env::VarError::NotPresent) => bail!("--env {text}: it is not set here; write {text}=VALUE"),
        Err(env::VarError::NotUnicode(_)) => bail!("--env {text}: its value is not UTF-8"),
    }
}

fn directory_of(text: &str) -> Result<(PathBuf, String, Access)> {
    let (path, access) = match text.strip_suffix(":ro") {
        Some(path) => (path, Access::ReadOnly),
        None => (text, Access::ReadWrite),
    };
    let (host, guest) = match path.split_once("::") {
        Some((host, guest)) if !guest.is_empty() => (host, guest.to_owned()),
        Some(_) => bail!("--dir {text}: the guest's name for it is empty; write HOST::GUEST"),
        None if path.split('/').any(|part| part == "..") => {
            bail!("--dir {text}: there is no .. in the guest; say what it is called there: {text}::/name")
        }
        None => (path, path.to_owned()),
    };
    if host.is_empty() {
        bail!("--dir {text}: the directory's name is empty");
    }
    Ok((PathBuf::from(host), guest, access))
}

fn identity(text: &str) -> Result<Identity, String> {
    let wrong = |_| format!("{text} is no user: write UID or UID:GID, in numbers");
    let (uid, gid) = text.split_once(':').unwrap_or((text, text));
    Ok(Identity { uid: uid.parse().map_err(wrong)?, gid: gid.parse().map_err(wrong)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_keeps_its_name_unless_told_otherwise() {
        let parsed = |text: &str| {
            let (host, guest, access) = directory_of(text).expect(text);
            (host.display().to_string(), guest, access == Access::ReadOnly)
        };
        assert_eq!(parsed("."), (".".into(), ".".into(), false));
        assert_eq!(parsed("/srv/x:ro"), ("/srv/x".into(), "/srv/x".into(), true));
        assert_eq!(parsed("../up::/up:ro"), ("../up".into(), "/up".into(), true));
        for bad in ["", "..", "a/../b", "x::", "::y"] {
            assert!(directory_of(bad).is_err(), "{bad}");
        }
    }
}
