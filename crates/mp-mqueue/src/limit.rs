use std::{fs, io};

use mp_os::{Error, Result};

/// The number in a file of `/proc/sys`.
pub(crate) fn read(directory: &str, limit: &str) -> Result<u64> {
    let path = format!("{directory}/{limit}");
    let fail = |error| Error::new("read", format!("limit `{path}`"), error);
    let text = fs::read_to_string(&path).map_err(fail)?;
    text.trim().parse().map_err(|error| fail(io::Error::new(io::ErrorKind::InvalidData, error)))
}
