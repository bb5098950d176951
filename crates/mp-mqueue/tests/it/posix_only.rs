//! What only POSIX queues do: priorities, directions, readiness, the clock they wait by.

use std::{
    fs,
    io::{self, ErrorKind},
    os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd},
    time::Duration,
};

use mp_mqueue::{
    TryError,
    posix::{CreateOptions, MAX_PRIORITY, MessageQueue, OpenOptions, list},
};
use mp_testkit::{
    as_ordinary_user, fork_child, has_own_ipc, is_root, isolated, skip, unique_name, wait_asleep,
};
use nix::{
    libc,
    mount::{MsFlags, mount, umount},
    sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout},
};

use crate::{CAPACITY, SIZE, posix_options, text};

fn fresh() -> MessageQueue {
    posix_options().create_new(unique_name("mqueue")).unwrap()
}

#[test]
fn the_highest_priority_arrives_first_and_equal_ones_in_order() {
    isolated(|| {
        let queue = fresh();
        for (n, priority) in [(0, 1), (1, MAX_PRIORITY), (2, 0), (3, 1)] {
            queue.send(&text(n), priority).unwrap();
        }
        let mut buffer = [0; SIZE];
        for (n, priority) in [(1, MAX_PRIORITY), (0, 1), (3, 1), (2, 0)] {
            let message = queue.recv(&mut buffer).unwrap();
            assert_eq!((message.bytes, message.priority), (&text(n)[..], priority));
        }
    });
}

/// System V wakes all of them, and the fastest one sends.
#[test]
fn the_longest_waiting_sender_is_served_first() {
    isolated(|| {
        let queue = fresh();
        (0..CAPACITY).for_each(|n| queue.send(&text(n), 0).unwrap());
        let waiters: Vec<_> = (0..3)
            .map(|n| {
                let child = fork_child(|| queue.send(&text(CAPACITY + n), 0).map_or(1, |()| 0));
                wait_asleep(child.id(), child.id());
                child
            })
            .collect();
        for n in 0..CAPACITY + 3 {
            assert_eq!(queue.recv(&mut [0; SIZE]).unwrap().bytes, text(n));
        }
        assert!(waiters.into_iter().all(|child| child.wait().success()));
    });
}

#[test]
fn bad_input_is_refused_before_anything_changes() {
    isolated(|| {
        let queue = fresh();
        let error = queue.send(b"x", MAX_PRIORITY + 1).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert_eq!(queue.attributes().unwrap().len, 0);

        let name = unique_name("mqueue");
        let options = CreateOptions::new();
        for bad in
            [options.clone().capacity(0), options.clone().message_size(0), options.mode(0o1777)]
        {
            assert_eq!(bad.create_new(&name).unwrap_err().kind(), ErrorKind::InvalidInput);
            assert_eq!(bad.create(&name).unwrap_err().kind(), ErrorKind::InvalidInput);
        }
        assert_eq!(OpenOptions::new().open(&name).unwrap_err().kind(), ErrorKind::InvalidInput);
        let long = "x".repeat(256);
        for bad in ["", "/", "/a/b", ".", "a\0b", &long] {
            assert_eq!(MessageQueue::create_new(bad).unwrap_err().kind(), ErrorKind::InvalidInput);
            assert_eq!(MessageQueue::open(bad).unwrap_err().kind(), ErrorKind::InvalidInput);
            assert_eq!(MessageQueue::unlink(bad).unwrap_err().kind(), ErrorKind::InvalidInput);
        }
        assert_eq!(MessageQueue::open(name).unwrap_err().kind(), ErrorKind::NotFound);
    });
}

#[test]
fn the_longest_name_works() {
    isolated(|| {
        let start = unique_name("mqueue");
        let queue = MessageQueue::create_new(format!("{start}{}", "x".repeat(255 - start.len())));
        let queue = queue.unwrap();
        assert_eq!(queue.name().unwrap().file_name().len(), 255);
        MessageQueue::open(queue.name().unwrap()).unwrap();
    });
}

#[test]
fn directions_are_kept() {
    isolated(|| {
        let queue = fresh();
        let name = queue.name().unwrap();
        let reader = OpenOptions::new().read(true).open(name).unwrap();
        let writer = OpenOptions::new().write(true).open(name).unwrap();
        let error = reader.send(b"x", 0).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EBADF));
        writer.send(b"x", 0).unwrap();
        let error = writer.recv(&mut [0; SIZE]).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EBADF));
        assert_eq!(reader.recv(&mut [0; SIZE]).unwrap().bytes, b"x");
    });
}

#[test]
fn attributes_are_those_of_the_creator() {
    isolated(|| {
        let queue = fresh();
        queue.send(b"x", 0).unwrap();
        let options = posix_options().capacity(9).message_size(9);
        let other = options.create(queue.name().unwrap()).unwrap();
        let attributes = other.attributes().unwrap();
        assert_eq!(
            (attributes.capacity, attributes.message_size, attributes.len),
            (CAPACITY, SIZE, 1)
        );
    });
}

#[test]
fn an_unlinked_queue_goes_on_for_those_who_have_it() {
    isolated(|| {
        let queue = fresh();
        let other = MessageQueue::open(queue.name().unwrap()).unwrap();
        MessageQueue::unlink(queue.name().unwrap()).unwrap();
        assert_eq!(
            MessageQueue::unlink(queue.name().unwrap()).unwrap_err().kind(),
            ErrorKind::NotFound
        );
        queue.send(b"still", 0).unwrap();
        assert_eq!(other.recv(&mut [0; SIZE]).unwrap().bytes, b"still");
    });
}

