//! Who answers: what the names of functions stand for, and what is alike.

/// What carries the message, or does the work. In charts a kind is a colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Ours, in shared memory.
    Memory,
    /// Ours: what is no way of messages, such as locks and pools.
    Ours,
    Pipe,
    Socket,
    /// Message queues of the kernel.
    Queue,
    /// A number or less: semaphores, signals, event counters.
    Event,
    /// Another crate, or another language.
    Contender,
    /// What all others are compared with.
    Limit,
    Other,
}

/// In the order of the report.
#[rustfmt::skip]
const SUBJECTS: &[(&str, Kind, &str)] = &[
    ("Queue", Kind::Memory, "`mp_core::Queue` of byte vectors: any number of processes at each end"),
    ("Queue-ref", Kind::Memory, "`mp_core::Queue` of byte vectors that their owners keep: `put_ref`, `get_into`"),
    ("Queue-u64", Kind::Memory, "`mp_core::Queue` of integers"),
    ("ring", Kind::Memory, "`mp_channel::Ring`, the bytes below a `Queue`"),
    ("ring-batch", Kind::Memory, "`mp_channel::Ring`, many records under one lock"),
    ("shm-spin", Kind::Memory, "a place in `mp_shm` memory that the receiver looks at all the time"),
    ("shm-futex", Kind::Memory, "a place in `mp_shm` memory, and a futex to sleep at"),
    ("mapped-file", Kind::Memory, "a place in an `mp_mmap` file that the receiver looks at all the time"),
    ("pipe", Kind::Pipe, "`mp_pipe`, unnamed"),
    ("fifo", Kind::Pipe, "`mp_pipe`, by a path"),
    ("unix-stream", Kind::Socket, "`mp_socket`, a Unix socket without boundaries"),
    ("unix-stream-named", Kind::Socket, "the same, bound to a path"),
    ("unix-seqpacket", Kind::Socket, "`mp_socket`, a Unix socket of messages"),
    ("unix-seqpacket-named", Kind::Socket, "the same, bound to a path"),
    ("unix-dgram", Kind::Socket, "`mp_socket`, a Unix socket of datagrams"),
    ("unix-dgram-named", Kind::Socket, "the same, bound to a path"),
    ("tcp", Kind::Socket, "`mp_socket`, over the loopback"),
    ("udp", Kind::Socket, "`mp_socket`, over the loopback"),
    ("Connection", Kind::Socket, "`mp_core::pipe`: typed messages over a Unix socket"),
    ("posix-mq", Kind::Queue, "`mp_mqueue`, POSIX"),
    ("sysv-msg", Kind::Queue, "`mp_mqueue`, System V"),
    ("signal", Kind::Event, "`mp_signal`, a real-time signal with its integer"),
    ("eventfd", Kind::Event, "a counter to poll, and the message in shared memory"),
    ("posix-sem", Kind::Event, "`mp_sem`, POSIX, in the shared memory of the message"),
    ("posix-sem-named", Kind::Event, "`mp_sem`, POSIX, by a name; the message in shared memory"),
    ("sysv-sem", Kind::Event, "`mp_sem`, System V; the message in shared memory"),
    ("std-pipe", Kind::Contender, "`std::io::pipe`"),
    ("std-unix-stream", Kind::Contender, "`std::os::unix::net::UnixStream`"),
    ("std-unix-dgram", Kind::Contender, "`std::os::unix::net::UnixDatagram`"),
    ("std-tcp", Kind::Contender, "`std::net::TcpStream`"),
    ("std-udp", Kind::Contender, "`std::net::UdpSocket`"),
    ("std-mpsc", Kind::Contender, "`std::sync::mpsc`, between threads of one process"),
    ("ipc-channel", Kind::Contender, "the crate, `IpcBytesSender`: a Unix socket"),
    ("ipc-channel-shm", Kind::Contender, "the crate, `IpcSharedMemory`: a descriptor for each message"),
    ("iceoryx2", Kind::Contender, "the crate, publish and subscribe in shared memory, looking all the time"),
    ("iceoryx2-event", Kind::Contender, "the crate, with its events to sleep at"),
    ("interprocess", Kind::Contender, "the crate, its local sockets"),
    ("shared_memory", Kind::Contender, "the crate, a place that the receiver looks at all the time"),
    ("crossbeam", Kind::Contender, "`crossbeam-channel`, byte vectors between threads of one process"),
    ("crossbeam-u64", Kind::Contender, "the same, integers"),
    ("rtrb", Kind::Contender, "the crate, between threads of one process"),
    ("procspawn", Kind::Contender, "the crate, which starts the program anew"),
    ("parking_lot", Kind::Contender, "the crate, between threads"),
    ("parking_lot-threads", Kind::Contender, "the same, each thread on a core of its own"),
    ("std-threads", Kind::Contender, "`std::sync::Mutex`, each thread on a core of its own"),
    ("python", Kind::Contender, "Python's `multiprocessing.Pool`"),
    ("python-Pipe", Kind::Contender, "Python's `multiprocessing.Pipe`"),
    ("python-Queue", Kind::Contender, "Python's `multiprocessing.Queue`"),
    ("python-SimpleQueue", Kind::Contender, "Python's `multiprocessing.SimpleQueue`"),
    ("python-Lock", Kind::Contender, "Python's `multiprocessing.Lock`"),
    ("python-fork", Kind::Contender, "Python's `multiprocessing.Process`, by `fork`"),
    ("python-forkserver", Kind::Contender, "the same, by `forkserver`"),
    ("python-spawn", Kind::Contender, "the same, by `spawn`"),
    ("fork", Kind::Ours, "`mp_core::Process::fork`, of a closure"),
    ("bare-fork", Kind::Limit, "`fork` and `waitpid`, nothing else"),
    ("forkserver", Kind::Ours, "`mp_core::Process`, its default start method"),
    ("spawn", Kind::Ours, "`mp_core::Process`, the program started anew"),
    ("Command-true", Kind::Contender, "`std::process::Command` of `/bin/true`"),
    ("Command-of-this", Kind::Contender, "`std::process::Command` of the bench itself"),
    ("leaf", Kind::Ours, "`mp_sync::LeafLock`, released by the kernel when its holder dies"),
    ("mutex", Kind::Ours, "`mp_sync::Mutex`"),
    ("core-lock", Kind::Ours, "`mp_core::Lock`"),
    ("core-value", Kind::Ours, "`mp_core::Value`, an update"),
    ("plain", Kind::Other, "a futex word that is taken and given back by exchanges, of which the kernel is told nothing"),
    ("pthread", Kind::Contender, "a process-shared `pthread_mutex_t`"),
    ("pthread-robust", Kind::Contender, "a robust process-shared `pthread_mutex_t`"),
    ("sem_t", Kind::Contender, "a `sem_t` of one permit"),
    ("std", Kind::Contender, "`std::sync::Mutex`, between threads"),
    ("flock", Kind::Ours, "`mp_flock::Flock`"),
    ("ofd", Kind::Ours, "`mp_flock::Ofd`"),
    ("fetch_add", Kind::Limit, "one atomic addition"),
    ("semaphore", Kind::Ours, "`mp_sync::Semaphore`"),
    ("rwlock-read", Kind::Ours, "`mp_sync::RwLock`, shared"),
    ("rwlock-write", Kind::Ours, "`mp_sync::RwLock`, exclusive"),
    ("reentrant", Kind::Ours, "`mp_sync::ReentrantLock`"),
    ("event", Kind::Ours, "`mp_sync::Event`: set, wait, clear"),
    ("Pool", Kind::Ours, "`mp_core::Pool`; the number is that of its workers"),
    ("sequential", Kind::Limit, "the same work in the caller, one task after another"),
    ("cache-line", Kind::Limit, "a line that two cores write in turn: there and back, nothing else"),
    ("futex", Kind::Limit, "the kernel's cheapest wake-up, there and back between two cores"),
    ("futex-same-core", Kind::Limit, "the same on one core"),
    ("syscall", Kind::Limit, "a system call that does nothing"),
    ("memcpy", Kind::Limit, "one copy between warm buffers of one process"),
];

