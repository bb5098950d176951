//! What `ps` shows as a process's command line.

mod sys;

use std::{ffi::OsStr, fs, io, os::unix::ffi::OsStrExt};

use mp_os::{Error, Result};

/// Shows `title` as the command line of this process. What the program itself sees of its arguments stays as it was:
/// nothing is written over, the kernel is told to look elsewhere.
///
/// To be called while this process has one thread.
pub(crate) fn show(title: &OsStr) -> Result<()> {
    let failed = |error: io::Error| {
        Error::new("show", format!("title `{}`", title.display()), error)
            .with_hint("it needs a kernel with CONFIG_CHECKPOINT_RESTORE; a name needs nothing")
    };
    let stat = fs::read_to_string("/proc/self/stat").map_err(failed)?;
    let layout =
        sys::Layout::parse(&stat).ok_or_else(|| failed(io::ErrorKind::InvalidData.into()))?;
    // As long as the process lives.
    let mut text = title.as_bytes().to_vec();
    text.push(0);
    layout.set_arguments(text.leak()).map_err(failed)
}
