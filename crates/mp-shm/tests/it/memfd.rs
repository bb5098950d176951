use std::{
    fs::File,
    io::ErrorKind,
    os::{fd::OwnedFd, unix::fs::MetadataExt},
};

use mp_shm::{GrowableSegment, ReadSegment, Segment};
use nix::{
    errno::Errno,
    fcntl::{FcntlArg, FdFlag, SealFlag, fcntl},
    unistd::ftruncate,
};

#[test]
fn a_segment_is_zeroed_reserved_and_shared() {
    let segment = Segment::create("reserved", 10_000).unwrap();
    let mut bytes = vec![1; 10_000];
    segment.mapping().copy_out(0, &mut bytes).unwrap();
    assert!(bytes.iter().all(|&byte| byte == 0));

    let file = File::from(segment.try_clone_fd().unwrap());
    assert!(file.metadata().unwrap().blocks() * 512 >= 10_000, "memory was reserved");

    let other = Segment::from_fd(file.into()).unwrap();
    segment.mapping().copy_in(9_995, b"bytes").unwrap();
    let mut seen = Vec::new();
    other.mapping().copy_out_vec(9_995, 5, &mut seen).unwrap();
    assert_eq!((other.len(), &*seen), (10_000, &b"bytes"[..]));
}

#[test]
fn nobody_can_change_the_size() {
    let segment = Segment::create("sealed", 4096).unwrap();
    for len in [0, 1, 8192] {
        assert_eq!(ftruncate(&segment, len), Err(Errno::EPERM), "to {len}");
    }
    let seals = fcntl(&segment, FcntlArg::F_GET_SEALS).unwrap();
    let seals = SealFlag::from_bits_retain(seals);
    assert!(
        seals.contains(SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL)
    );
}

#[test]
fn descriptors_are_closed_on_exec() {
    let segment = Segment::create("cloexec", 1).unwrap();
    let flags = fcntl(&segment, FcntlArg::F_GETFD).unwrap();
    assert!(FdFlag::from_bits_retain(flags).contains(FdFlag::FD_CLOEXEC));
}

#[test]
fn what_is_not_a_segment_is_refused_before_it_is_mapped() {
    let unsealed = nix::sys::memfd::memfd_create(
        c"unsealed",
        nix::sys::memfd::MFdFlags::MFD_CLOEXEC | nix::sys::memfd::MFdFlags::MFD_ALLOW_SEALING,
    )
    .unwrap();
    ftruncate(&unsealed, 4096).unwrap();
    let error = Segment::from_fd(unsealed).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("F_SEAL_SHRINK"), "{error}");

    for path in ["/dev/null", "/proc/self/exe", "/"] {
        let fd: OwnedFd = File::open(path).unwrap().into();
        assert_eq!(Segment::from_fd(fd).unwrap_err().kind(), ErrorKind::InvalidInput, "{path}");
    }
}

#[test]
fn bad_input_is_refused() {
    for (name, len) in [("empty", 0), ("nul\0", 1), (&"x".repeat(250), 1)] {
        let error = Segment::create(name, len).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    }
    Segment::create(&"x".repeat(249), 1).unwrap();
}

#[test]
fn a_sparse_segment_takes_memory_where_it_is_written() {
    let segment = Segment::create_sparse("sparse", 1 << 40).unwrap();
    let blocks = || File::from(segment.try_clone_fd().unwrap()).metadata().unwrap().blocks();
    assert_eq!(blocks(), 0);
    segment.write_at(1 << 30, &[7; 8192]).unwrap();
    assert_eq!(blocks() * 512, 8192);

    let mut bytes = [1; 4];
    segment.read_at((1 << 30) - 2, &mut bytes).unwrap();
    assert_eq!(bytes, [0, 0, 7, 7]);

    segment.punch_hole(1 << 30..(1 << 30) + 8192).unwrap();
    assert_eq!(blocks(), 0);
    segment.read_at((1 << 30) - 2, &mut bytes).unwrap();
    assert_eq!(bytes, [0; 4]);
}

