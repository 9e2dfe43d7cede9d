//! `wasmproc new`.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;

use super::print_line;
use crate::cause::printable;

/// Make a guest project in Rust that builds and runs at once
#[derive(Debug, Args)]
pub(super) struct New {
    /// The folder of the crate wasmproc-guest [default: the one that this wasmproc was built with]
    #[arg(long, value_name = "FOLDER")]
    sdk: Option<PathBuf>,

    /// The folder to make; its last part is the package's name
    #[arg(value_name = "NAME")]
    folder: PathBuf,
}

/// Where the guest SDK lay when this program was built.
const BUILT_WITH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../guest/rust");

impl New {
    pub(super) fn execute(self) -> Result<u8> {
        let name = self.folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        check_name(&name)?;
        let folder = &self.folder;
        if folder.exists() {
            bail!("{} is there already: choose another name", folder.display());
        }
        let sdk = dependency(self.sdk.as_deref())?;
        let files = [
            ("Cargo.toml", manifest(&name, &sdk)),
            ("src/main.rs", include_str!("template/main.rs").to_owned()),
            (
                ".cargo/config.toml",
                format!("[build]\ntarget = \"wasm32-wasip2\"\n\n[target.wasm32-wasip2]\nrunner = {:?}\n", runner()),
            ),
            ("rust-toolchain.toml", "[toolchain]\nchannel = \"stable\"\ntargets = [\"wasm32-wasip2\"]\n".to_owned()),
            (".gitignore", "/target\n".to_owned()),
        ];
        for (file, content) in files {
            let path = folder.join(file);
            let parent = path.parent().unwrap_or(folder);
            fs::create_dir_all(parent)
                .and_then(|()| fs::write(&path, content))
                .with_context(|| format!("can't write {}", path.display()))?;
        }
        let folder = printable(&folder.display().to_string());
        print_line(&format!("made {folder}; now: cd {folder} && cargo run"))?;
        Ok(0)
    }
}

fn check_name(name: &str) -> Result<()> {
    let first = name.chars().next().is_some_and(|first| first.is_ascii_alphabetic());
    let rest = name.chars().all(|each| each.is_ascii_alphanumeric() || matches!(each, '-' | '_'));
    if !first || !rest {
        bail!("{name:?} can't be a package's name: begin with a letter, then letters, digits, - and _");
    }
    Ok(())
}

/// The SDK as a dependency: where it lies on this machine, else from the registry.
fn dependency(given: Option<&Path>) -> Result<String> {
    let folder = given.unwrap_or(Path::new(BUILT_WITH));
    match folder.canonicalize() {
        Ok(folder) if folder.join("Cargo.toml").is_file() => {
            Ok(format!("{{ path = {:?} }}", folder.display().to_string()))
        }
        _ if given.is_some() => bail!("{} is not the crate wasmproc-guest", folder.display()),
        _ => Ok(format!("{:?}", env!("CARGO_PKG_VERSION"))),
    }
}

fn manifest(name: &str, sdk: &str) -> String {
    format!(
        "[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n\
         [dependencies]\nwasmproc-guest = {sdk}\n\
         # To pass types of your own:\n# serde = {{ version = \"1\", features = [\"derive\"] }}\n\n\
         # A project of its own, wherever its folder lies.\n[workspace]\n"
    )
}

/// How cargo starts the program: by name if the shell finds wasmproc, else by its place.
fn runner() -> Vec<String> {
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path).any(|folder| folder.join("wasmproc").is_file());
    let own = env::current_exe().ok().filter(|_| !found);
    let program = own.map_or("wasmproc".to_owned(), |own| own.display().to_string());
    vec![program, "run".to_owned()]
}
