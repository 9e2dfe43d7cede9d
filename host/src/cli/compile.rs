//! `wasmproc compile`.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Result;
use clap::Args;

use super::terminal::{Terminal, complain_of};
use super::{print_json, print_line};
use crate::cause::printable;
use crate::{Artifact, Cache, ErrorKind, units};

/// Compile WebAssembly files into the cache, so that their first run starts at once
#[derive(Debug, Args)]
pub(super) struct Compile {
    /// Print what was done as JSON
    #[arg(long)]
    json: bool,

    /// The files
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
}

impl Compile {
    pub(super) fn execute(self) -> Result<u8> {
        let cache = Cache::of_user()?;
        let mut terminal = Terminal::with_signals()?;
        let (mut done, mut code) = (Vec::new(), 0);
        for file in &self.files {
            let started = Instant::now();
            let artifact = match Artifact::of_file(file, Some(&cache), &mut terminal) {
                Ok(artifact) => artifact,
                Err(error) if matches!(error.kind(), ErrorKind::Interrupted(_)) => return Err(error.into()),
                Err(error) => {
                    // The others are compiled all the same.
                    code = if code == 0 { error.exit_code() } else { code };
                    complain_of(&error.into());
                    continue;
                }
            };
            let (source, native) = (artifact.manifest.source_bytes, artifact.manifest.artifact_bytes);
            if self.json {
                done.push(serde_json::json!({
                    "file": file.display().to_string(),
                    "source_bytes": source,
                    "artifact_bytes": native,
                    "already_cached": artifact.cached,
                    "ms": started.elapsed().as_secs_f64() * 1e3,
                }));
                continue;
            }
            let how = match artifact.cached {
                true => "was in the cache".to_owned(),
                false => format!("compiled in {}", units::show_duration(started.elapsed())),
            };
            let (source, native) = (units::show_bytes(source), units::show_bytes(native));
            let file = printable(&file.display().to_string());
            print_line(&format!("{file}: {source} of WebAssembly, {native} of native code, {how}"))?;
        }
        if self.json {
            print_json(&done)?;
        }
        Ok(code)
    }
}
