//! One System V message queue as a post office: every message has the number of a box, and who owns the box takes only that.

use std::{
    env,
    error::Error,
    process::{Child, Command},
};

use mp_mqueue::sysv::{Key, MessageQueue, Select, WaitError};

const BOXES: [i64; 3] = [1, 2, 3];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    match &arguments[..] {
        [id, number] => collect(id.parse()?, number.parse()?),
        _ => deliver(),
    }
}

fn deliver() -> Result<(), Box<dyn Error>> {
    // Removed when `office` is dropped; the owners of the boxes find it by its identifier.
    let office = MessageQueue::create_new(Key::PRIVATE)?;
    let owners: Result<Vec<Child>, _> = BOXES
        .iter()
        .map(|number| {
            let arguments = [office.id().to_string(), number.to_string()];
            Command::new(env::current_exe()?).args(arguments).spawn()
        })
        .collect();
    for (number, text) in [(3, "a parcel"), (1, "a bill"), (3, "a postcard"), (2, "a love letter")]
    {
        office.send(text.as_bytes(), number)?;
        println!("delivered {text} for box {number}");
    }
    for number in BOXES {
        office.send(b"", number)?;
    }
    for mut owner in owners? {
        owner.wait()?;
    }
    println!("{} messages are left", office.stat()?.len);

    // Whoever waits when the queue is removed is told so.
    let late = MessageQueue::from_id(office.id())?;
    office.remove()?;
    let outcome = late.recv(&mut [0; 64], Select::FIRST).map(|message| message.kind);
    println!(
        "after the office has closed: removed is {}",
        matches!(outcome, Err(WaitError::Removed))
    );
    Ok(())
}

fn collect(id: i32, number: i64) -> Result<(), Box<dyn Error>> {
    let office = MessageQueue::from_id(id)?;
    let mut buffer = [0; 64];
    loop {
        let message = office.recv(&mut buffer, Select::kind(number))?;
        if message.bytes.is_empty() {
            return Ok(());
        }
        println!("  box {number}: {}", String::from_utf8_lossy(message.bytes));
    }
}
