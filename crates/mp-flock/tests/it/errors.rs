use std::{fs::File, io::ErrorKind, os::unix::fs::OpenOptionsExt};

use mp_flock::{Flock, Ofd, Posix};
use tempfile::NamedTempFile;

#[test]
fn the_access_mode_that_a_lock_takes_is_told() {
    let file = NamedTempFile::new().unwrap();
    let read_only = File::open(file.path()).unwrap();
    let write_only = File::options().write(true).open(file.path()).unwrap();
    for error in [
        Ofd::exclusive().lock(&read_only).unwrap_err().error,
        Posix::exclusive().lock(&read_only).unwrap_err().error,
    ] {
        assert_eq!(error.raw_os_error(), Some(nix::libc::EBADF));
        assert_eq!(error.hint(), Some("an exclusive lock takes a file opened for writing"));
        let expected = format!("failed to lock all bytes of file `{}`: ", file.path().display());
        assert!(error.to_string().starts_with(&expected), "{error}");
    }
    for error in [
        Ofd::shared().lock(&write_only).unwrap_err().error,
        Posix::shared().lock(&write_only).unwrap_err().error,
    ] {
        assert_eq!(error.hint(), Some("a shared lock takes a file opened for reading"));
    }
    Flock::exclusive().lock(&read_only).unwrap().unlock().unwrap();
}

#[test]
fn bad_ranges_are_refused_before_any_call() {
    assert_eq!(Ofd::exclusive().range(3..3).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(Posix::shared().range(1 << 63..).unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[test]
fn what_cannot_be_locked_is_named() {
    // A descriptor that only names a file.
    let path = File::options().read(true).custom_flags(nix::libc::O_PATH).open("/").unwrap();
    let error = Flock::shared().lock(&path).unwrap_err().error;
    assert_eq!(error.raw_os_error(), Some(nix::libc::EBADF));
    assert!(error.to_string().contains("file `/`"), "{error}");
}
