//! `Pool::map` over a hundred items: the results are in the order of the items, whoever computed them.

use std::collections::BTreeMap;

use mp_core::{Pool, Result};

fn square(n: u64) -> (u64, u32) {
    (n * n, std::process::id())
}

fn main() -> Result<()> {
    let pool = Pool::new(4)?;
    let results = pool.map(square, 1..=100)?;
    let squares: Vec<_> = results.iter().map(|&(square, _)| square).collect();
    println!("{squares:?}");
    println!("their sum is {}", squares.iter().sum::<u64>());

    let mut shares = BTreeMap::new();
    for (_, pid) in results {
        *shares.entry(pid).or_insert(0) += 1;
    }
    for (pid, share) in shares {
        println!("worker {pid} computed {share} of them");
    }
    pool.join()
}