fn find(function: &str) -> Option<&'static (&'static str, Kind, &'static str)> {
    SUBJECTS.iter().find(|(known, ..)| *known == function)
}

pub(crate) fn of(function: &str) -> Kind {
    find(function).map_or(Kind::Other, |&(_, kind, _)| kind)
}

/// Those among the others whose messages go through the kernel.
const THROUGH_KERNEL: [&str; 6] = [
    "interprocess",
    "ipc-channel",
    "ipc-channel-shm",
    "python-Pipe",
    "python-Queue",
    "python-SimpleQueue",
];

/// Whether each message is a system call on either side. A POSIX semaphore makes one only where somebody sleeps.
pub(crate) fn is_of_kernel(function: &str) -> bool {
    let is_semaphore = function.starts_with("posix-sem");
    match of(function) {
        Kind::Pipe | Kind::Socket | Kind::Queue | Kind::Event => !is_semaphore,
        Kind::Contender => {
            THROUGH_KERNEL.contains(&function)
                || (function.starts_with("std-") && function != "std-mpsc")
        }
        Kind::Memory | Kind::Ours | Kind::Limit | Kind::Other => false,
    }
}

/// Name and explanation of those that are known among `functions`, in the order of the report.
pub(crate) fn explained<'a>(
    functions: impl Iterator<Item = &'a str>,
) -> Vec<(&'static str, &'static str)> {
    let known: Vec<_> = functions.filter_map(find).map(|&(name, ..)| name).collect();
    let used = SUBJECTS.iter().filter(|(name, ..)| known.contains(name));
    used.map(|&(name, _, words)| (name, words)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_are_used_are_explained() {
        assert_eq!(of("python"), Kind::Contender);
        assert_eq!(of("nobody"), Kind::Other);
        let explained = explained(["nobody", "pipe", "ring", "pipe"].into_iter());
        assert_eq!(explained.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["ring", "pipe"]);
    }

    #[test]
    fn nobody_is_there_twice() {
        let mut names: Vec<_> = SUBJECTS.iter().map(|(name, ..)| name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), SUBJECTS.len());
    }
}
