use mp_channel::{Ring, RingParts, Segment};
use mp_os::transfer::{collect, provide};

#[test]
fn a_ring_travels() {
    let ring = Ring::builder().items(3).create().unwrap();
    let large = vec![7; 1 << 20];
    ring.push(b"before").unwrap();
    ring.push(&large).unwrap();
    let (bytes, fds) = collect(|| postcard::to_stdvec(&ring).unwrap());
    let received: Ring = provide(fds, || postcard::from_bytes(&bytes).unwrap());

    assert_eq!((received.len(), received.capacity()), (2, 3));
    let mut record = Vec::new();
    received.pop(&mut record).unwrap();
    assert_eq!(record, b"before");
    received.pop(&mut record).unwrap();
    assert_eq!(record, large);
    received.push(b"back").unwrap();
    ring.pop(&mut record).unwrap();
    assert_eq!(record, b"back");
}

#[test]
fn outside_a_message_is_an_error() {
    let ring = Ring::builder().create().unwrap();
    assert!(postcard::to_stdvec(&ring).is_err());
}

#[test]
fn something_else_is_refused() {
    let ring = Ring::builder().create().unwrap();
    for len in [1, 100, 4096, 4096 + (64 << 10)] {
        let segment = Segment::create("no-ring", len).unwrap();
        Ring::attach(RingParts { segment, ..ring.parts().clone() }).unwrap_err();
    }
}

#[test]
fn another_pid_namespace_is_refused() {
    let ring = Ring::builder().create().unwrap();
    let parts = ring.parts();
    // The fourth word of the header is the namespace.
    parts
        .segment
        .mapping()
        .atomic_u64(24)
        .unwrap()
        .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let error = Ring::attach(parts.clone()).unwrap_err();
    assert!(error.to_string().contains("PID namespace"), "{error}");
}