#[test]
fn a_sparse_segment_ends_where_it_ends() {
    let segment = Segment::create_sparse("end", 100).unwrap();
    segment.write_at(96, b"tail").unwrap();
    for offset in [97, u64::MAX] {
        assert_eq!(segment.write_at(offset, b"tail").unwrap_err().kind(), ErrorKind::InvalidInput);
        let error = segment.read_at(offset, &mut [0; 4]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
    assert!(segment.punch_hole(0..101).is_err() && segment.punch_hole(5..5).is_err());
    assert_eq!(ftruncate(&segment, 0), Err(Errno::EPERM));
}

#[test]
fn readers_cannot_write_what_only_its_creator_may() {
    let producer = Segment::create_for_readers("published", 4096).unwrap();
    let consumer = ReadSegment::from_fd(producer.try_clone_fd().unwrap()).unwrap();
    producer.memory().copy_in(0, b"news").unwrap();
    assert_eq!(consumer.memory().read::<[u8; 4]>(0).unwrap(), *b"news");

    let error = Segment::from_fd(consumer.try_clone_fd().unwrap()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    let file = File::from(consumer.try_clone_fd().unwrap());
    let written = std::os::unix::fs::FileExt::write_at(&file, b"fake", 0);
    assert_eq!(written.unwrap_err().kind(), ErrorKind::PermissionDenied);
    // Opened anew for writing it is the same file, with the same seals.
    let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file));
    let again = File::options().read(true).write(true).open(path).unwrap();
    assert!(mp_shm::Mapping::map(&again).is_err());
    let writable = mp_shm::ReadMapping::map(&again).unwrap().into_writable();
    assert_eq!(writable.unwrap_err().kind(), ErrorKind::PermissionDenied);
    assert_eq!(consumer.memory().read::<[u8; 4]>(0).unwrap(), *b"news");
    producer.memory().copy_in(0, b"more").unwrap();
}

#[test]
fn a_segment_that_others_may_write_is_no_reading_segment() {
    let segment = Segment::create("writable", 4096).unwrap();
    let error = ReadSegment::from_fd(segment.try_clone_fd().unwrap()).unwrap_err();
    assert!(error.to_string().contains("F_SEAL_FUTURE_WRITE"), "{error}");
}

#[test]
fn a_growable_segment_grows_and_others_follow() {
    let mut ours = GrowableSegment::create("growable", 100).unwrap();
    let mut theirs = GrowableSegment::from_fd(ours.try_clone_fd().unwrap()).unwrap();
    ours.memory().copy_in(0, b"kept").unwrap();
    assert_eq!(ours.grow(100_000).unwrap(), 100_000);
    ours.memory().copy_in(99_990, b"beyond").unwrap();
    assert!(theirs.memory().read::<[u8; 6]>(99_990).is_err(), "not before it is refreshed");
    assert_eq!(theirs.refresh().unwrap(), 100_000);
    assert_eq!(theirs.memory().read::<[u8; 6]>(99_990).unwrap(), *b"beyond");
    assert_eq!(theirs.memory().read::<[u8; 4]>(0).unwrap(), *b"kept");
    assert_eq!(ours.grow(5).unwrap(), 100_000, "it never shrinks");
    assert_eq!(ftruncate(&ours, 100), Err(Errno::EPERM));
    let error = GrowableSegment::from_fd(File::open("/dev/null").unwrap().into()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

#[test]
fn a_segment_of_fixed_size_does_not_grow() {
    let fixed = Segment::create("fixed", 100).unwrap();
    let mut growable = GrowableSegment::from_fd(fixed.try_clone_fd().unwrap()).unwrap();
    assert_eq!(growable.grow(200).unwrap_err().raw_os_error(), Some(Errno::EPERM as i32));
    assert_eq!(growable.refresh().unwrap(), 100);
}
