//! A producer publishes a pair of numbers as fast as it can; a consumer, who may not write the memory, always reads a whole
//! pair and never waits for the producer.

use std::{
    env,
    error::Error,
    io::{self, Read, Write},
    os::fd::AsFd,
    process::{Command, Stdio},
};

use mp_shm::{ReadMemory, ReadSegment, Segment, SeqCell};

/// The ask price is always one above the bid price.
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
struct Price {
    bid: u64,
    ask: u64,
}

fn main() -> Result<(), Box<dyn Error>> {
    if env::args().nth(1).is_some() { consume() } else { produce() }
}

fn produce() -> Result<(), Box<dyn Error>> {
    let segment = Segment::create_for_readers("price", SeqCell::<Price>::SIZE)?;
    let cell = SeqCell::<Price>::new(segment.memory(), 0)?;
    let mut consumer = Command::new(env::current_exe()?)
        .arg("consume")
        .stdin(Stdio::from(segment.try_clone_fd()?))
        .stdout(Stdio::piped())
        .spawn()?;
    let mut bid = 0;
    while consumer.try_wait()?.is_none() {
        for _ in 0..10_000 {
            bid += 1;
            cell.store(Price { bid, ask: bid + 1 });
        }
    }
    println!("the producer wrote {bid} prices");
    let mut report = String::new();
    consumer.stdout.take().ok_or("no output")?.read_to_string(&mut report)?;
    print!("{report}");
    Ok(())
}

fn consume() -> Result<(), Box<dyn Error>> {
    let fd = io::stdin().as_fd().try_clone_to_owned()?;
    let writable = Segment::from_fd(fd.try_clone()?);
    let mut out = io::stdout();
    writeln!(out, "the consumer may write: {}", writable.is_ok())?;

    let segment = ReadSegment::from_fd(fd)?;
    let cell = SeqCell::<Price, ReadMemory>::new(segment.memory(), 0)?;
    while cell.load().bid == 0 {}
    let torn = (0..1_000_000).map(|_| cell.load()).filter(|price| price.ask != price.bid + 1);
    writeln!(out, "the consumer read 1000000 prices, {} of them torn", torn.count())?;
    Ok(())
}
