//! `wasmproc inspect`.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;

use super::terminal::Terminal;
use super::{print_json, print_line};
use crate::artifact::describe;
use crate::cause::printable;
use crate::{Manifest, SourceKind, units};

/// Show what a WebAssembly file imports and exports, and what it will ask to be granted
///
/// The file is looked at in a confined process, and not run.
#[derive(Debug, Args)]
pub(super) struct Inspect {
    /// Print as JSON
    #[arg(long)]
    json: bool,

    /// The file
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// What an import means for somebody who wants to run the file: the interface's name, what it is about, how to grant.
const MEANINGS: &[(&str, &str, &str)] = &[
    ("wasi:filesystem/", "files", "nothing, unless granted with --dir or --tmp"),
    ("wasi:sockets/", "the network", "nothing: there is no network in the sandbox"),
    ("wasi:cli/environment", "environment and arguments", "variables are granted with --env"),
    ("wasi:cli/std", "standard streams", "passed through"),
    ("wasi:clocks/", "clocks", "always there"),
    ("wasi:random/", "random numbers", "always there"),
    ("wasmproc:ipc/process", "processes of its own", "limited by --max-processes"),
];

/// Packages of which every interface is there.
const PROVIDED: &[&str] =
    &["wasi:io/", "wasi:clocks/", "wasi:random/", "wasi:cli/", "wasi:filesystem/", "wasi:sockets/", "wasmproc:ipc/"];

impl Inspect {
    pub(super) fn execute(self) -> Result<u8> {
        let (manifest, wit) = describe(&self.file, &mut Terminal::new())?;
        if self.json {
            print_json(&serde_json::json!({
                "file": self.file.display().to_string(),
                "kind": manifest.kind,
                "source_bytes": manifest.source_bytes,
                "imports": manifest.imports,
                "exports": manifest.exports,
                "missing": missing(&manifest),
                "asks_for": asked(&manifest).iter().map(|(what, _)| *what).collect::<Vec<_>>(),
                "can_run": manifest.run().is_some() && missing(&manifest).is_empty(),
                "can_be_spawned": manifest.entry().is_some(),
                "wit": wit,
            }))?;
        } else {
            print_line(&human(&self.file, &manifest, &wit))?;
        }
        Ok(0)
    }
}

pub(super) fn human(file: &Path, manifest: &Manifest, wit: &str) -> String {
    let kind = match manifest.kind {
        SourceKind::Component => "a component",
        SourceKind::CoreModule => "a core module, made into a component",
    };
    let size = units::show_bytes(manifest.source_bytes);
    let mut lines = vec![format!("{}: {kind}, {size}", printable(&file.display().to_string()))];
    lines.push(match (manifest.run().is_some(), manifest.entry().is_some()) {
        (true, true) => "runs as a command, and its functions can be started as processes".to_owned(),
        (true, false) => "runs as a command".to_owned(),
        (false, true) => "its functions can be started as processes; it is no command".to_owned(),
        (false, false) => "can't be run: it exports neither wasi:cli/run nor wasmproc:ipc/entry".to_owned(),
    });
    for name in missing(manifest) {
        lines.push(format!("can't be run: it imports {}, which wasmproc doesn't have", printable(name)));
    }
    lines.push(String::new());
    lines.push("asks for:".to_owned());
    for (what, grant) in asked(manifest) {
        lines.push(format!("  {what}: {grant}"));
    }
    for (title, names) in [("imports:", &manifest.imports), ("exports:", &manifest.exports)] {
        lines.push(String::new());
        lines.push(title.to_owned());
        lines.extend(names.iter().map(|name| format!("  {}", printable(name))));
    }
    lines.push(String::new());
    lines.extend(wit.lines().map(printable_line));
    lines.join("\n")
}

/// A line of WIT with its indentation, and without control characters.
fn printable_line(line: &str) -> String {
    let indent = line.len() - line.trim_start().len();
    format!("{}{}", " ".repeat(indent), printable(line.trim_start()))
}

fn asked(manifest: &Manifest) -> Vec<(&'static str, &'static str)> {
    let asks = |prefix: &str| manifest.imports.iter().any(|name| name.starts_with(prefix));
    MEANINGS.iter().filter(|(prefix, ..)| asks(prefix)).map(|(_, what, grant)| (*what, *grant)).collect()
}

fn missing(manifest: &Manifest) -> Vec<&str> {
    let provided = |name: &str| PROVIDED.iter().any(|prefix| name.starts_with(prefix));
    manifest.imports.iter().map(String::as_str).filter(|name| !provided(name)).collect()
}
