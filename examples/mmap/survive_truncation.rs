//! A file is mapped and then truncated by somebody else. An ordinary access would be met with SIGBUS, which kills the
//! process; a guarded copy says what happened.

use std::{error::Error, fs, io::Write};

use mp_mmap::{GuardedError, Mapping};

fn main() -> Result<(), Box<dyn Error>> {
    let mut file = tempfile::NamedTempFile::new()?;
    file.write_all(&[b'x'; 100_000])?;
    let mapping = Mapping::map(file.as_file())?;

    let mut bytes = vec![0; 100_000];
    mapping.copy_out_guarded(0, &mut bytes)?;
    println!("the whole file: {} bytes", bytes.len());

    fs::File::options().write(true).open(file.path())?.set_len(20_480)?;
    match mapping.copy_out_guarded(0, &mut bytes) {
        Err(error @ GuardedError::Truncated { .. }) => println!("reading: {error}"),
        other => println!("not what was to be shown: {other:?}"),
    }
    match mapping.copy_in_guarded(50_000, b"written beyond the end") {
        Err(error @ GuardedError::Truncated { .. }) => println!("writing: {error}"),
        other => println!("not what was to be shown: {other:?}"),
    }

    file.as_file().set_len(100_000)?;
    mapping.copy_in_guarded(50_000, b"back again")?;
    println!(
        "after it has grown again: {:?}",
        String::from_utf8_lossy(&mapping.read::<[u8; 10]>(50_000)?)
    );
    Ok(())
}
