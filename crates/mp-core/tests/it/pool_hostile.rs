//! A worker that writes anything over all that it shares with the pool: journal, rings and bell. Its tasks may fail, take
//! for ever or have wrong results, and nothing else happens.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    process, thread,
    time::{Duration, Instant},
};

use mp_core::{Event, GetTimeoutError, Pool, Queue, Signal, Task, TaskError};
use mp_testkit::{Random, Watched, isolated, wait_for_kill};

use crate::{LONG, warm_up};

/// How long the pool goes on beside it.
const LONG_ENOUGH: Duration = Duration::from_millis(400);
const SOON: Duration = Duration::from_millis(2);

/// The shared memory of this process whose name begins like this: where it begins, and its length.
fn shared(name: &str) -> Vec<(u64, u64)> {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let name = format!("/memfd:{name}");
    let named = maps.lines().filter(|line| line.contains("rw-s") && line.contains(&name));
    let place = |line: &str| {
        let (start, end) = line.split(' ').next()?.split_once('-')?;
        let [start, end] = [start, end].map(|end| u64::from_str_radix(end, 16).unwrap());
        Some((start, end - start))
    };
    named.filter_map(place).collect()
}

/// The memory of this process, to be written to.
fn own_memory() -> File {
    File::options().write(true).open("/proc/self/mem").unwrap()
}

/// A word that does harm: also where it is two numbers, or has a flag.
fn harm(random: &mut Random) -> u64 {
    match random.below(6) {
        0 => random.below(8) << 32 | random.below(300),
        1 => 1 << (62 + random.below(2)) | random.below(4) << 32 | random.below(4),
        2 => u64::from(process::id()) << (32 * random.below(2)),
        _ => random.harm(),
    }
}

/// A worker's task: from now on its process writes over what it shares with the pool.
fn scribble(seed: u64) {
    let (memory, places) = (own_memory(), [shared("mp-pool"), shared("mp-ring")].concat());
    assert!(places.len() >= 4, "a journal, a bell and two rings: {places:?}");
    thread::spawn(move || {
        let mut random = Random::new(seed);
        loop {
            let (start, len) = places[random.below(places.len() as u64) as usize];
            // Most of what is read as more than bytes is in front.
            let len = if random.below(3) == 0 { len } else { len.min(1024) };
            let word = harm(&mut random).to_ne_bytes();
            if memory.write_all_at(&word, start + random.below(len / 8) * 8).is_err() {
                // The worker has ended, and with it the mappings.
                return;
            }
            (0..random.below(20)).for_each(|_| random.dawdle());
        }
    });
}

/// The memory of this process that is in use, in bytes.
fn resident() -> u64 {
    let statm = fs::read_to_string("/proc/self/statm").unwrap();
    4096 * statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap()
}

/// All that one does with a pool, and never waits for long.
fn use_it(pool: &Pool, tasks: &mut Vec<Task<u32>>, random: &mut Random) {
    let job = pool.job();
    let submitted = match random.below(9) {
        0 => job.timeout(SOON).submit(|n: u32| n, 1).map(|task| tasks.push(task)),
        1 => {
            let len: fn(Vec<u8>) -> u32 = |bytes| bytes.len() as u32;
            job.submit(len, vec![1; 300_000]).map(|task| tasks.push(task))
        }
        2 => pool
            .imap(|n: u32| n, 0..300)
            .map(|mut outcomes| while let Ok(Some(_)) = outcomes.next_timeout(SOON) {}),
        3 => pool.imap_unordered(|n: u32| vec![n; 9], 0..90).map(|mut outcomes| {
            // Dropped early.
            drop(outcomes.next_timeout(SOON));
        }),
        4 => {
            tasks.pop().into_iter().for_each(|task| {
                task.cancel();
                drop(task.get_timeout(SOON));
            });
            Ok(())
        }
        5 => {
            drop((pool.stats(), pool.cancel_queued()));
            Ok(())
        }
        // The last one is dead soon.
        6 if random.below(8) == 0 => pool.submit(scribble, random.number()).map(drop),
        _ => job.submit(|n: u32| n, 2).map(|task| tasks.push(task)),
    };
    // The pool may have given up.
    if submitted.is_err() {
        tasks.truncate(5);
    }
    if tasks.len() > 20 {
        tasks.drain(..10).for_each(|task| drop(task.get_timeout(SOON)));
    }
}

fn has_an_outcome(task: Task<u32>) {
    let outcome = task.get_timeout(LONG);
    assert!(!matches!(outcome, Err(GetTimeoutError::TimedOut(_))), "stuck");
}

