//! Two processes use a table by the same name, whichever comes first: the memory tells whether it is initialized, and by
//! whom. A third one, built with another idea of the table, is refused.

use std::{
    env,
    error::Error,
    mem::offset_of,
    process::{self, Command},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use mp_shm::{Layout, posix::SharedMemory};

#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
struct Table {
    limit: u64,
    visits: u64,
}

const TABLE: Layout = Layout::new("example table", 1).of::<Table>();
const OTHER: Layout = Layout::new("example table", 2).of::<[u64; 3]>();

fn main() -> Result<(), Box<dyn Error>> {
    match env::args().nth(1) {
        Some(name) => visit(&name),
        None => host(),
    }
}

fn host() -> Result<(), Box<dyn Error>> {
    let name = format!("/example-table-{}", process::id());
    // Started first, to show that they wait.
    let visitor = || Command::new(env::current_exe()?).arg(&name).spawn();
    let visitors = [visitor()?, visitor()?];

    let shared = SharedMemory::create_new(&name, 4096)?;
    let initial = Table { limit: 100, visits: 0 };
    let table = TABLE.initialize(shared.memory(), |contents| Ok(contents.write(0, initial)?))?;
    println!("host {}: initialized {name}", process::id());

    for mut visitor in visitors {
        visitor.wait()?;
    }
    println!("host {}: {} visits", process::id(), table.read::<Table>(0)?.visits);
    if let Err(error) = OTHER.try_attach(shared.memory()) {
        println!("somebody with another layout: {error}");
    }
    Ok(())
}

fn visit(name: &str) -> Result<(), Box<dyn Error>> {
    let patience = Duration::from_secs(5);
    let shared = SharedMemory::open_timeout(name, patience)?;
    let table = TABLE.attach_timeout(shared.memory(), patience)?;
    let visits = table.atomic::<AtomicU64>(offset_of!(Table, visits)).ok_or("not aligned")?;
    let number = visits.fetch_add(1, Ordering::Relaxed) + 1;
    println!("visitor {}: number {number} of {}", process::id(), table.read::<Table>(0)?.limit);
    Ok(())
}
