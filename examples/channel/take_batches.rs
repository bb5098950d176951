//! Many small records go in a hundred at a time, and come out in batches of whatever is there.

use std::{error::Error, thread};

use mp_channel::{Batch, PopError, PushError, PushManyError, Ring};

fn main() -> Result<(), Box<dyn Error>> {
    let ring = Ring::builder().items(10_000).create()?;
    let producer = ring.clone();
    let writer = thread::spawn(move || {
        for hundred in 0..200_u32 {
            let records: Vec<_> =
                (0..100).map(|number| (hundred * 100 + number).to_le_bytes()).collect();
            // One lock for as many as there is room for.
            producer.push_many(records.iter().map(|record| &record[..]))?;
        }
        producer.close();
        Ok::<_, PushManyError<PushError>>(())
    });

    let (mut records, mut batches, mut sum) = (0, 0, 0_u64);
    let mut batch = Batch::new(); // Its memory is used again and again.
    loop {
        match ring.pop_many(1000, &mut batch) {
            Ok(count) => {
                records += count;
                batches += 1;
                for record in &batch {
                    sum += u64::from(u32::from_le_bytes(record.try_into()?));
                }
            }
            Err(PopError::Closed) => break,
            Err(error) => return Err(error.into()),
        }
    }
    writer.join().map_err(|_| "the writer panicked")??;
    println!("{records} records in {batches} batches, of sum {sum}");
    Ok(())
}
