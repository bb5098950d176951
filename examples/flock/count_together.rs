//! Ten processes add to one number in a file, each a hundred times: with a lock nothing is lost, without one a lot may be.

use std::{
    env, fs,
    io::{self, Read, Seek, Write},
    process::Command,
};

use mp_flock::Flock;

fn main() -> io::Result<()> {
    let arguments: Vec<_> = env::args().collect();
    match &arguments[1..] {
        [path, locked] => add(path, locked == "with"),
        _ => compare(),
    }
}

fn compare() -> io::Result<()> {
    for locked in ["with", "without"] {
        let file = tempfile::NamedTempFile::new()?;
        fs::write(file.path(), "0")?;
        let children: io::Result<Vec<_>> = (0..10)
            .map(|_| Command::new(env::current_exe()?).arg(file.path()).arg(locked).spawn())
            .collect();
        for mut child in children? {
            child.wait()?;
        }
        let sum = fs::read_to_string(file.path())?;
        println!("10 processes, 100 rounds each, {locked} a lock: {sum}");
    }
    Ok(())
}

fn add(path: &str, locked: bool) -> io::Result<()> {
    let mut file = fs::File::options().read(true).write(true).open(path)?;
    for _ in 0..100 {
        if locked {
            // The guard is the file; it unlocks at the end of the round.
            let mut guard = Flock::exclusive().lock(&file)?;
            increment(&mut guard)?;
        } else {
            increment(&mut &file)?;
        }
    }
    file.flush()
}

/// Reads the number and writes the next one, which takes several system calls.
fn increment(file: &mut &fs::File) -> io::Result<()> {
    let mut text = String::new();
    file.rewind()?;
    file.read_to_string(&mut text)?;
    let number: u32 = text.parse().unwrap_or(0);
    file.rewind()?;
    write!(file, "{}", number + 1)
}
