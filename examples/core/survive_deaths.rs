//! A pool whose workers die in every way there is: each death costs one task, and its error names the cause.

#![allow(clippy::exit, reason = "to see what comes of it")]

use std::{hint::black_box, process};

use mp_core::{Pool, Result};

fn dangerous(n: u32) -> u32 {
    match n {
        2 => panic!("I do not like {n}"),
        4 => process::abort(),
        6 => process::exit(3),
        8 => overflow(0),
        _ => n * n,
    }
}

#[expect(unconditional_recursion, reason = "the stack is to overflow")]
fn overflow(depth: u32) -> u32 {
    overflow(depth + 1) + black_box([depth; 1024])[7]
}

fn main() -> Result<()> {
    let pool = Pool::new(2)?;
    for (n, outcome) in pool.imap(dangerous, 0..10)?.enumerate() {
        match outcome {
            Ok(square) => println!("{n}: {square}"),
            Err(error) => println!("{n}: {error}"),
        }
    }
    let careful = Pool::builder().workers(2).retries(1).build()?;
    match careful.map(dangerous, [1, 4]) {
        Ok(squares) => println!("with one retry: {squares:?}"),
        Err(error) => println!("with one retry: {error}"),
    }
    careful.join()
}
