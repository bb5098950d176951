use std::io;

use crate::Result;

/// Creates an object with a name, or opens the one that has it, whichever can be done first.
///
/// Both are repeated in turn while `create_new` finds that the object is there
/// ([`AlreadyExists`](io::ErrorKind::AlreadyExists)), and `open` that it is gone again
/// ([`NotFound`](io::ErrorKind::NotFound), or `None`).
///
/// # Errors
///
/// Any other error of the two.
pub fn create_or_open<T>(
    mut create_new: impl FnMut() -> Result<T>,
    mut open: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    loop {
        match create_new() {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            result => return result,
        }
        match open() {
            Ok(Some(found)) => return Ok(found),
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            // Its owner was faster still.
            _ => {}
        }
    }
}
