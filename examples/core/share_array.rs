//! 64 MiB of numbers go to four workers and back without being copied: what travels is a file descriptor.

use std::time::Instant;

use mp_core::{Array, Process, Result, Value};

const LEN: usize = (64 << 20) / size_of::<f64>();
const WORKERS: usize = 4;

/// Squares one of the four parts, in place, and adds up what comes out.
fn square((numbers, part, total): (Array<f64>, usize, Value<f64>)) {
    let each = numbers.len() / WORKERS;
    let mut sum = 0.0;
    let squared = numbers.update(part * each..(part + 1) * each, |number| {
        *number *= *number;
        sum += *number;
    });
    // One of four who add to the same value: the lock that belongs to it makes that whole.
    squared.and_then(|()| total.update(|total| *total += sum)).expect("memory that is there");
}

fn main() -> Result<()> {
    let numbers = Array::<f64>::new(LEN)?;
    let mut next = 0;
    numbers.update(.., |number| {
        *number = f64::from(next % 3);
        next += 1;
    })?;

    let start = Instant::now();
    Process::spawn(|numbers: Array<f64>| drop(numbers), numbers.clone())?.join()?;
    println!("64 MiB were with a worker and back in {:?}", start.elapsed());

    let total = Value::new(0.0)?;
    let workers = (0..WORKERS)
        .map(|part| Process::spawn(square, (numbers.clone(), part, total.clone())))
        .collect::<Result<Vec<_>>>()?;
    for worker in workers {
        worker.join()?;
    }
    println!(
        "{:?} are the squares of 0, 1, 2, 0, ...",
        (0..4).filter_map(|n| numbers.at(n)).collect::<Vec<_>>()
    );
    println!("their sum is {}", total.get()?);
    assert_eq!(numbers.to_vec().iter().sum::<f64>(), total.get()?);
    Ok(())
}
