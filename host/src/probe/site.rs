//! What attempts are aimed at, and how they are made inside and outside.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::io::FdFlags;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use wasmproc_sandbox::{Identity, Layer, ProcessLimits, Walls};

use super::{Verdict, payload, verdict_of};
use crate::error::{Context, Result};
use crate::role::Early;
use crate::supervisor::{self, Attendant, Broken, Component, Ingredients, Limits, Outcome, Plan, View};
use crate::wire::init::{Grant, Setup};
use crate::wire::worker::Target;
use crate::{Cause, Task};

/// The hidden command that does nothing until its standard input ends.
pub(crate) const SENTINEL: &str = "attempt-sentinel";
/// An attempt that waits for something is not getting anywhere.
const TIMEOUT: Duration = Duration::from_secs(5);
const MEMORY_BYTES: u64 = 64 << 20;

/// What attempts are aimed at, as they know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    /// A file that is not granted. Beside it lies the directory that is.
    pub(crate) secret: PathBuf,
    /// Its device and inode.
    pub(crate) secret_inode: (u64, u64),
    /// A TCP port on which somebody listens, and the name of an abstract Unix socket.
    pub(crate) port: u16,
    pub(crate) abstract_name: String,
    /// A process, and its parent.
    pub(crate) sentinel: i32,
    pub(crate) supervisor: i32,
}

/// How an attempt inside is made.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Options {
    /// A layer of the sandbox that is left out.
    pub(crate) without: Option<Layer>,
    /// Nothing is granted. Otherwise a directory is, so that the worker may make the calls that files need.
    pub(crate) no_directory: bool,
}

/// What attempts are aimed at. It goes with this value.
pub(crate) struct Site {
    place: Place,
    granted: PathBuf,
    sentinel: Child,
    _secret: File,
    _folder: TempDir,
    _listener: TcpListener,
    _socket: UnixListener,
}

impl Site {
    pub(crate) fn new() -> Result<Site> {
        Site::make().context(|| "can't make what escapes would be aimed at".to_owned())
    }

