//! A flight recorder: a process writes records into a mapped file, a ring of them, and aborts. What it wrote last is read
//! by who survived, because the pages belong to the file and not to the process.

use std::{env, error::Error, fs::File, process::Command};

use mp_mmap::{Mapping, ReadMapping, ReadMemory, Slice};

const RECORDS: u64 = 8;

/// One record; `number` begins at 1, so that zero means an empty place.
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
struct Record {
    number: u64,
    text: [u8; 24],
}

fn main() -> Result<(), Box<dyn Error>> {
    match env::args().nth(1) {
        Some(path) => fly(&path),
        None => investigate(),
    }
}

/// The process that crashes.
fn fly(path: &str) -> Result<(), Box<dyn Error>> {
    let file = File::options().read(true).write(true).open(path)?;
    let mapping = Mapping::map(file)?;
    let ring = Slice::<Record>::new(&mapping, 0, RECORDS as usize)?;
    for number in 1..=20 {
        let mut text = [0; 24];
        let line = format!("altitude {} m", 1000 - number * 50);
        text[..line.len()].copy_from_slice(line.as_bytes());
        ring.set((number % RECORDS) as usize, Record { number, text })?;
    }
    std::process::abort()
}

fn investigate() -> Result<(), Box<dyn Error>> {
    let file = tempfile::NamedTempFile::new()?;
    file.as_file().set_len(RECORDS * size_of::<Record>() as u64)?;
    let status = Command::new(env::current_exe()?).arg(file.path()).status()?;
    println!("the process ended with {status}; its last records:");

    let mapping = ReadMapping::map(file.as_file())?;
    let ring = Slice::<Record, ReadMemory>::new(&mapping, 0, RECORDS as usize)?;
    let mut records: Vec<_> = ring.iter().filter(|record| record.number > 0).collect();
    records.sort_by_key(|record| record.number);
    for record in records {
        let text = String::from_utf8_lossy(&record.text);
        println!("{:>3}  {}", record.number, text.trim_end_matches('\0'));
    }
    Ok(())
}