/// A pool beside one of whose workers the other one writes anything.
fn survive(seed: u64) {
    let pool = Pool::builder().workers(2).chunk_size(7).build().unwrap();
    pool.map(|n: u32| n, 0..20).unwrap();
    let workers = pool.pids().into_iter().map(|pid| Watched::new(pid).unwrap());
    let workers: Vec<_> = workers.collect();
    let _began = pool.submit(scribble, seed).unwrap().get_timeout(LONG);
    let (mut random, mut tasks) = (Random::new(seed), Vec::new());
    let (start, before) = (Instant::now(), resident());
    let mut count = 0;
    while start.elapsed() < LONG_ENOUGH {
        use_it(&pool, &mut tasks, &mut random);
        count += 1;
    }
    assert!(resident() < before + (256 << 20), "memory without end");
    println!("{count} operations while a worker wrote anything; {:?}", pool.stats());
    if seed.is_multiple_of(2) {
        // What is left is as good as new; unless it has given up meanwhile, of which it must tell.
        for worker in &workers {
            // It may have ended by itself.
            worker.signal(Signal::KILL.as_raw());
            assert!(worker.wait_dead(LONG));
        }
        tasks.drain(..).for_each(has_an_outcome);
        match pool.map(|n: u32| n, 0..100) {
            Ok(numbers) => assert!(numbers.into_iter().eq(0..100)),
            Err(error) => println!("it has given up: {error}"),
        }
        drop(pool.join_timeout(SOON));
    } else {
        match pool.join_timeout(SOON) {
            Ok(_) => {}
            Err(pool) => pool.terminate().unwrap(),
        }
    }
    // Each has an outcome now, whichever.
    tasks.into_iter().for_each(has_an_outcome);
}

#[test]
fn a_worker_that_scribbles() {
    isolated(|| {
        warm_up();
        (1..=4).for_each(survive);
    });
}

/// Writes a word into the journal of its worker, and dies.
fn lie((at, word): (u64, u64)) {
    let [(start, _)] = shared("mp-pool-journal")[..] else { panic!("no journal") };
    own_memory().write_all_at(&word.to_ne_bytes(), start + at).unwrap();
    process::abort();
}

/// What a worker leaves behind is wrong: each task has an outcome all the same, and no wrong result.
#[test]
fn a_journal_that_lies() {
    isolated(|| {
        warm_up();
        // Which batch, how many results of how many bytes.
        for at in [0, 8] {
            for word in [u64::MAX, u64::MAX << 32, 1 << 32, 9 << 32 | 8, 1 << 63 | 40, 5] {
                let pool = Pool::builder().workers(1).chunk_size(8).build().unwrap();
                let liar = pool.submit(lie, (at, word)).unwrap();
                let others: Vec<_> =
                    (0..9u32).map(|n| pool.submit(|n: u32| n, n).unwrap()).collect();
                // Where the lie is about the batch it is tried again, but not for ever.
                let outcome = liar.get_timeout(LONG);
                let is_late = matches!(outcome, Err(GetTimeoutError::TimedOut(_)));
                assert!(!is_late, "{at} {word:x}: {outcome:?}");
                for (n, task) in (0..).zip(others) {
                    let outcome = task.get_timeout(LONG);
                    assert!(
                        matches!(outcome, Ok(value) if value == n),
                        "{at} {word:x}: {outcome:?}"
                    );
                }
            }
        }
    });
}

/// Dies as a worker does that is killed between two tasks.
fn die_unseen(begun: &Queue<u32>, n: u32) -> u32 {
    if n == 5 {
        begun.put(n).unwrap();
        // Which task runs.
        lie((16, 0));
    }
    n
}

/// It fails all the same, after as many deaths as a task that is only unlucky may see, and costs nobody else anything.
#[test]
fn a_task_that_takes_back_that_it_runs() {
    isolated(|| {
        warm_up();
        for retries in [0, 1] {
            let pool = Pool::builder().workers(2).chunk_size(4).retries(retries).build().unwrap();
            let begun = Queue::bounded(64).unwrap();
            let outcomes = pool.job().imap_with(&begun, die_unseen, 0..20).unwrap();
            for (n, outcome) in (0..).zip(outcomes) {
                match outcome {
                    Ok(value) => assert_eq!(value, n),
                    Err(error) => {
                        assert!(
                            n == 5 && matches!(error, TaskError::WorkerDied(_)),
                            "{n}: {error}"
                        );
                    }
                }
            }
            assert_eq!(begun.len(), 4 + retries as usize);
            assert!(pool.map(|n: u32| n, 0..9).unwrap().into_iter().eq(0..9));
        }
    });
}

/// Says of its results in the ring that there are more than tasks: every task has an outcome.
#[test]
fn a_ring_that_lies() {
    isolated(|| {
        warm_up();
        let pool = Pool::builder().workers(1).build().unwrap();
        let pid = pool.apply(|()| process::id(), ()).unwrap();
        let told = Event::new().unwrap();
        let lie = |told: Event| -> u32 {
            let memory = own_memory();
            for (start, len) in shared("mp-ring") {
                (0..len / 8)
                    .for_each(|at| memory.write_all_at(&[0xff; 8], start + at * 8).unwrap());
            }
            told.set();
            wait_for_kill()
        };
        let stuck = pool.submit(lie, told.clone()).unwrap();
        let more: Vec<_> = (0..9u32).map(|n| pool.submit(|n: u32| n, n).unwrap()).collect();
        assert!(told.wait_timeout(LONG).is_ok());
        assert!(Watched::new(pid).unwrap().signal(Signal::KILL.as_raw()));
        assert!(matches!(stuck.get_timeout(LONG), Err(GetTimeoutError::Task(_))));
        for (n, task) in (0..).zip(more) {
            assert_eq!(task.get_timeout(LONG).unwrap(), n);
        }
        assert_eq!(pool.map(|n: u32| n, 0..3).unwrap(), [0, 1, 2]);
    });
}
