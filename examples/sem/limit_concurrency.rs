//! Six processes, of which a named semaphore lets two at a time into the kitchen.

use std::{
    env,
    error::Error,
    process::{Child, Command},
    time::{Duration, Instant},
};

use mp_sem::posix::Semaphore;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    match &arguments[..] {
        [kitchen, inside, cook] => work(kitchen, inside, cook),
        _ => open_kitchen(),
    }
}

fn open_kitchen() -> Result<(), Box<dyn Error>> {
    let name = |what| format!("/limit-concurrency-{what}-{}", std::process::id());
    // Both are unlinked when they are dropped. The second one counts who is inside.
    let kitchen = Semaphore::create_new(name("kitchen"), 2)?;
    let inside = Semaphore::create_new(name("inside"), 0)?;
    let start = Instant::now();
    let cooks: Result<Vec<Child>, _> = (1..=6)
        .map(|cook| {
            Command::new(env::current_exe()?)
                .args([name("kitchen"), name("inside"), cook.to_string()])
                .spawn()
        })
        .collect();
    let mut all_well = true;
    for mut cook in cooks? {
        all_well &= cook.wait()?.success();
    }
    println!("6 cooks of 50 ms each, two at a time: {:.0?}", start.elapsed());
    println!("permits at the end: {}, still inside: {}", kitchen.value()?, inside.value()?);
    assert!(all_well, "no cook found more than two inside");
    Ok(())
}

fn work(kitchen: &str, inside: &str, cook: &str) -> Result<(), Box<dyn Error>> {
    let (kitchen, inside) = (Semaphore::open(kitchen)?, Semaphore::open(inside)?);
    // Given back when `_permit` is dropped, also in a panic.
    let _permit = kitchen.acquire_timeout(Duration::from_secs(10))?;
    inside.release(1)?;
    let crowd = inside.value()?;
    println!("  cook {cook} is in, {crowd} inside");
    let done = Instant::now() + Duration::from_millis(50);
    while Instant::now() < done {
        std::hint::spin_loop();
    }
    inside.acquire()?.forget();
    assert!(crowd <= 2);
    Ok(())
}
