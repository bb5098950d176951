use std::{
    ffi::{CStr, CString},
    fmt,
    str::FromStr,
};

use crate::{Error, Result};

/// The name of a POSIX shared memory object, message queue or semaphore: a slash and 1 to 255 bytes without another one.
///
/// Linux keeps these objects as files of a flat directory, so a name is one file name. It is checked here, before any
/// system call: the C functions answer a bad name with `EINVAL`, `ENOENT`, `EACCES` or `ENAMETOOLONG`, each their own way.
/// The leading slash may be left out. Source: `shm_overview(7)`, `mq_overview(7)`, `sem_overview(7)`.
///
/// # Examples
///
/// ```
/// use mp_os::ObjectName;
///
/// let name: ObjectName = "/jobs".parse()?;
/// assert_eq!(name, "jobs".parse()?);
/// assert_eq!(name.to_string(), "/jobs");
/// assert!("/a/b".parse::<ObjectName>().is_err());
/// # Ok::<(), mp_os::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectName(
    /// With the leading slash, valid UTF-8.
    CString,
);

impl ObjectName {
    /// The longest name in bytes, without the slash: `NAME_MAX`.
    pub const MAX_LEN: usize = 255;

    /// A valid name.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](std::io::ErrorKind::InvalidInput) where `name` is empty, `.` or `..`, longer than
    /// [`MAX_LEN`](Self::MAX_LEN) bytes, or holds a NUL or a slash other than a leading one.
    pub fn new(name: impl AsRef<str>) -> Result<Self> {
        let given = name.as_ref();
        let bare = given.strip_prefix('/').unwrap_or(given);
        let refuse = |reason| {
            Err(Error::invalid_input("use", format!("name `{}`", given.escape_debug()), reason))
        };
        match bare {
            "" => refuse("the name is empty".to_owned()),
            "." | ".." => refuse("the name is a directory".to_owned()),
            _ if bare.contains('/') => {
                refuse("the name has a slash that is not its first character".to_owned())
            }
            _ if bare.len() > Self::MAX_LEN => refuse(format!(
                "the name has {} bytes, of which {} are allowed",
                bare.len(),
                Self::MAX_LEN
            )),
            _ => match CString::new(format!("/{bare}")) {
                Ok(name) => Ok(Self(name)),
                Err(_) => refuse("the name has a NUL".to_owned()),
            },
        }
    }

    /// The name with its slash, for C calls.
    pub fn as_c_str(&self) -> &CStr {
        &self.0
    }

    /// The name with its slash.
    pub fn as_str(&self) -> &str {
        // Built from a `str`, so the conversion cannot fail.
        self.0.to_str().unwrap_or_default()
    }

    /// The name without its slash: the file name under `/dev/shm` or `/dev/mqueue`.
    pub fn file_name(&self) -> &str {
        self.as_str().trim_start_matches('/')
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ObjectName({:?})", self.as_str())
    }
}

impl FromStr for ObjectName {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::new(name)
    }
}

/// So that a function taking `impl AsRef<str>` takes a checked name too.
impl AsRef<str> for ObjectName {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_names_are_refused_and_named() {
        let long = "x".repeat(256);
        for bad in ["", "/", ".", "/..", "a/b", "/a/", "//", "a\0b", &long] {
            let error = ObjectName::new(bad).unwrap_err();
            assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput, "{bad:?}");
            assert!(error.to_string().starts_with("failed to use name `"), "{error}");
        }
    }

    #[test]
    fn the_longest_name_is_255_bytes() {
        let name = ObjectName::new("x".repeat(255)).unwrap();
        assert_eq!(name.file_name().len(), 255);
        assert_eq!(name.as_c_str().to_bytes().len(), 256);
    }
}
