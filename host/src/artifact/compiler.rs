//! The compile worker: parses, validates and compiles guest bytes, in a process that can do nothing else.
//!
//! It is given the bytes as a descriptor and leaves the artifact in another one. It trusts its supervisor; nobody
//! trusts it: what it says is checked, and the artifact runs in confined processes only.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use wasmproc_sandbox as sandbox;
use wasmproc_sandbox::seccomp::Denied;
use wasmproc_sandbox::{CpuTimer, Namespace, ProcessLimits, seccomp};

use super::engine::engine;
use super::{Manifest, SourceKind};
use crate::allocator;
use crate::wire::compiler::{Answer, Job, Request};
use crate::wire::{self, Channel};
use crate::worker;

/// What compiling one file may use. Compile bombs are outside of Cranelift's own promises.
const MAX_MEMORY_BYTES: u64 = 8 << 30;
pub(super) const MAX_CPU_TIME: Duration = Duration::from_secs(600);

/// The largest WebAssembly file that is accepted.
pub(super) const MAX_SOURCE_BYTES: u64 = 512 << 20;

/// The longest artifact that is taken. The supervisor copies it into the cache, and hashes it.
pub(super) const MAX_ARTIFACT_BYTES: u64 = 2 << 30;

/// It has a handful.
const MAX_OPEN_FILES: u64 = 64;

/// Enough for whatever the parsers accept; the first thread's depends on the user's limits.
const STACK_BYTES: usize = 8 << 20;

/// Its control socket is its standard input.
const CONTROL: RawFd = 0;

/// The life of a compile worker: confine itself, answer one request, end.
pub(crate) fn main(control: OwnedFd) -> ! {
    wire::tell_panics(CONTROL, panicked);
    // What that means for a file is known to whoever sees it.
    allocator::on_lack(|| std::process::abort());
    let mut control: Channel<Answer, Request> = Channel::with_descriptors(control);
    let answer = |control: &Channel<Answer, Request>, answer: &Answer| {
        // If the supervisor is gone, nobody needs the answer.
        let _ = control.send(answer, &[]);
        sandbox::exit_now(0)
    };
    if let Err(error) = confine() {
        answer(&control, &Answer::Failed(format!("the compiler's sandbox can't be set up: {error}")));
    }
    let Ok(Some((request, descriptors))) = control.receive() else { sandbox::exit_now(0) };
    let mut files = descriptors.into_iter().map(File::from);
    let Some(source) = files.next() else {
        answer(&control, &Answer::Failed("no descriptor is left for the compile worker".to_owned()))
    };
    let artifact = files.next();
    match in_parallel(|| work(&request, source, artifact)) {
        Ok(message) => answer(&control, &message),
        Err(Refused(message)) => answer(&control, &Answer::Refused(message)),
    }
}

/// Whatever walls this machine has: the lesser ones may be missing, seccomp may not.
fn confine() -> io::Result<()> {
    // As much of its name as the kernel keeps.
    sandbox::set_process_name(c"wasmproc-compil")?;
    let parent = rustix::process::getppid();
    let namespaces = [Namespace::User, Namespace::Mount, Namespace::Net, Namespace::Ipc, Namespace::Uts];
    let (entered, _) = sandbox::enter(&namespaces);
    // Found out while there is a /proc to ask.
    let data_bytes = sandbox::data_in_use(&sandbox::Procfs::of_host());
    let nobody = sandbox::Identity::NOBODY;
    let is_root = rustix::process::geteuid().is_root();
    let user = (is_root && sandbox::hindrance_to_become(nobody).is_none()).then_some(nobody);
    // In a changed root mounts can't be made private, and others would see what is done to them here.
    if entered.contains(&Namespace::Mount) && sandbox::make_private().is_ok() {
        sandbox::empty_root()?;
    }
    if let Some(user) = user {
        sandbox::become_user(user)?;
    }
    sandbox::drop_capabilities()?;
    sandbox::forbid_new_privileges()?;
    sandbox::hide_from_tracers()?;
    sandbox::die_with_parent()?;
    if rustix::process::getppid() != parent {
        sandbox::exit_now(0);
    }
    worker::ignore_signals();
    // What lies in an artifact is no memory of this process's own, so only its length bounds that.
    let (memory_bytes, file_bytes) = (MAX_MEMORY_BYTES, MAX_ARTIFACT_BYTES);
    let limits = ProcessLimits { memory_bytes, open_files: MAX_OPEN_FILES, file_bytes };
    limits.apply(data_bytes)?;
    limits.apply_to_files()?;
    CpuTimer::start(MAX_CPU_TIME)?;
    sandbox::close_from(3)?;
    if sandbox::landlock_version().is_ok() {
        sandbox::restrict(&[])?;
    }
    seccomp::report_denied(denied)?;
    seccomp::install(seccomp::Role::Compiler)
}

