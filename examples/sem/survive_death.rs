//! A process is killed while it holds a permit. System V gives the permit back; POSIX loses it.

use std::{
    env,
    error::Error,
    io::{self, BufRead, BufReader, Read},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use mp_sem::{posix, sysv};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    match &arguments[..] {
        [kind, name] if kind == "sysv" => {
            let set = sysv::SemaphoreSet::from_id(name.parse()?)?;
            let _permit = set.acquire(0)?;
            hold()
        }
        [_, name] => {
            let semaphore = posix::Semaphore::open(name)?;
            let _permit = semaphore.acquire()?;
            hold()
        }
        _ => compare(),
    }
}

/// Says that it holds the permit, and waits for its end.
fn hold() -> Result<(), Box<dyn Error>> {
    println!("taken");
    io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

fn compare() -> Result<(), Box<dyn Error>> {
    // Both are removed when they are dropped.
    let set = sysv::SemaphoreSet::create_new(sysv::Key::PRIVATE, &[1])?;
    let mut holder = start_holder("sysv", &set.id().to_string())?;
    println!("System V: another process holds the permit, {} left", set.value(0)?);
    let start = Instant::now();
    holder.kill()?;
    let permit = set.acquire_timeout(0, Duration::from_secs(10))?;
    println!("System V: it was killed; {:.1?} later the permit was ours", start.elapsed());
    holder.wait()?;
    drop(permit);

    let name = format!("/survive-death-{}", std::process::id());
    let semaphore = posix::Semaphore::create_new(&name, 1)?;
    let mut holder = start_holder("posix", &name)?;
    println!("POSIX: another process holds the permit, {} left", semaphore.value()?);
    holder.kill()?;
    holder.wait()?;
    let outcome = semaphore.acquire_timeout(Duration::from_millis(200)).map(drop);
    println!("POSIX: it was killed; 200 ms later: {outcome:?}, the permit is lost");
    Ok(())
}

fn start_holder(kind: &str, name: &str) -> io::Result<Child> {
    let mut command = Command::new(env::current_exe()?);
    let pipes = command.args([kind, name]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = pipes.spawn()?;
    let mut line = String::new();
    BufReader::new(child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?).read_line(&mut line)?;
    Ok(child)
}
