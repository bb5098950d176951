use mp_os::transfer::{collect, provide};
use mp_shm::{GrowableSegment, ReadSegment, Segment, SparseSegment};

#[test]
fn a_segment_travels() {
    let segment = Segment::create("traveller", 4096).unwrap();
    let (bytes, fds) = collect(|| postcard::to_stdvec(&segment).unwrap());
    let received: Segment = provide(fds, || postcard::from_bytes(&bytes).unwrap());
    received.mapping().copy_in(7, b"x").unwrap();
    let mut byte = [0];
    segment.mapping().copy_out(7, &mut byte).unwrap();
    assert_eq!(&byte, b"x");
}

#[test]
fn a_sparse_segment_travels() {
    let segment = Segment::create_sparse("traveller", 1 << 33).unwrap();
    segment.write_at(1 << 32, b"far").unwrap();
    let (bytes, fds) = collect(|| postcard::to_stdvec(&segment).unwrap());
    let received: SparseSegment = provide(fds, || postcard::from_bytes(&bytes).unwrap());
    let mut text = [0; 3];
    received.read_at(1 << 32, &mut text).unwrap();
    assert_eq!((&text, received.len()), (b"far", 1 << 33));
}

#[test]
fn another_descriptor_in_its_place_is_refused() {
    let segment = Segment::create("announced", 4096).unwrap();
    let other = Segment::create("other", 8192).unwrap();
    let (bytes, _) = collect(|| postcard::to_stdvec(&segment).unwrap());
    let fds = vec![other.try_clone_fd().unwrap()];
    assert!(provide(fds, || postcard::from_bytes::<Segment>(&bytes)).is_err(), "another size");
    let fds = vec![std::fs::File::open("/dev/null").unwrap().into()];
    assert!(provide(fds, || postcard::from_bytes::<Segment>(&bytes)).is_err(), "not a segment");
    assert!(postcard::from_bytes::<Segment>(&bytes).is_err(), "outside a message");
}

#[test]
fn a_reading_segment_travels() {
    let segment = Segment::create_for_readers("traveller", 4096).unwrap();
    let reader = ReadSegment::from_fd(segment.try_clone_fd().unwrap()).unwrap();
    let (bytes, fds) = collect(|| postcard::to_stdvec(&reader).unwrap());
    let received: ReadSegment = provide(fds, || postcard::from_bytes(&bytes).unwrap());
    segment.memory().copy_in(0, b"x").unwrap();
    assert_eq!(received.memory().read::<u8>(0).unwrap(), b'x');
}

#[test]
fn a_growable_segment_may_grow_on_the_way() {
    let mut segment = GrowableSegment::create("traveller", 100).unwrap();
    let (bytes, fds) = collect(|| postcard::to_stdvec(&segment).unwrap());
    segment.grow(5000).unwrap();
    let received: GrowableSegment = provide(fds, || postcard::from_bytes(&bytes).unwrap());
    assert_eq!(received.len(), 5000);
}