fn denied(denied: Denied) -> ! {
    // Its filter lets it signal itself.
    wire::report_denied(CONTROL, denied);
    sandbox::exit_now(crate::cause::exit_code::SIGNAL + libc::SIGSYS as u8)
}

/// Does it with as many threads as are to be had, or with this one alone.
fn in_parallel<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let threads = rayon_core::ThreadPoolBuilder::new().stack_size(STACK_BYTES);
    match threads.build() {
        Ok(threads) => threads.install(work),
        Err(_) => {
            let alone = rayon_core::ThreadPoolBuilder::new().num_threads(1).use_current_thread();
            // The engine would ask for threads of its own if this failed; nothing in it can.
            let _alone = alone.build();
            work()
        }
    }
}

/// The file is no good: the reason, in one line.
pub(crate) struct Refused(pub(crate) String);

impl From<wasmtime::Error> for Refused {
    fn from(error: wasmtime::Error) -> Self {
        Refused(one_line(&format!("{error:#}")))
    }
}

pub(crate) fn work(request: &Request, mut source: File, artifact: Option<File>) -> Result<Answer, Refused> {
    let mut bytes = Vec::new();
    source
        .seek(SeekFrom::Start(0))
        .and_then(|_| source.take(MAX_SOURCE_BYTES).read_to_end(&mut bytes))
        .map_err(|error| Refused(format!("can't be read: {error}")))?;
    let started = Instant::now();
    let source_bytes = bytes.len() as u64;
    let (component, kind) = to_component(bytes)?;
    if request.job == Job::Describe {
        let features = wasmparser::WasmFeatures::all();
        wasmparser::Validator::new_with_features(features).validate_all(&component).map_err(invalid)?;
        let manifest = manifest(&component, kind, source_bytes)?;
        return Ok(Answer::Described(manifest, describe(&component)?));
    }
    let engine = engine()?;
    let code = engine.precompile_component(&component)?;
    // Compiling has validated it. Whether every import is there is seen when the zygote links it, which maps code.
    let manifest = Manifest {
        artifact_bytes: code.len() as u64,
        compile_ms: started.elapsed().as_millis() as u64,
        ..manifest(&component, kind, source_bytes)?
    };
    let mut memory = artifact.ok_or_else(|| Refused("there is no descriptor for the artifact".to_owned()))?;
    memory.write_all(&code).map_err(|error| Refused(format!("no room for the artifact: {error}")))?;
    Ok(Answer::Compiled(manifest))
}

/// WebAssembly in any form that we take, as a binary component.
fn to_component(bytes: Vec<u8>) -> Result<(Vec<u8>, SourceKind), Refused> {
    let bytes = match bytes.as_slice() {
        [] => return Err(Refused("the file is empty".to_owned())),
        [0x7f, b'E', b'L', b'F', _, _, _, 200, ..] => {
            let reason = "it is a precompiled artifact, which is native code and is never taken from a file: run the \
                          .wasm it was made from";
            return Err(Refused(reason.to_owned()));
        }
        [0x7f, b'E', b'L', b'F', ..] | [b'M', b'Z', ..] | [0xcf, 0xfa, 0xed, 0xfe, ..] => {
            let reason = "it is a native program, not WebAssembly: build it for the target wasm32-wasip2";
            return Err(Refused(reason.to_owned()));
        }
        [0, b'a', b's', b'm', ..] => bytes,
        _ => text_to_binary(&bytes)?,
    };
    if wasmparser::Parser::is_component(&bytes) {
        return Ok((bytes, SourceKind::Component));
    }
    if !wasmparser::Parser::is_core_wasm(&bytes) {
        return Err(Refused("it begins like WebAssembly, but is cut off or of an unknown version".to_owned()));
    }
    Ok((adapt(&bytes)?, SourceKind::CoreModule))
}

