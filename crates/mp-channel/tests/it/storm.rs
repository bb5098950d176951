//! The kill storm: producers and consumers are killed and replaced, in any order, and every record is accounted for.
//!
//! A record says who made it and as which one, and is checked byte by byte. A producer stores how many of its pushes have
//! returned; a consumer writes what it has taken into a journal. Both lie in shared memory that outlives them. `cargo xtask
//! storm --kills 1000000` runs this for longer: it sets `MP_STORM_KILLS` and `MP_STORM_SEED`.

use std::{
    collections::BTreeMap,
    env, hint,
    os::unix::process::ExitStatusExt,
    sync::atomic::{
        AtomicU64,
        Ordering::{Acquire, Release},
    },
    thread,
    time::{Duration, Instant},
};

use mp_channel::{PopError, Ring, Segment};
use mp_testkit::{Child, fork_child, isolated_for};
use nix::libc;

use crate::{
    accounting::{check, len, record},
    random::Random,
};

const PRODUCERS: usize = 3;
const CONSUMERS: usize = 3;
/// Kills with one ring, after which everything is counted and begins anew.
const ROUND: u64 = 250;
/// Nothing that has to happen takes so long, on whatever machine.
const STUCK: Duration = Duration::from_secs(30);

/// What a consumer has taken, as far as it could say so: the consumer appends, the test reads.
struct Journal(Segment);

impl Journal {
    const LEN: u64 = 1 << 12;

    fn new() -> Self {
        Self(Segment::create("journal", (Self::LEN as usize + 2) * 8).unwrap())
    }

    fn word(&self, index: u64) -> &AtomicU64 {
        self.0.mapping().atomic_u64(index as usize * 8).unwrap()
    }

    fn entry(&self, number: u64) -> &AtomicU64 {
        self.word(2 + number % Self::LEN)
    }

    fn append(&self, entry: u64) {
        let written = self.word(0).load(Acquire);
        while written - self.word(1).load(Acquire) == Self::LEN {
            thread::yield_now();
        }
        self.entry(written).store(entry, Release);
        self.word(0).store(written + 1, Release);
    }

    fn take(&self) -> Option<u64> {
        let read = self.word(1).load(Acquire);
        (read < self.word(0).load(Acquire)).then(|| {
            let entry = self.entry(read).load(Acquire);
            self.word(1).store(read + 1, Release);
            entry
        })
    }
}

/// Everything that shares a ring, and what is known of it.
struct Round {
    ring: Ring,
    leases: bool,
    /// How many pushes of each producer have returned.
    acked: Segment,
    producers: Vec<Child>,
    consumers: Vec<(Child, Journal)>,
    started: usize,
    /// How often each record of each producer was taken.
    taken: BTreeMap<u32, BTreeMap<u64, u64>>,
    kills: [u64; 2],
}

/// What came of a storm.
#[derive(Debug, Default)]
struct Totals {
    records: u64,
    lost: u64,
    doubled: u64,
}

impl Round {
    fn new(leases: bool) -> Self {
        let builder = Ring::builder().items(30).bytes(4096);
        // So many deliveries that nothing becomes a dead letter.
        let ring = if leases { builder.leases(8, 60_000) } else { builder }.create().unwrap();
        let most = PRODUCERS + ROUND as usize;
        let acked = Segment::create("acked", most * 8).unwrap();
        let mut round = Self {
            ring,
            leases,
            acked,
            producers: Vec::new(),
            consumers: Vec::new(),
            started: 0,
            taken: BTreeMap::new(),
            kills: [0; 2],
        };
        (0..PRODUCERS).for_each(|_| round.start_producer());
        (0..CONSUMERS).for_each(|_| round.start_consumer());
        round
    }

    fn acked(&self, producer: usize) -> &AtomicU64 {
        self.acked.mapping().atomic_u64(producer * 8).unwrap()
    }

    fn start_producer(&mut self) {
        let producer = self.started;
        self.started += 1;
        let child = fork_child(|| {
            give_way();
            for number in 0.. {
                self.ring.push(&record(producer as u32, number, len(number))).unwrap();
                self.acked(producer).store(number + 1, Release);
            }
            0
        });
        self.producers.push(child);
    }

    fn start_consumer(&mut self) {
        let journal = Journal::new();
        let child = fork_child(|| {
            give_way();
            let mut bytes = Vec::new();
            loop {
                match take(&self.ring, self.leases, &mut bytes, &journal) {
                    Ok(()) => {}
                    Err(PopError::Closed) => return 0,
                    Err(error) => panic!("{error}"),
                }
            }
        });
        self.consumers.push((child, journal));
    }

    /// Reads the journals; how many entries there were.
    fn collect(&mut self) -> u64 {
        let Self { consumers, taken, .. } = self;
        consumers.iter().map(|(_, journal)| note(journal, taken)).sum()
    }

    /// Lets some records pass, then a moment of any length.
    fn go_on(&mut self, random: &mut Random) {
        let (records, start) = (random.below(30), Instant::now());
        let mut passed = 0;
        while passed < records {
            passed += self.collect();
            assert!(start.elapsed() < STUCK, "stuck: {:?}", self.ring);
            thread::yield_now();
        }
        (0..random.below(2000)).for_each(|_| hint::spin_loop());
    }

