//! The first program that a user writes, as a bench: it must work here like anywhere else, with nothing called before.

use criterion::Criterion;
use mp_benches::run;
use mp_core::{Pool, Process, Queue};

fn main() {
    run(&[ten_lines], &[]);
}

fn ten_lines(criterion: &mut Criterion) {
    criterion.bench_function("ten-lines", |bencher| {
        bencher.iter(|| program().expect("the ten lines work"));
    });
}

fn greet((name, out): (String, Queue<String>)) {
    out.put(format!("hello {name}")).expect("an open queue");
}

fn program() -> mp_core::Result<()> {
    let out = Queue::bounded(16)?;
    let child = Process::spawn(greet, ("A".into(), out.clone()))?;
    assert_eq!(out.get()?, "hello A");
    child.join()?;

    let squares = Pool::new(4)?.map(|n: u64| n * n, 1..=8)?;
    assert_eq!(squares, [1, 4, 9, 16, 25, 36, 49, 64]);
    Ok(())
}