#[test]
fn a_queue_belongs_to_the_user_who_created_it() {
    isolated(|| {
        if !is_root() {
            return skip("two users need root");
        }
        as_ordinary_user(|| {
            let queue = fresh();
            let stat = nix::sys::stat::fstat(&queue).unwrap();
            assert_eq!([stat.st_uid, stat.st_gid], [65_534; 2]);
            assert_eq!(stat.st_mode & 0o777, 0o600);
        });
        let queue = fresh();
        as_ordinary_user(|| {
            let error = MessageQueue::unlink(queue.name().unwrap()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        });
        MessageQueue::open(queue.name().unwrap()).unwrap();
    });
}

#[test]
fn readiness_is_told_by_epoll() {
    isolated(|| {
        let queue = fresh();
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).unwrap();
        let interest = EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT;
        epoll.add(&queue, EpollEvent::new(interest, 7)).unwrap();
        let ready = || {
            let mut events = [EpollEvent::empty()];
            epoll.wait(&mut events, EpollTimeout::ZERO).unwrap();
            events[0].events()
        };
        assert_eq!(ready(), EpollFlags::EPOLLOUT);
        queue.send(b"x", 0).unwrap();
        assert_eq!(ready(), interest);
        (1..CAPACITY).for_each(|_| queue.send(b"x", 0).unwrap());
        assert_eq!(ready(), EpollFlags::EPOLLIN);
    });
}

#[test]
fn a_descriptor_that_came_nonblocking_is_waited_for() {
    isolated(|| {
        let queue = fresh();
        let name = queue.name().unwrap().as_c_str();
        // SAFETY: a C string.
        let fd = unsafe { libc::mq_open(name.as_ptr(), libc::O_RDWR | libc::O_NONBLOCK) };
        assert!(fd >= 0);
        // SAFETY: just made, and known to nobody else.
        let other = MessageQueue::from(unsafe { OwnedFd::from_raw_fd(fd) });
        assert!(other.name().is_none() && !other.is_owner());
        assert!(matches!(other.try_recv(&mut [0; SIZE]), Err(TryError::WouldBlock)));
        let child = fork_child(|| i32::from(other.recv(&mut [0; SIZE]).unwrap().bytes != b"x"));
        wait_asleep(child.id(), child.id());
        queue.send(b"x", 0).unwrap();
        assert!(child.wait().success());

        (0..CAPACITY).for_each(|_| other.send(b"y", 0).unwrap());
        let child = fork_child(|| other.send(b"z", 0).map_or(1, |()| 0));
        wait_asleep(child.id(), child.id());
        queue.recv(&mut [0; SIZE]).unwrap();
        assert!(child.wait().success());
    });
}

/// `mq_timedreceive` and `mq_timedsend` wait by the wall clock, which somebody may set: they must not be what waits.
#[test]
fn a_deadline_is_not_waited_for_by_the_wall_clock() {
    isolated(|| {
        let (empty, full) = (fresh(), fresh());
        (0..CAPACITY).for_each(|_| full.send(b"x", 0).unwrap());
        let minute = Duration::from_secs(60);
        for sends in [false, true] {
            let child = fork_child(|| match sends {
                true => full.send_timeout(b"x", 0, minute).map_or(1, |()| 0),
                false => empty.recv_timeout(&mut [0; SIZE], minute).map_or(1, |_| 0),
            });
            wait_asleep(child.id(), child.id());
            let call = fs::read_to_string(format!("/proc/{}/syscall", child.id())).unwrap();
            let number = call.split(' ').next().unwrap();
            assert_eq!(number, libc::SYS_ppoll.to_string(), "{call}");
            child.kill();
        }
    });
}

#[test]
fn a_queue_is_not_inherited_by_programs() {
    isolated(|| {
        let queue = fresh();
        let flags = nix::fcntl::fcntl(queue.as_fd(), nix::fcntl::FcntlArg::F_GETFD).unwrap();
        assert_eq!(flags & libc::FD_CLOEXEC, libc::FD_CLOEXEC);
        let clone = queue.clone();
        assert_eq!(clone.as_fd().as_raw_fd(), queue.as_fd().as_raw_fd());
    });
}

#[test]
fn a_descriptor_that_is_no_queue_is_an_error() {
    isolated(|| {
        let file = MessageQueue::from(OwnedFd::from(fs::File::open("/dev/null").unwrap()));
        assert_eq!(file.send(b"x", 0).unwrap_err().raw_os_error(), Some(libc::EBADF));
        assert_eq!(file.attributes().unwrap_err().raw_os_error(), Some(libc::EBADF));
    });
}

#[test]
fn existing_queues_are_listed() {
    isolated(|| {
        let queue = fresh();
        let mounted = fs::read_to_string("/proc/self/mountinfo").unwrap().contains(" - mqueue ");
        let directory = tempfile::Builder::new().prefix("with a blank ").tempdir().unwrap();
        if !mounted {
            let error = list().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotFound);
            assert!(error.to_string().contains("mount -t mqueue"), "{error}");
            match mount_queues(directory.path()) {
                Ok(()) => {}
                Err(error) => {
                    return skip(&format!("the queue file system cannot be mounted: {error}"));
                }
            }
        }
        let names = list().unwrap();
        if !mounted {
            umount(directory.path()).unwrap();
        }
        assert!(names.contains(queue.name().unwrap()), "{names:?}");
    });
}

fn mount_queues(directory: &std::path::Path) -> io::Result<()> {
    // Only where the mount is seen by nobody else.
    if !has_own_ipc() {
        return Err(ErrorKind::PermissionDenied.into());
    }
    let none = None::<&str>;
    Ok(mount(Some("mqueue"), directory, Some("mqueue"), MsFlags::empty(), none)?)
}
