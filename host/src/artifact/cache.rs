//! Compiled artifacts on disk, by content.
//!
//! An entry is two files: the artifact and, written after it, a manifest that holds the hash of both. Both are
//! written beside their place and renamed into it, so that a crash leaves an entry whole or absent. An entry is
//! checked against its hash before use; a damaged one counts as absent and is compiled again. The folder is readable
//! by its user alone, because an artifact is native code.

use std::env;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::{Manifest, engine, read_all};
use crate::error::{Context, Error, Result};

const FOLDER_VARIABLE: &str = "WASMPROC_CACHE_DIR";
/// Longer than what is known of an artifact, all its imports and exports.
const MAX_RECORD_BYTES: u64 = 64 << 20;

/// The folder that holds the artifacts of one user.
#[derive(Debug, Clone)]
pub struct Cache {
    folder: PathBuf,
}

/// One artifact in the cache.
#[derive(Debug, Clone, Serialize)]
pub struct CacheEntry {
    pub key: String,
    pub bytes: u64,
}

#[derive(Serialize, Deserialize)]
struct Record {
    /// The entry's own name: it may have been copied here from another's.
    key: String,
    hash: String,
    manifest: Manifest,
}

impl Cache {
    /// The user's cache: `$WASMPROC_CACHE_DIR`, else `wasmproc` in the user's cache folder.
    ///
    /// Fails if the user has no home and names no folder.
    pub fn of_user() -> Result<Cache> {
        if let Some(folder) = env::var_os(FOLDER_VARIABLE).filter(|folder| !folder.is_empty()) {
            return Ok(Cache { folder: folder.into() });
        }
        // Not asked of the user database: a static program can't, where that needs the C library's modules.
        let named = |variable: &str| env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
        let caches = named("XDG_CACHE_HOME").or_else(|| Some(named("HOME")?.join(".cache")));
        let caches = caches.ok_or_else(|| {
            Error::failed(format!("there is no home folder to keep artifacts in: set {FOLDER_VARIABLE}"))
        })?;
        Ok(Cache { folder: caches.join("wasmproc") })
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The artifacts in it.
    pub fn entries(&self) -> Result<Vec<CacheEntry>> {
        let mut entries = Vec::new();
        for file in self.files()? {
            if file.extension().is_some_and(|extension| extension == "cwasm") {
                let bytes = fs::metadata(&file).map_or(0, |metadata| metadata.len());
                let key = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                entries.push(CacheEntry { key, bytes });
            }
        }
        Ok(entries)
    }

    /// Removes everything in it and says how many bytes that were.
    pub fn clear(&self) -> Result<u64> {
        let mut freed = 0;
        let mut stays = None;
        for file in self.files()? {
            let bytes = fs::metadata(&file).map_or(0, |metadata| metadata.len());
            match fs::remove_file(&file) {
                Ok(()) => freed += bytes,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => stays = Some((file, error)),
            }
        }
        match stays {
            Some((file, error)) => Err(error).context(|| format!("can't remove {}", file.display())),
            None => Ok(freed),
        }
    }

    /// Our files in the folder, and no others that somebody may keep there.
    fn files(&self) -> Result<Vec<PathBuf>> {
        let listing = match fs::read_dir(&self.folder) {
            Ok(listing) => listing,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error).context(|| format!("can't read the cache {}", self.folder.display())),
        };
        let ours = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            name.ends_with(".cwasm") || name.ends_with(".json") || name.starts_with(".tmp")
        };
        Ok(listing.flatten().map(|entry| entry.path()).filter(ours).collect())
    }

    /// Whether somebody who may write to `directory` may write to the cache, or put something else in its place.
    pub(crate) fn is_within_reach_from(&self, directory: &Path) -> bool {
        // Names may be links, and one directory may be mounted in several places.
        let number = |path: &Path| fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()));
        let Some(reached) = number(directory) else { return false };
        let Ok(folder) = std::path::absolute(&self.folder) else { return false };
        let real = folder.ancestors().filter_map(|path| fs::canonicalize(path).ok());
        let leads_here = real.flat_map(|path| path.ancestors().map(number).collect::<Vec<_>>());
        let folder = number(&folder);
        leads_here.flatten().any(|above| above == reached)
            || (folder.is_some() && directory.ancestors().any(|above| number(above) == folder))
    }

    #[cfg(feature = "fuzzing")]
    pub(crate) fn at(folder: &Path) -> Cache {
        Cache { folder: folder.to_owned() }
    }

    /// An entry that is whole and ours.
    pub(crate) fn find(&self, key: &str) -> Option<(OwnedFd, Manifest)> {
        self.check_owner().ok()?;
        let mut json = Vec::new();
        open_file(&self.path(key, "json")).ok()?.take(MAX_RECORD_BYTES).read_to_end(&mut json).ok()?;
        let record: Record = serde_json::from_slice(&json).ok()?;
        let file = open_file(&self.path(key, "cwasm")).ok()?;
        let has_length = file.metadata().ok()?.len() == record.manifest.artifact_bytes;
        let whole = has_length && record.key == key && record.hash == seal(&record.manifest, &file).ok()?;
        whole.then_some((file.into(), record.manifest))
    }

    /// Writes an entry and returns its artifact, open for reading.
    pub(crate) fn keep(&self, key: &str, artifact: &OwnedFd, manifest: &Manifest) -> Result<OwnedFd> {
        let shown = self.folder.display();
        self.make_folder().context(|| format!("can't make the cache folder {shown}"))?;
        self.check_owner()?;
        let bytes = read_all(artifact)?;
        let hash = seal(manifest, bytes.as_slice()).context(|| "can't hash an artifact".to_owned())?;
        let record = Record { key: key.to_owned(), hash, manifest: manifest.clone() };
        let json = serde_json::to_vec_pretty(&record).map_err(|error| Error::failed(error.to_string()))?;
        let place = self.path(key, "cwasm");
        self.write(&place, &bytes).context(|| format!("can't write to the cache {shown}"))?;
        self.write(&self.path(key, "json"), &json).context(|| format!("can't write to the cache {shown}"))?;
        let file = File::open(&place).context(|| format!("can't read {}", place.display()))?;
        Ok(file.into())
    }

    fn make_folder(&self) -> io::Result<()> {
        if self.folder.is_dir() {
            return Ok(());
        }
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        // Whatever the umask is.
        fs::set_permissions(&self.folder, Permissions::from_mode(0o700))
    }

    pub(super) fn remove(&self, key: &str) {
        // The manifest first: without it the artifact is no entry. What can't be removed is refused again next time.
        let _ = fs::remove_file(self.path(key, "json"));
        let _ = fs::remove_file(self.path(key, "cwasm"));
    }

    /// Gives a file its name when it is whole. Until then it has none, so that nothing is left of a killed writer.
    fn write(&self, place: &Path, bytes: &[u8]) -> io::Result<()> {
        let nameless = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
        let Ok(file) = rustix::fs::open(&self.folder, nameless, Mode::RUSR | Mode::WUSR) else {
            return self.write_named(place, bytes);
        };
        let mut file = File::from(file);
        file.write_all(bytes)?;
        file.set_permissions(Permissions::from_mode(0o600))?;
        let open = format!("/proc/self/fd/{}", file.as_raw_fd());
        let link = || rustix::fs::linkat(CWD, &open, CWD, place, AtFlags::SYMLINK_FOLLOW);
        match link() {
            Err(Errno::EXIST) => {
                fs::remove_file(place).or_else(|error| if_not_found(error, ()))?;
                // Another writer of the same entry may have been faster; what it wrote is as good.
                link().or_else(|error| if error == Errno::EXIST { Ok(()) } else { Err(error.into()) })
            }
            Err(Errno::NOENT) => self.write_named(place, bytes),
            linked => Ok(linked?),
        }
    }

    /// For file systems that have no nameless files.
    fn write_named(&self, place: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut file = tempfile::Builder::new().prefix(".tmp").tempfile_in(&self.folder)?;
        file.write_all(bytes)?;
        file.as_file().set_permissions(Permissions::from_mode(0o600))?;
        file.persist(place).map_err(|error| error.error)?;
        Ok(())
    }

    /// Native code is taken only from a folder that nobody else can write to.
    fn check_owner(&self) -> Result<()> {
        let shown = self.folder.display();
        let metadata = fs::metadata(&self.folder).context(|| format!("can't read the cache folder {shown}"))?;
        if metadata.uid() != rustix::process::geteuid().as_raw() {
            return Err(Error::failed(format!("the cache folder {shown} belongs to another user")));
        }
        if metadata.mode() & 0o022 != 0 {
            return Err(Error::failed(format!("the cache folder {shown} can be written by others: chmod go-w it")));
        }
        Ok(())
    }

    fn path(&self, key: &str, extension: &str) -> PathBuf {
        self.folder.join(format!("{key}.{extension}"))
    }
}

