//! The same work by each start method: what a child finds of its parent's memory, and what it costs to start.

use std::{
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::Instant,
};

use mp_core::{
    Context, Process, Result, StartMethod, available_start_methods, current_process,
    set_forkserver_preload,
};

/// Set at run time: only a copy of a process that has set it finds it so.
static TABLE: AtomicU32 = AtomicU32::new(0);

fn prepare(_: ()) {
    TABLE.store(1, Relaxed);
}

/// What a child sees.
fn look(_: ()) -> (String, u32) {
    (current_process().name().to_owned(), TABLE.load(Relaxed))
}

/// Starts a child by `method`, and one more to see what a start takes.
fn show(method: StartMethod) {
    let context = Context::new(method);
    let run = || context.spawn(look, ()).map(|child| child.join());
    match run() {
        Ok(Ok((name, table))) => {
            let start = Instant::now();
            let _ = run();
            println!("{method:?}: `{name}` sees {table}; the second took {:?}", start.elapsed());
        }
        Ok(Err(error)) => println!("{method:?}: {error}"),
        Err(error) => println!("{method:?}: {error}"),
    }
}

fn main() -> Result<()> {
    TABLE.store(2, Relaxed);
    println!("the first process has set 2, and the fork server will be prepared with 1");
    set_forkserver_preload(prepare)?;
    for &method in available_start_methods() {
        show(method);
    }
    println!("in a child that has set 3:");
    let child = Process::builder().name("Parent").spawn(
        |()| {
            TABLE.store(3, Relaxed);
            show(StartMethod::Fork);
        },
        (),
    )?;
    Ok(child.join()?)
}
