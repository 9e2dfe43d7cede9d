//! The report of a run, for people and for programs.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use crate::cause::printable;
use crate::{Access, Allowed, Cause, Outcome, ProcessReport, Walls, units};

/// Where the report goes, and in which form.
#[derive(Debug)]
pub(super) struct Destination {
    file: PathBuf,
    json: bool,
}

impl Destination {
    pub(super) fn new(file: PathBuf, json: bool) -> Destination {
        let json = json || file.extension().is_some_and(|extension| extension == "json");
        Destination { file, json }
    }
}

pub(super) fn write(outcome: &Outcome, destination: &Destination) -> Result<()> {
    let text = if destination.json { json(outcome)? } else { human(outcome) };
    super::stderr::finish();
    if destination.file.as_os_str() == "-" {
        return Ok(std::io::stderr().write_all(text.as_bytes())?);
    }
    open(&destination.file)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("can't write the report to {}", destination.file.display()))
}

/// Opens a file to be written from its beginning, or goes on in one that a standard stream goes to: opened once more, as
/// /dev/stdout would be, it would lose what is in it.
fn open(file: &Path) -> io::Result<File> {
    if let Ok(named) = fs::metadata(file) {
        for stream in [rustix::stdio::stdout(), rustix::stdio::stderr()] {
            let Ok(stream) = stream.try_clone_to_owned().map(File::from) else { continue };
            if stream.metadata().is_ok_and(|open| (open.dev(), open.ino()) == (named.dev(), named.ino())) {
                return Ok(stream);
            }
        }
    }
    File::create(file)
}

pub(super) fn json(outcome: &Outcome) -> Result<String> {
    Ok(super::json(&Json::of(outcome))? + "\n")
}

pub(super) fn human(outcome: &Outcome) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["PID", "PARENT", "NAME", "START", "DURATION", "CPU", "PEAK MEMORY", "ALLOWED", "END"]);
    for process in &outcome.report.processes {
        table.add_row([
            process.pid.to_string(),
            process.parent.map(|pid| pid.to_string()).unwrap_or_default(),
            printable(&process.name),
            units::show_duration(process.started),
            units::show_duration(process.duration),
            units::show_duration(process.cpu_time),
            units::show_bytes(process.peak_memory_bytes),
            allowed(&process.allowed),
            process.cause.to_string(),
        ]);
    }
    for column in [0, 1] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let lines = table.lines().map(|line| line.trim_end().to_owned());
    let mut text: String = lines.map(|line| line + "\n").collect();
    if outcome.report.unlisted > 0 {
        text += &format!("and {} more\n", outcome.report.unlisted);
    }
    text + &format!("walls: {}\nexit code: {}\n", walls(&outcome.report.walls), outcome.exit_code())
}

/// Its limits, and the directories that it had.
fn allowed(allowed: &Allowed) -> String {
    let mut parts = vec![units::show_bytes(allowed.max_memory_bytes)];
    parts.extend(allowed.cpu_time.map(|limit| format!("{} CPU", units::show_duration(limit))));
    parts.extend(allowed.timeout.map(units::show_duration));
    parts.extend(allowed.directories.iter().map(|(directory, access)| match access {
        Access::ReadOnly => printable(directory) + ":ro",
        Access::ReadWrite => printable(directory),
    }));
    parts.join(", ")
}

fn walls(walls: &Walls) -> String {
    let namespaces: Vec<String> = walls.namespaces.iter().map(|one| format!("{one:?}").to_lowercase()).collect();
    let mut parts = vec![match namespaces.is_empty() {
        true => "no namespaces".to_owned(),
        false => format!("namespaces {}", namespaces.join(" ")),
    }];
    parts.push(if walls.empty_root { "empty root" } else { "the host's root" }.to_owned());
    parts.extend(walls.landlock.map(|version| format!("Landlock {version}")));
    parts.push("no capabilities, no new privileges, limits".to_owned());
    parts.extend((!walls.cgroup.is_empty()).then(|| format!("cgroup with {}", walls.cgroup.join(" and "))));
    parts.extend(walls.seccomp.then(|| "seccomp".to_owned()));
    parts.extend(walls.missing.iter().map(|missing| format!("missing: {} ({})", missing.layer, missing.reason)));
    parts.join("; ")
}

/// The report's JSON form: a promise to programs that read it, so it is spelled out here.
#[derive(Serialize)]
struct Json<'a> {
    exit_code: u8,
    stopped_by_signal: Option<u8>,
    walls: &'a Walls,
    processes: Vec<JsonProcess>,
    unlisted: u64,
    recoveries: u64,
}

#[derive(Serialize)]
struct JsonProcess {
    pid: u64,
    parent: Option<u64>,
    name: String,
    start_ms: f64,
    duration_ms: f64,
    cpu_ms: f64,
    peak_memory_bytes: u64,
    max_memory_bytes: u64,
    max_cpu_ms: Option<f64>,
    timeout_ms: Option<f64>,
    directories: Vec<JsonDirectory>,
    cause: &'static str,
    exit_code: u8,
    description: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    backtrace: Option<String>,
}

#[derive(Serialize)]
struct JsonDirectory {
    path: String,
    access: Access,
}

impl<'a> Json<'a> {
    fn of(outcome: &'a Outcome) -> Json<'a> {
        Json {
            exit_code: outcome.exit_code(),
            stopped_by_signal: outcome.stopped_by,
            walls: &outcome.report.walls,
            processes: outcome.report.processes.iter().map(JsonProcess::of).collect(),
            unlisted: outcome.report.unlisted,
            recoveries: outcome.report.recoveries,
        }
    }
}

impl JsonProcess {
    fn of(process: &ProcessReport) -> JsonProcess {
        let ms = |duration: Duration| duration.as_secs_f64() * 1e3;
        JsonProcess {
            pid: process.pid.0,
            parent: process.parent.map(|pid| pid.0),
            name: printable(&process.name),
            start_ms: ms(process.started),
            duration_ms: ms(process.duration),
            cpu_ms: ms(process.cpu_time),
            peak_memory_bytes: process.peak_memory_bytes,
            max_memory_bytes: process.allowed.max_memory_bytes,
            max_cpu_ms: process.allowed.cpu_time.map(ms),
            timeout_ms: process.allowed.timeout.map(ms),
            directories: process.allowed.directories.iter().map(JsonDirectory::of).collect(),
            cause: name(&process.cause),
            exit_code: process.cause.exit_code(),
            description: process.cause.to_string(),
            backtrace: match &process.cause {
                // JSON would leave some of the control characters in it alone.
                Cause::Trapped { backtrace, .. } => {
                    Some(backtrace.lines().map(printable).collect::<Vec<_>>().join("\n"))
                }
                _ => None,
            },
        }
    }
}

impl JsonDirectory {
    fn of((path, access): &(String, Access)) -> JsonDirectory {
        JsonDirectory { path: printable(path), access: *access }
    }
}

fn name(cause: &Cause) -> &'static str {
    match cause {
        Cause::Exited(_) => "exited",
        Cause::Trapped { .. } => "trapped",
        Cause::Signaled(_) => "signaled",
        Cause::TimedOut => "timed-out",
        Cause::CpuTime => "cpu-time",
        Cause::OutOfMemory => "out-of-memory",
        Cause::DeniedSyscall(_) => "denied-syscall",
        Cause::Killed(_) => "killed",
        Cause::ParentLost => "parent-lost",
        Cause::Stalled => "stalled",
        Cause::Rejected(_) => "rejected",
        Cause::SandboxFailed(_) => "sandbox-failed",
        Cause::Failed(_) => "failed",
    }
}
