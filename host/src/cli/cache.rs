//! `wasmproc cache`.

use anyhow::Result;
use clap::{Args, Subcommand};

use super::{print_json, print_line};
use crate::{Cache, units};

/// Show or clear the cache of compiled artifacts
#[derive(Debug, Args)]
pub(super) struct CacheCommand {
    #[command(subcommand)]
    command: Option<Action>,

    /// Print as JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Clone, Copy, Subcommand)]
enum Action {
    /// Where it is and how large (the default)
    Show,
    /// Remove every artifact
    Clear,
}

impl CacheCommand {
    pub(super) fn execute(self) -> Result<u8> {
        let cache = Cache::of_user()?;
        let folder = cache.folder().display().to_string();
        match self.command.unwrap_or(Action::Show) {
            Action::Show => {
                let entries = cache.entries()?;
                let bytes: u64 = entries.iter().map(|entry| entry.bytes).sum();
                if self.json {
                    print_json(&serde_json::json!({ "folder": folder, "bytes": bytes, "entries": entries }))?;
                } else {
                    print_line(&format!("{folder}: {} artifacts, {}", entries.len(), units::show_bytes(bytes)))?;
                }
            }
            Action::Clear => {
                let freed = cache.clear()?;
                if self.json {
                    print_json(&serde_json::json!({ "folder": folder, "freed_bytes": freed }))?;
                } else {
                    print_line(&format!("{folder}: {} freed", units::show_bytes(freed)))?;
                }
            }
        }
        Ok(0)
    }
}
