//! `iceoryx2`: samples of bytes, published to one subscriber.
//!
//! As that project's own benchmarks use it: slices of bytes in memory that is loaned, and a receiver that looks all the time.
//! Every message is copied in and out, as it is with everybody else here, and none is dropped: the sender waits for room.

use std::{
    fmt::{self, Debug, Formatter},
    fs, hint, io,
};

use iceoryx2::{
    node::Node,
    port::{listener::Listener, notifier::Notifier, publisher::Publisher, subscriber::Subscriber},
    prelude::*,
    service::ipc,
};
use mp_benches::Link;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

/// How many messages fit, where they are not large: as many as in a queue of `mp-core`.
const MESSAGES: usize = 1024;

/// The receiver looks all the time.
#[derive(Debug, Serialize, Deserialize)]
pub struct IceoryxLink(Channel);

impl Link for IceoryxLink {
    const NAME: &'static str = "iceoryx2";

    fn open(len: usize) -> Self {
        Self(Channel::open(len))
    }

    fn send(&mut self, message: &[u8]) {
        self.0.sender().send(message);
    }

    fn recv(&mut self, message: &mut Vec<u8>) {
        let receiver = self.0.receiver();
        while !receiver.try_recv(message) {}
    }
}

/// The receiver sleeps until an event of `iceoryx2` tells it of a message.
#[derive(Debug, Serialize, Deserialize)]
pub struct IceoryxEventLink(Channel);

impl Link for IceoryxEventLink {
    const NAME: &'static str = "iceoryx2-event";

    fn open(len: usize) -> Self {
        Self(Channel::open(len))
    }

    fn send(&mut self, message: &[u8]) {
        let sender = self.0.sender();
        sender.send(message);
        sender.notifier.notify().expect("a listener");
    }

    fn recv(&mut self, message: &mut Vec<u8>) {
        let receiver = self.0.receiver();
        while !receiver.try_recv(message) {
            receiver.listener.blocking_wait(|_| ()).expect("a notifier");
        }
    }
}

/// Both processes open the service by its name, when they know who sends.
#[derive(Serialize, Deserialize)]
struct Channel {
    /// The folder of all that `iceoryx2` needs files for. With its name begin those of the segments.
    path: String,
    len: usize,
    #[serde(skip)]
    port: Option<Port>,
    /// Removed when all of the above is gone.
    #[serde(skip)]
    _folder: Option<Folder>,
}

/// The folder, and in the end the segments: `iceoryx2` leaves one behind, for those who come later.
struct Folder(TempDir);

enum Port {
    Sends(Sender),
    Receives(Receiver),
}

/// In the order in which they have to go.
struct Sender {
    publisher: Publisher<ipc::Service, [u8], ()>,
    notifier: Notifier<ipc::Service>,
    _node: Node<ipc::Service>,
}

struct Receiver {
    subscriber: Subscriber<ipc::Service, [u8], ()>,
    listener: Listener<ipc::Service>,
    _node: Node<ipc::Service>,
}

impl Channel {
    fn open(len: usize) -> Self {
        // The path of a socket has room for a hundred bytes, of which the name in the folder takes most.
        let folder =
            tempfile::Builder::new().prefix("mp").rand_bytes(4).tempdir().expect("a folder");
        let path = folder.path().to_str().expect("a path of UTF-8").to_owned();
        Self { path, len, port: None, _folder: Some(Folder(folder)) }
    }

    fn sender(&mut self) -> &Sender {
        let open = || Port::Sends(Sender::open(node(&self.path), self.len));
        let port = self.port.get_or_insert_with(open);
        let Port::Sends(sender) = port else { unreachable!("one process sends") };
        sender
    }

    fn receiver(&mut self) -> &Receiver {
        let open = || Port::Receives(Receiver::open(node(&self.path), self.len));
        let port = self.port.get_or_insert_with(open);
        let Port::Receives(receiver) = port else { unreachable!("the other receives") };
        receiver
    }
}

fn node(folder: &str) -> Node<ipc::Service> {
    let mut config = Config::default();
    let path = Path::new(folder.as_bytes()).expect("a path that is not too long");
    config.global.set_root_path(&path);
    let (_, name) = folder.rsplit_once('/').expect("an absolute path");
    config.global.prefix = FileName::new(name.as_bytes()).expect("a short name");
    NodeBuilder::new().config(&config).create().expect("a node")
}

impl Folder {
    fn remove_segments(&self) -> io::Result<()> {
        let name = self.0.path().file_name().expect("a folder in another one").as_encoded_bytes();
        for segment in fs::read_dir("/dev/shm")? {
            let segment = segment?;
            if segment.file_name().as_encoded_bytes().starts_with(name) {
                fs::remove_file(segment.path())?;
            }
        }
        Ok(())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = self.remove_segments() {
            eprintln!("failed to remove the segments of iceoryx2: {error}");
        }
    }
}

impl Debug for Channel {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel").field("path", &self.path).finish_non_exhaustive()
    }
}

type Samples =
    iceoryx2::service::port_factory::publish_subscribe::PortFactory<ipc::Service, [u8], ()>;
type Events = iceoryx2::service::port_factory::event::PortFactory<ipc::Service>;

/// As many senders as any bench has, one receiver, and room for as many messages of each as take some memory, but two at least.
fn samples(node: &Node<ipc::Service>, len: usize) -> Samples {
    let room = ((4 << 20) / len).clamp(2, MESSAGES);
    node.service_builder(&"messages".try_into().expect("a name"))
        .publish_subscribe::<[u8]>()
        .max_publishers(4)
        .max_subscribers(1)
        .history_size(0)
        .subscriber_max_borrowed_samples(1)
        .subscriber_max_buffer_size(room)
        .enable_safe_overflow(false)
        .open_or_create()
        .expect("a service")
}

fn events(node: &Node<ipc::Service>) -> Events {
    let name = "events".try_into().expect("a name");
    node.service_builder(&name).event().open_or_create().expect("a service")
}

impl Sender {
    /// Returns when the receiver is there: what is sent before is lost.
    fn open(node: Node<ipc::Service>, len: usize) -> Self {
        let (samples, events) = (samples(&node, len), events(&node));
        let publisher = samples
            .publisher_builder()
            .initial_max_slice_len(len)
            .max_loaned_samples(1)
            .backpressure_strategy(BackpressureStrategy::RetryUntilDelivered)
            .create()
            .expect("a publisher");
        let notifier = events.notifier_builder().create().expect("a notifier");
        while samples.dynamic_config().number_of_subscribers() == 0
            || events.dynamic_config().number_of_listeners() == 0
        {
            hint::spin_loop();
        }
        Self { publisher, notifier, _node: node }
    }

    fn send(&self, message: &[u8]) {
        let sample = self.publisher.loan_slice_uninit(message.len()).expect("room for a message");
        let receivers =
            sample.write_from_slice(message).send().expect("a message that is delivered");
        assert_eq!(receivers, 1, "a message that is received");
    }
}

impl Receiver {
    fn open(node: Node<ipc::Service>, len: usize) -> Self {
        let listener = events(&node).listener_builder().create().expect("a listener");
        let subscriber = samples(&node, len).subscriber_builder().create().expect("a subscriber");
        Self { subscriber, listener, _node: node }
    }

    fn try_recv(&self, message: &mut [u8]) -> bool {
        let sample = self.subscriber.receive().expect("a service that is there");
        sample.inspect(|sample| message.copy_from_slice(sample.payload())).is_some()
    }
}
