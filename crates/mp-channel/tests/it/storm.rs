//! The kill storm: producers and consumers are killed and replaced, in any order, and every record is accounted for.
//!
//! A record says who made it and as which one, and is checked byte by byte. A producer stores how many of its pushes have
//! returned; a consumer writes what it has taken into a journal. Both lie in shared memory that outlives them. `cargo xtask
//! storm --kills 1000000` runs this for longer: it sets `MP_STORM_KILLS` and `MP_STORM_SEED`.

use std::{
    collections::VecDeque,
    env, hint,
    os::unix::process::ExitStatusExt,
    process::ExitStatus,
    sync::atomic::{
        AtomicU64,
        Ordering::{Acquire, Release},
    },
    thread,
    time::{Duration, Instant},
};

use mp_channel::{PopError, Ring, Segment};
use mp_testkit::{Child, Random, fork_child, isolated_for};
use nix::libc;

use crate::accounting::{check, len, record};

const PRODUCERS: usize = 3;
const CONSUMERS: usize = 3;
/// Kills with one ring, after which everything is counted and begins anew.
const ROUND: u64 = 250;
/// How many may be on their way out at a time: death takes its time, more so where there are few cores.
const DYING: usize = 8;
/// Nothing that has to happen takes so long, on whatever machine.
const STUCK: Duration = Duration::from_secs(30);

/// What a consumer has taken, as far as it could say so: the consumer appends, the test reads. When it is dead another one
/// goes on with the same journal.
struct Journal(Segment);

impl Journal {
    const LEN: u64 = 1 << 12;

    fn new() -> Self {
        Self(Segment::create("journal", (Self::LEN as usize + 3) * 8).unwrap())
    }

    fn word(&self, index: u64) -> &AtomicU64 {
        self.0.mapping().atomic_u64(index as usize * 8).unwrap()
    }

    fn entry(&self, number: u64) -> &AtomicU64 {
        self.word(3 + number % Self::LEN)
    }

    /// Another consumer has it from here on.
    fn begin(self) -> Self {
        self.word(2).store(self.word(0).load(Acquire), Release);
        self
    }

    /// Whether its consumer has not taken anything.
    fn is_idle(&self) -> bool {
        self.word(2).load(Acquire) == self.word(0).load(Acquire)
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
    /// Those that were killed and may not be dead yet, in the order of the kills.
    dying: VecDeque<(Child, Option<Journal>)>,
    /// Journals of the dead, all of which has been read.
    spare: Vec<Journal>,
    started: usize,
    /// How often each record of each producer was taken.
    taken: Vec<Vec<u8>>,
    kills: [u64; 2],
    /// How many were killed before they had passed a record on.
    idle: u64,
}

/// What came of a storm.
#[derive(Debug, Default)]
struct Totals {
    records: u64,
    lost: u64,
    doubled: u64,
    idle: u64,
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
            dying: VecDeque::new(),
            spare: Vec::new(),
            started: 0,
            taken: vec![Vec::new(); most],
            kills: [0; 2],
            idle: 0,
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
        let journal = self.spare.pop().unwrap_or_else(Journal::new).begin();
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

    /// Reads the journals, and those of the dead for the last time; how many entries there were.
    fn collect(&mut self) -> u64 {
        let Self { consumers, taken, .. } = self;
        let count = consumers.iter().map(|(_, journal)| note(journal, taken)).sum();
        self.bury(DYING);
        count
    }

    /// Reaps those that are dead, and waits for the first ones where more than `rest` are not.
    fn bury(&mut self, rest: usize) {
        for _ in 0..self.dying.len() {
            let must_wait = self.dying.len() > rest;
            let Some((child, journal)) = self.dying.pop_front() else { return };
            match child.wait_timeout(if must_wait { STUCK } else { Duration::ZERO }) {
                Ok(status) => self.note_death(status, journal),
                Err(child) => {
                    assert!(!must_wait, "killed, and not dead: {:?}", self.ring);
                    self.dying.push_back((child, journal));
                }
            }
        }
    }

    fn note_death(&mut self, status: ExitStatus, journal: Option<Journal>) {
        assert_eq!(status.signal(), Some(libc::SIGKILL), "it ended by itself: {status}");
        if let Some(journal) = journal {
            note(&journal, &mut self.taken);
            self.idle += u64::from(journal.is_idle());
            self.spare.push(journal);
        }
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

    /// Kills one, and starts another one in its place.
    fn kill(&mut self, random: &mut Random) {
        if random.below(2) == 0 {
            let index = random.below(PRODUCERS as u64) as usize;
            let child = self.producers.swap_remove(index);
            self.condemn(child, None);
            self.kills[0] += 1;
            self.start_producer();
        } else {
            let index = random.below(CONSUMERS as u64) as usize;
            let (child, journal) = self.consumers.swap_remove(index);
            self.condemn(child, Some(journal));
            self.kills[1] += 1;
            self.start_consumer();
        }
    }

    fn condemn(&mut self, child: Child, journal: Option<Journal>) {
        child.signal(libc::SIGKILL);
        self.dying.push_back((child, journal));
    }

    /// Kills the producers, lets the consumers finish, and accounts for everything.
    fn finish(mut self, totals: &mut Totals) {
        while let Some(producer) = self.producers.pop() {
            self.condemn(producer, None);
        }
        self.bury(0);
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
            let acked = self.acked(producer).load(Acquire);
            let taken = &mut self.taken[producer];
            let all = acked.max(taken.len() as u64);
            assert!(all <= acked + 1, "producer {producer}: a record that it never pushed");
            taken.resize(all as usize, 0);
            totals.records += all;
            self.idle += u64::from(acked == 0);
            lost += taken.iter().filter(|&&times| times == 0).count() as u64;
            doubled += taken.iter().map(|&times| u64::from(times.saturating_sub(1))).sum::<u64>();
        }
        let consumers = self.kills[1];
        // A consumer that is killed takes along the one record that it had in its hands, or has it delivered again.
        let (most_lost, most_doubled) = if self.leases { (0, consumers) } else { (consumers, 0) };
        assert!(lost <= most_lost, "{lost} lost with {consumers} consumers killed");
        assert!(doubled <= most_doubled, "{doubled} doubled with {consumers} consumers killed");
        totals.idle += self.idle;
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

fn note(journal: &Journal, taken: &mut [Vec<u8>]) -> u64 {
    let mut count = 0;
    while let Some(entry) = journal.take() {
        let (producer, number) = ((entry >> 40) as usize, (entry & ((1 << 40) - 1)) as usize);
        let taken = &mut taken[producer];
        taken.resize(taken.len().max(number + 1), 0);
        taken[number] = taken[number].saturating_add(1);
        count += 1;
    }
    count
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
        let mut random = Random::new(seed);
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
            "storm with seed {seed}: {} producers and {} consumers killed ({} before they had passed a record on), {} records, \
             {} lost in the hands of a consumer, {} delivered again, none torn, none lost otherwise, nobody stuck",
            by[0], by[1], totals.idle, totals.records, totals.lost, totals.doubled
        );
    });
}
