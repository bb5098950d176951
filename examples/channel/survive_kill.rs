//! Two producers write into one ring; one is killed in the middle of it, and what it had written is there, complete.

use std::{error::Error, time::Duration};

use mp_channel::Ring;

/// Pushes numbered records, the second producer for ever.
fn produce((name, ring, count): (String, Ring, u64)) {
    for number in 0..count {
        let record = [name.as_bytes(), b" ", number.to_string().as_bytes()].concat();
        if ring.push(&record).is_err() {
            return;
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let ring = Ring::builder().items(64).create()?;
    let honest = mp_process::spawn(produce, ("honest".to_owned(), ring.clone(), 1000))?;
    let doomed = mp_process::spawn(produce, ("doomed".to_owned(), ring.clone(), u64::MAX))?;

    let (mut seen, mut record) = ([0_u64; 2], Vec::new());
    let mut is_killed = false;
    // Nobody tells a ring that all producers are gone: a second of quiet does.
    while ring.pop_timeout(&mut record, Duration::from_secs(1)).is_ok() {
        let text = std::str::from_utf8(&record)?;
        let (name, number) = text.split_once(' ').ok_or("a torn record")?;
        let count = &mut seen[usize::from(name == "doomed")];
        assert_eq!(number.parse::<u64>()?, *count, "complete and in order");
        *count += 1;
        if seen[1] == 500 && !is_killed {
            doomed.kill()?;
            is_killed = true;
        }
    }
    println!("{} of the one, {} of the other before and after its end", seen[0], seen[1]);
    println!("the other was {}", doomed.join().err().ok_or("it was not killed")?);
    honest.join()?;
    Ok(())
}