    fn make() -> io::Result<Site> {
        let folder = tempfile::Builder::new().prefix("wasmproc-doctor-").tempdir()?;
        let (secret, granted) = (folder.path().join("secret"), folder.path().join("granted"));
        fs::write(&secret, "nobody inside may read this\n")?;
        fs::create_dir(&granted)?;
        std::os::unix::fs::symlink(&secret, granted.join("link-to-secret"))?;
        // Whoever the workers are, they could enter and read if nothing stopped them.
        set_mode(folder.path(), 0o755)?;
        set_mode(&granted, 0o777)?;
        let file = File::open(&secret)?;
        // As if somebody had forgotten to close it.
        rustix::io::fcntl_setfd(&file, FdFlags::empty())?;
        let status = file.metadata()?;
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let abstract_name = format!("wasmproc-doctor-{}", std::process::id());
        let socket = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&abstract_name)?)?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(SENTINEL).stdin(Stdio::piped()).stdout(Stdio::null());
        let sentinel = command.spawn()?;
        let place = Place {
            secret,
            secret_inode: (status.dev(), status.ino()),
            port: listener.local_addr()?.port(),
            abstract_name,
            sentinel: sentinel.id().cast_signed(),
            supervisor: std::process::id().cast_signed(),
        };
        Ok(Site { place, granted, sentinel, _secret: file, _folder: folder, _listener: listener, _socket: socket })
    }

    /// Makes an attempt in this very process, which should be one that was made for it.
    pub(crate) fn try_outside(&self, attempt: &str) -> Verdict {
        let granted = File::open(&self.granted).map(OwnedFd::from);
        verdict_of(payload(attempt, &self.place, granted.as_ref().ok()))
    }

    /// Makes an attempt in a fresh worker of a run of its own.
    pub(crate) fn try_inside(&self, attempt: &str, options: Options) -> Result<Verdict> {
        Ok(match self.run(attempt, options)?.cause {
            Cause::Exited(code) => verdict_of(code),
            Cause::DeniedSyscall(number) => Verdict::Trapped(number),
            Cause::Signaled(signal) => Verdict::Killed(signal),
            other => Verdict::Failed(other.to_string()),
        })
    }

    /// What stands around a worker. An error if payloads don't get as far as making an attempt.
    pub(crate) fn walls(&self, options: Options) -> Result<Walls> {
        let outcome = self.run("nothing", options)?;
        match outcome.cause {
            Cause::Exited(super::NO_SUCH_ATTEMPT) => Ok(outcome.report.walls),
            cause => Err(crate::Error::failed(format!("a worker that does nothing {cause}"))),
        }
    }

    fn run(&self, attempt: &str, options: Options) -> Result<Outcome> {
        let (_, orders) = supervisor::connected()?;
        let ingredients = self.ingredients(attempt, options)?;
        supervisor::run(ingredients, &orders, &mut Silent).map_err(|broken| match broken {
            Broken::Run(error) => error,
            Broken::Artifact(_, reason) | Broken::Unlinkable(_, reason) => crate::Error::failed(reason),
        })
    }

    fn ingredients(&self, attempt: &str, options: Options) -> Result<Ingredients> {
        let nothing = || {
            let file = File::options().read(true).write(true).open("/dev/null");
            file.map(OwnedFd::from).context(|| "can't open /dev/null".to_owned())
        };
        let (grants, directories) = match options.no_directory {
            true => (Vec::new(), Vec::new()),
            false => {
                let grant = Grant::Host { path: self.granted.clone(), read_only: false };
                let guest = "/granted".to_owned();
                let view = View { guest, grant: 0, path: PathBuf::new(), read_only: false, narrowed: false };
                (vec![grant], vec![view])
            }
        };
        // Counts only where workers would be the host's root.
        let user = match wasmproc_sandbox::hindrance_to_become(Identity::NOBODY) {
            None => Identity::NOBODY,
            Some(_) => Identity { uid: 0, gid: 0 },
        };
        let mut start = supervisor::main_start(Vec::new(), Vec::new(), 1);
        start.target = Target::Attempt { name: attempt.to_owned(), place: self.place.clone() };
        start.directories = directories.iter().map(|view| (view.guest.clone(), view.read_only)).collect();
        Ok(Ingredients {
            setup: Setup {
                grants,
                user: Some(user),
                limits: ProcessLimits {
                    memory_bytes: MEMORY_BYTES,
                    open_files: Task::DEFAULT_MAX_OPEN_FILES,
                    file_bytes: u64::MAX,
                },
                components: Vec::new(),
                cgroup: false,
            },
            artifacts: Vec::new(),
            stdin: nothing()?,
            stdout: nothing()?,
            stderr: nothing()?,
            components: vec![Component { name: None, has_run: true, has_entry: false, starts_processes: false }],
            limits: Limits {
                max_processes: 1,
                max_total_memory_bytes: MEMORY_BYTES,
                max_kept_output_bytes: 0,
                max_objects: 0,
                max_total_objects: 0,
            },
            plan: Plan {
                component: 0,
                arguments: Vec::new(),
                environment: Vec::new(),
                directories,
                max_memory_bytes: MEMORY_BYTES,
                cpu_time: None,
                timeout: Some(TIMEOUT),
                terminals: [false; 3],
                parallelism: 1,
                max_output_bytes: u64::MAX,
            },
            start,
            grace: Duration::ZERO,
            strict: false,
            list_processes: false,
            doorstep: Early::start(options.without.into_iter().collect())?,
            cgroup: None,
            exposed: Vec::new(),
        })
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        // One that is gone already has been killed by an attempt outside.
        let _ = self.sentinel.kill();
        let _ = self.sentinel.wait();
    }
}

/// What the layers are is told by the doctor, not by warnings of each run.
struct Silent;

impl Attendant for Silent {}

fn set_mode(path: &std::path::Path, mode: u32) -> io::Result<()> {
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode))
}

/// The life of a sentinel: it waits for the end of the one who started it.
pub(crate) fn sentinel(first: Option<&OsStr>) -> bool {
    let is_one = first == Some(OsStr::new(SENTINEL));
    if is_one {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
    }
    is_one
}
