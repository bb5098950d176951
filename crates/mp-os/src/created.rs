use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{self, Path, PathBuf},
};

use nix::libc;

use crate::Owner;

/// A file that this process has created under a name others know: a FIFO, a socket. It is unlinked on drop.
///
/// Only in the process that created it, not in a forked child, and only if the name still means that file, not one that
/// replaced it.
///
/// # Examples
///
/// ```
/// use mp_os::CreatedFile;
///
/// let path = std::env::temp_dir().join(format!("mp-os-doc-{}", std::process::id()));
/// std::fs::write(&path, "")?;
/// let file = CreatedFile::new(&path)?;
/// drop(file);
/// assert!(!path.exists());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct CreatedFile {
    path: PathBuf,
    /// Opened with `O_PATH`: as long as it is, no other file gets its inode number.
    file: File,
    owner: Owner,
}

impl CreatedFile {
    /// The file that was just created at `path`, which may be relative to the current directory of this moment.
    ///
    /// # Errors
    ///
    /// Where it is not there any more, or at the limit of descriptors.
    pub fn new(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path::absolute(path)?;
        let flags = libc::O_PATH | libc::O_NOFOLLOW;
        let file = OpenOptions::new().read(true).custom_flags(flags).open(&path)?;
        Ok(Self { path, file, owner: Owner::this_process() })
    }

    /// Leaves the file there.
    pub fn persist(self) {
        self.owner.renounce();
    }

    /// Whether the name still means this file.
    fn is_there(&self) -> io::Result<bool> {
        let (ours, there) = (self.file.metadata()?, fs::symlink_metadata(&self.path)?);
        Ok((ours.dev(), ours.ino()) == (there.dev(), there.ino()))
    }
}

impl Drop for CreatedFile {
    fn drop(&mut self) {
        if self.owner.is_this_process() && self.is_there().unwrap_or(false) {
            // Somebody was faster, or took the directory away: nothing is left to do.
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_replaced_the_file_stays() {
        let path = std::env::temp_dir().join(format!("mp-os-created-{}", std::process::id()));
        fs::write(&path, "first").unwrap();
        let file = CreatedFile::new(&path).unwrap();
        fs::remove_file(&path).unwrap();
        fs::write(&path, "second").unwrap();
        drop(file);
        assert_eq!(fs::read_to_string(&path).unwrap(), "second");
        CreatedFile::new(&path).unwrap().persist();
        assert!(path.exists());
        drop(CreatedFile::new(&path).unwrap());
        assert!(!path.exists());
    }
}
