use std::{
    ffi::OsString,
    fs, io,
    os::unix::ffi::OsStringExt,
    path::{Path, PathBuf},
};

use mp_os::{Error, ObjectName, Result};

/// The names of all queues, sorted, as the mounted `mqueue` file system of this mount namespace shows them.
///
/// It shows the queues of the IPC namespace in which it was mounted.
///
/// # Errors
///
/// [`NotFound`](io::ErrorKind::NotFound) where no such file system is mounted, with a hint how to mount one;
/// [`PermissionDenied`](io::ErrorKind::PermissionDenied).
///
/// # Examples
///
/// ```
/// use mp_mqueue::posix::{self, MessageQueue};
///
/// let name = format!("/mp-doc-list-{}", std::process::id());
/// let queue = MessageQueue::create_new(&name)?;
/// match posix::list() {
///     Ok(names) => assert!(names.contains(queue.name().expect("opened by name"))),
///     Err(error) => println!("{error}"),
/// }
/// # Ok::<(), mp_mqueue::Error>(())
/// ```
pub fn list() -> Result<Vec<ObjectName>> {
    let fail = |error| Error::new("list", "message queues", error);
    let mounts = fs::read("/proc/self/mountinfo").map_err(fail)?;
    let Some(directory) = mounts.split(|&byte| byte == b'\n').find_map(mount_point) else {
        let reason = io::Error::new(io::ErrorKind::NotFound, "no mqueue file system is mounted");
        return Err(fail(reason)
            .with_hint("`mkdir -p /dev/mqueue && mount -t mqueue none /dev/mqueue` as root"));
    };
    names_in(&directory).map_err(fail)
}

fn names_in(directory: &Path) -> io::Result<Vec<ObjectName>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        // A name that is not UTF-8 is none that this crate could open.
        names.extend(entry?.file_name().to_str().and_then(|name| ObjectName::new(name).ok()));
    }
    names.sort();
    Ok(names)
}

/// The mount point in a line of `proc_pid_mountinfo(5)`, if a queue file system is mounted there.
fn mount_point(line: &[u8]) -> Option<PathBuf> {
    let mut fields = line.split(|&byte| byte == b' ');
    let path = fields.nth(4)?;
    let file_system = fields.skip_while(|field| *field != b"-").nth(1)?;
    (file_system == b"mqueue").then(|| OsString::from_vec(unescape(path)).into())
}

/// Undoes the octal escapes that the kernel writes for blanks and backslashes.
fn unescape(mut text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    while let [first, rest @ ..] = text {
        match (first, rest) {
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', rest @ ..]) => {
                bytes.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                text = rest;
            }
            _ => {
                bytes.push(*first);
                text = rest;
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_point_is_found_in_its_line() {
        let line = br"36 25 0:32 / /dev/my\040queues rw,nosuid shared:9 - mqueue mqueue rw";
        assert_eq!(mount_point(line).unwrap(), Path::new("/dev/my queues"));
        let other = b"36 25 0:32 / /dev/mqueue rw,nosuid - tmpfs mqueue rw";
        assert!(mount_point(other).is_none() && mount_point(b"").is_none());
    }
}
