//! Who locks this file? Byte ranges of three kinds, and a program that waits in vain until it is told whom to blame.

use std::{io, time::Duration};

use mp_flock::{Failed, Flock, Ofd, Posix, TimeoutError, holders};

fn main() -> io::Result<()> {
    let file = tempfile::NamedTempFile::new()?;
    let (mine, theirs) = (file.reopen()?, file.reopen()?);

    let _whole = Flock::shared().lock(&mine)?;
    let head = Ofd::exclusive().range(0..512)?.lock(&mine)?;
    let _record = Posix::exclusive().range(512..1024)?.lock(&mine)?;
    println!("I am process {}. On the file are:", std::process::id());
    for holder in holders(&file)? {
        let (kind, mode, range) = (holder.kind(), holder.mode(), holder.range());
        println!("  {kind} {mode:?}, {range}, process {:?}", holder.pid());
    }

    // Another open of the file is another owner, even in one process.
    let wanted = Ofd::shared().range(100..200)?;
    match wanted.lock_timeout(&theirs, Duration::from_millis(50)) {
        Err(Failed { error: TimeoutError::TimedOut, .. }) => {
            let in_the_way = wanted.holder(&theirs)?;
            println!("bytes 100 to 199 are not free after 50 ms: {in_the_way:?}");
        }
        Err(failed) => return Err(failed.into()),
        Ok(_) => println!("bytes 100 to 199 are mine"),
    }

    head.unlock()?;
    let mut lock = wanted.try_lock(&theirs)?;
    println!("unlocked, and taken: {:?} of {}", lock.mode(), lock.range());
    lock = lock.upgrade()?;
    println!("upgraded: {:?}", lock.mode());
    Ok(())
}
