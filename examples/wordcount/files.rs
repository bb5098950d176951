//! Which files to count, and the work cut into batches.

use std::{
    env, fs, io,
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

/// What is counted where no file is named.
const EXTENSIONS: [&str; 3] = ["rs", "md", "toml"];

/// A path on its way to a worker: bytes, since a path need not be UTF-8.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct File {
    path: Vec<u8>,
    pub(crate) len: u64,
}

impl File {
    pub(crate) fn path(&self) -> &Path {
        Path::new(std::ffi::OsStr::from_bytes(&self.path))
    }
}

/// The files that one task counts.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Batch {
    pub(crate) index: usize,
    pub(crate) files: Vec<File>,
}

/// A file or folder that cannot be counted, and why.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Skipped {
    path: Vec<u8>,
    reason: String,
}

impl Skipped {
    pub(crate) fn new(path: &Path, reason: impl ToString) -> Self {
        Self { path: path.as_os_str().as_bytes().to_vec(), reason: reason.to_string() }
    }
}

impl std::fmt::Display for Skipped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let path = PathBuf::from(std::ffi::OsString::from_vec(self.path.clone()));
        write!(f, "{}: {}", path.display(), self.reason)
    }
}

/// The files that were found, and what could not be looked into.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) files: Vec<File>,
    pub(crate) skipped: Vec<Skipped>,
}

impl Found {
    /// All files that `paths` name or contain; the sources of the crates that cargo has downloaded, where there are none.
    pub(crate) fn below(paths: &[PathBuf]) -> io::Result<Self> {
        let mut found = Self::default();
        if paths.is_empty() {
            let sources = downloaded_sources()?;
            found.walk(&sources, &|path| {
                path.extension().is_some_and(|e| EXTENSIONS.iter().any(|&known| known == e))
            });
        }
        for path in paths {
            found.walk(path, &|_| true);
        }
        found.files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(found)
    }

    /// Symbolic links are followed where they are named, and not below: a folder may link to itself.
    fn walk(&mut self, path: &Path, wanted: &dyn Fn(&Path) -> bool) {
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => self.walk_folder(path, wanted),
            Ok(metadata) if metadata.is_file() && wanted(path) => {
                let bytes = path.as_os_str().as_bytes().to_vec();
                self.files.push(File { path: bytes, len: metadata.len() });
            }
            Ok(metadata) if metadata.is_file() => {}
            Ok(_) => self.skipped.push(Skipped::new(path, "neither a file nor a folder")),
            Err(error) => self.skipped.push(Skipped::new(path, error)),
        }
    }

    fn walk_folder(&mut self, folder: &Path, wanted: &dyn Fn(&Path) -> bool) {
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) => return self.skipped.push(Skipped::new(folder, error)),
        };
        for entry in entries {
            match entry.and_then(|entry| Ok((entry.path(), entry.file_type()?))) {
                Ok((_, kind)) if kind.is_symlink() => {}
                Ok((path, _)) => self.walk(&path, wanted),
                Err(error) => self.skipped.push(Skipped::new(folder, error)),
            }
        }
    }

    /// The files in batches of about `len` bytes.
    pub(crate) fn batches(&self, len: u64) -> Vec<Batch> {
        let mut batches: Vec<Batch> = Vec::new();
        let mut room = 0;
        for file in &self.files {
            match batches.last_mut() {
                Some(batch) if file.len <= room => batch.files.push(file.clone()),
                _ => {
                    batches.push(Batch { index: batches.len(), files: vec![file.clone()] });
                    room = len;
                }
            }
            room = room.saturating_sub(file.len);
        }
        batches
    }
}

/// Where cargo unpacks the crates it downloads.
fn downloaded_sources() -> io::Result<PathBuf> {
    let home = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| env::home_dir().map(|home| home.join(".cargo")))
        .ok_or_else(|| {
            io::Error::other("no home folder is known: name files or folders to count")
        })?;
    Ok(home.join("registry/src"))
}
