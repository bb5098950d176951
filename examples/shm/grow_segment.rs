//! A segment without a name grows while two processes use it: the child appends lines, and the parent follows.
//! The descriptor is the child's standard input, so nothing has to be named or cleaned up.

use std::{
    env,
    error::Error,
    io,
    os::fd::AsFd,
    process::{Command, Stdio},
    sync::atomic::Ordering,
};

use mp_shm::GrowableSegment;

/// The length of what was appended is in the first word.
const START: u64 = 8;

fn main() -> Result<(), Box<dyn Error>> {
    if env::args().nth(1).is_some() { append() } else { follow() }
}

fn append() -> Result<(), Box<dyn Error>> {
    let mut segment = GrowableSegment::from_fd(io::stdin().as_fd().try_clone_to_owned()?)?;
    let mut end = START as usize;
    for number in 0..1000 {
        let line = format!("line {number} of the child\n");
        while end + line.len() > segment.len() {
            segment.grow(segment.len() * 2)?;
        }
        segment.memory().copy_in(end, line.as_bytes())?;
        end += line.len();
        // Published only when it is there.
        let length = segment.memory().atomic_u64(0).ok_or("not aligned")?;
        length.store(end as u64 - START, Ordering::Release);
    }
    Ok(())
}

fn follow() -> Result<(), Box<dyn Error>> {
    let mut segment = GrowableSegment::create("appended", 4096)?;
    println!("before: {} bytes", segment.len());
    let status = Command::new(env::current_exe()?)
        .arg("append")
        .stdin(Stdio::from(segment.try_clone_fd()?))
        .status()?;
    println!("the child ended with {status}");

    let length = segment.memory().atomic_u64(0).ok_or("not aligned")?.load(Ordering::Acquire);
    println!("after: {} bytes, of which {length} are text", segment.refresh()?);
    let mut text = Vec::new();
    segment.memory().copy_out_vec(START as usize, usize::try_from(length)?, &mut text)?;
    let text = String::from_utf8(text)?;
    println!("the last of {} lines: {}", text.lines().count(), text.lines().last().unwrap_or(""));
    Ok(())
}