    fn kill(&mut self, random: &mut Random) {
        if random.below(2) == 0 {
            let index = random.below(PRODUCERS as u64) as usize;
            killed(self.producers.swap_remove(index));
            self.kills[0] += 1;
            self.start_producer();
        } else {
            let index = random.below(CONSUMERS as u64) as usize;
            let (child, journal) = self.consumers.swap_remove(index);
            killed(child);
            note(&journal, &mut self.taken);
            self.kills[1] += 1;
            self.start_consumer();
        }
    }

    /// Kills the producers, lets the consumers finish, and accounts for everything.
    fn finish(mut self, totals: &mut Totals) {
        self.producers.drain(..).for_each(killed);
        self.ring.close();
        while let Some((mut child, journal)) = self.consumers.pop() {
            let start = Instant::now();
            let status = loop {
                note(&journal, &mut self.taken);
                self.collect();
                match child.wait_timeout(Duration::from_millis(1)) {
                    Ok(status) => break status,
                    Err(running) => child = running,
                }
                assert!(start.elapsed() < STUCK, "stuck at the end: {:?}", self.ring);
            };
            assert!(status.success(), "closed and drained: {status}");
            note(&journal, &mut self.taken);
        }
        assert!(self.ring.is_empty());
        self.account(totals);
    }

    fn account(&mut self, totals: &mut Totals) {
        let (mut lost, mut doubled) = (0, 0);
        for producer in 0..self.started {
            let taken = self.taken.remove(&(producer as u32)).unwrap_or_default();
            let acked = self.acked(producer).load(Acquire);
            let all = taken.keys().last().map_or(acked, |last| acked.max(last + 1));
            assert!(all <= acked + 1, "producer {producer}: a record that it never pushed");
            totals.records += all;
            lost += all - taken.len() as u64;
            doubled += taken.values().map(|times| times - 1).sum::<u64>();
        }
        let consumers = self.kills[1];
        // A consumer that is killed takes along the one record that it had in its hands, or has it delivered again.
        let (most_lost, most_doubled) = if self.leases { (0, consumers) } else { (consumers, 0) };
        assert!(lost <= most_lost, "{lost} lost with {consumers} consumers killed");
        assert!(doubled <= most_doubled, "{doubled} doubled with {consumers} consumers killed");
        totals.lost += lost;
        totals.doubled += doubled;
    }
}

/// Lets the one that kills go first, which would otherwise wait for its turn among six for most of the time.
fn give_way() {
    // SAFETY: it takes and changes nothing but this process's priority.
    let priority = unsafe { libc::nice(19) };
    assert!(priority >= 0, "nobody may refuse it: {}", std::io::Error::last_os_error());
}

/// Takes a record and writes it down.
fn take(ring: &Ring, leases: bool, bytes: &mut Vec<u8>, journal: &Journal) -> Result<(), PopError> {
    let lease = if leases { Some(ring.lease(bytes)?) } else { ring.pop(bytes).map(|()| None)? };
    let (producer, number) = check(bytes);
    journal.append(u64::from(producer) << 40 | number);
    if let Some(lease) = lease {
        assert!(lease.ack().unwrap(), "nobody takes from the living");
    }
    Ok(())
}

fn note(journal: &Journal, taken: &mut BTreeMap<u32, BTreeMap<u64, u64>>) -> u64 {
    let mut count = 0;
    while let Some(entry) = journal.take() {
        let (producer, number) = ((entry >> 40) as u32, entry & ((1 << 40) - 1));
        *taken.entry(producer).or_default().entry(number).or_default() += 1;
        count += 1;
    }
    count
}

/// Kills a child, which has not ended by itself: none of them panics.
fn killed(child: Child) {
    let status = child.kill();
    assert_eq!(status.signal(), Some(libc::SIGKILL), "it ended by itself: {status}");
}

fn setting(name: &str, default: u64) -> u64 {
    env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

#[test]
fn storm() {
    let kills = setting("MP_STORM_KILLS", 1000);
    let limit = 2 * STUCK + Duration::from_millis(50).saturating_mul(u32::try_from(kills).unwrap());
    isolated_for(limit, || {
        let (kills, seed) = (setting("MP_STORM_KILLS", 1000), setting("MP_STORM_SEED", 1));
        let mut random = Random(seed.max(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let (mut done, mut by, mut totals) = (0, [0; 2], Totals::default());
        while done < kills {
            let mut round = Round::new(done / ROUND % 2 == 1);
            let count = ROUND.min(kills - done);
            let mut left = count;
            while left > 0 {
                round.go_on(&mut random);
                let together = (1 + random.below(3)).min(left);
                (0..together).for_each(|_| round.kill(&mut random));
                left -= together;
            }
            done += count;
            by.iter_mut().zip(round.kills).for_each(|(sum, kills)| *sum += kills);
            round.finish(&mut totals);
        }
        println!(
            "storm with seed {seed}: {} producers and {} consumers killed, {} records, {} lost in the hands of a consumer, \
             {} delivered again, none torn, none lost otherwise, nobody stuck",
            by[0], by[1], totals.records, totals.lost, totals.doubled
        );
    });
}
