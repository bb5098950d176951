//! Jobs of three priorities wait in a POSIX message queue; a worker process does the most urgent one first.

use std::{env, error::Error, process::Command, time::Duration};

use mp_mqueue::{
    TimeoutError,
    posix::{CreateOptions, MessageQueue},
};

fn main() -> Result<(), Box<dyn Error>> {
    match env::args().nth(1) {
        Some(name) => work(&name),
        None => hand_out(),
    }
}

fn hand_out() -> Result<(), Box<dyn Error>> {
    let name = format!("/serve-by-priority-{}", std::process::id());
    // Unlinked when `jobs` is dropped.
    let jobs = CreateOptions::new().capacity(8).message_size(64).create_new(&name)?;
    for (job, priority) in [
        ("tidy the archive", 0),
        ("send the bill", 5),
        ("put out the fire", 9),
        ("order paper", 0),
        ("answer the phone", 5),
    ] {
        jobs.send(job.as_bytes(), priority)?;
        println!("queued {job:?} with priority {priority}");
    }
    println!("the queue holds {} of {} jobs", jobs.attributes()?.len, jobs.attributes()?.capacity);

    let worker = Command::new(env::current_exe()?).arg(&name).status()?;
    println!("the worker ended with {worker}, {} jobs are left", jobs.attributes()?.len);
    Ok(())
}

fn work(name: &str) -> Result<(), Box<dyn Error>> {
    let jobs = MessageQueue::open(name)?;
    let mut buffer = vec![0; jobs.attributes()?.message_size];
    loop {
        match jobs.recv_timeout(&mut buffer, Duration::from_millis(200)) {
            Ok(job) => {
                let text = String::from_utf8_lossy(job.bytes);
                println!("  worker: {text} (priority {})", job.priority);
            }
            Err(TimeoutError::TimedOut) => {
                println!("  worker: nothing for 200 ms, going home");
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        }
    }
}