/// The hash of an entry: of what is known about the artifact, and of the artifact.
pub(crate) fn seal(manifest: &Manifest, mut artifact: impl Read) -> io::Result<String> {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&serde_json::to_vec(manifest)?);
    // Not on the stack, which may be small.
    let mut piece = vec![0; 64 << 10];
    loop {
        match artifact.read(&mut piece) {
            Ok(0) => break,
            Ok(length) => drop(hasher.update(&piece[..length])),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(hasher.finalize().to_hex().to_string())
}

/// Opens a file that may be something else, which could keep whoever opens it waiting.
fn open_file(path: &Path) -> io::Result<File> {
    let file = File::from(rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK, Mode::empty())?);
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::ErrorKind::InvalidInput.into()) }
}

fn if_not_found<T>(error: io::Error, otherwise: T) -> io::Result<T> {
    if error.kind() == io::ErrorKind::NotFound { Ok(otherwise) } else { Err(error) }
}

/// Everything that native code depends on, in one name.
pub(super) fn key(source: &[u8]) -> String {
    let mut hasher = blake3::Hasher::new();
    let parts = [
        env!("CARGO_PKG_VERSION"),
        engine::WASMTIME_VERSION,
        engine::CONFIGURATION,
        std::env::consts::ARCH,
        &engine::cpu_features(),
    ];
    for part in parts {
        hasher.update(part.as_bytes());
        hasher.update(&[0]);
    }
    hasher.update(source);
    hasher.finalize().to_hex()[..40].to_owned()
}
