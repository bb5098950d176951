//! Sockets inside messages that carry descriptors.

use mp_os::transfer;
use serde::{Serialize, de::DeserializeOwned};

use crate::backends::{Channel, for_every_backend};

for_every_backend! { travels_in_a_message }

fn travels_in_a_message<C: Channel + Serialize + DeserializeOwned>(make: impl Fn() -> (C, C)) {
    let (left, right) = make();
    let (bytes, fds) = transfer::collect(|| postcard::to_stdvec(&left).unwrap());
    drop(left);
    let left: C = transfer::provide(fds, || postcard::from_bytes(&bytes)).unwrap();
    left.send(b"x").unwrap();
    assert_eq!(right.recv(&mut [0; 4]).unwrap(), 1);
    assert!(postcard::to_stdvec(&left).is_err(), "outside a message");
}
