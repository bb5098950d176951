//! The factorials of five numbers in parallel: a process for each, and `join` gives what it returned.

use mp_core::{Process, Result};

fn factorial(n: u32) -> u128 {
    let product = (1..=u128::from(n)).product();
    println!("process {} says: {n}! = {product}", std::process::id());
    product
}

fn main() -> Result<()> {
    let numbers = [5, 10, 15, 20, 30];
    let processes =
        numbers.iter().map(|&n| Process::spawn(factorial, n)).collect::<Result<Vec<_>>>()?;
    for (n, process) in numbers.into_iter().zip(processes) {
        println!("the parent has: {n}! = {}", process.join()?);
    }
    Ok(())
}