fn text_to_binary(bytes: &[u8]) -> Result<Vec<u8>, Refused> {
    let text = std::str::from_utf8(bytes).ok().filter(|text| {
        let start = text.trim_start();
        start.starts_with('(') || start.starts_with(";;")
    });
    let Some(text) = text else {
        return Err(Refused("it is neither WebAssembly nor its text form".to_owned()));
    };
    let parsed = wat::parse_str(text);
    parsed.map_err(|error| Refused(format!("its text form has an error: {}", one_line(&error.to_string()))))
}

/// Makes a component of a core module, with the adapter that fits it.
fn adapt(module: &[u8]) -> Result<Vec<u8>, Refused> {
    use wasi_preview1_component_adapter_provider as adapter;
    wasmparser::Validator::new().validate_all(module).map_err(invalid)?;
    let is_command = wasmparser::Parser::new(0).parse_all(module).any(|payload| match payload {
        Ok(wasmparser::Payload::ExportSection(exports)) => {
            exports.into_iter().flatten().any(|export| export.name == "_start")
        }
        _ => false,
    });
    if !is_command {
        let reason = "it is a core module without a _start function: build a command, or a component";
        return Err(Refused(reason.to_owned()));
    }
    let name = adapter::WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME;
    let bytes = adapter::WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER;
    let encoded = wit_component::ComponentEncoder::default()
        .validate(false)
        .module(module)
        .and_then(|encoder| encoder.adapter(name, bytes))
        .and_then(|mut encoder| encoder.encode());
    encoded.map_err(|error| {
        Refused(format!("it is a core module that can't be made into a component: {}", one_line(&format!("{error:#}"))))
    })
}

/// What the bytes of a valid component show by themselves: it may be one that can't be linked.
fn manifest(component: &[u8], kind: SourceKind, source_bytes: u64) -> Result<Manifest, Refused> {
    let (mut imports, mut exports, mut runs_at_start, mut depth) = (Vec::new(), Vec::new(), false, 0u32);
    for payload in wasmparser::Parser::new(0).parse_all(component) {
        use wasmparser::Payload;
        match payload.map_err(invalid)? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::StartSection { .. } | Payload::ComponentStartSection { .. } => runs_at_start = true,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section {
                    imports.push(import.map_err(invalid)?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                for export in section {
                    exports.push(export.map_err(invalid)?.name.name.to_owned());
                }
            }
            _ => {}
        }
    }
    Ok(Manifest { kind, imports, exports, runs_at_start, source_bytes, artifact_bytes: 0, compile_ms: 0 })
}

/// Set while a component's world is printed. The libraries for that panic at valid components that WIT has no words for.
static PRINTS: AtomicBool = AtomicBool::new(false);

/// For as long as a world is printed.
struct Printing;

impl Printing {
    fn begin() -> Printing {
        PRINTS.store(true, Ordering::Relaxed);
        Printing
    }
}

impl Drop for Printing {
    fn drop(&mut self) {
        PRINTS.store(false, Ordering::Relaxed);
    }
}

/// Whether a panic now tells of the component, and of no bug here.
pub(crate) fn prints() -> bool {
    PRINTS.load(Ordering::Relaxed)
}

fn panicked(text: String) -> Answer {
    if prints() {
        Answer::Refused("its world can't be printed: WIT has no words for it".to_owned())
    } else {
        Answer::Failed(text)
    }
}

/// The component's world in WIT.
fn describe(component: &[u8]) -> Result<String, Refused> {
    let _printing = Printing::begin();
    let failed = |error: String| Refused(format!("its world can't be printed: {}", one_line(&error)));
    let decoded = wit_component::decode(component).map_err(|error| failed(format!("{error:#}")))?;
    let mut printer = wit_component::WitPrinter::default();
    let package = decoded.package();
    printer.print(decoded.resolve(), package, &[]).map_err(|error| failed(format!("{error:#}")))?;
    Ok(printer.output.to_string())
}

fn invalid(error: wasmparser::BinaryReaderError) -> Refused {
    Refused(format!("it is not valid: {}", one_line(&error.to_string())))
}

/// The first line that says something, without the library's own decorations.
fn one_line(message: &str) -> String {
    let lines: Vec<&str> = message.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    crate::cause::printable(&lines.join(" "))
}
