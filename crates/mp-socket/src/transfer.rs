//! Sockets inside serde messages.

use std::os::fd::AsFd;

use mp_os::transfer;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

use crate::{SeqpacketSocket, TcpStream, UnixDatagram, UnixStream};

macro_rules! travel {
    ($($socket:ident),+) => {$(
        /// Within a scope of `mp_os::transfer` only, which carries a duplicate of the descriptor.
        impl Serialize for $socket {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                transfer::export(self.as_fd()).map_err(ser::Error::custom)?.serialize(serializer)
            }
        }

        impl<'de> Deserialize<'de> for $socket {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let fd = transfer::import(u32::deserialize(deserializer)?);
                Self::from_fd(fd.map_err(de::Error::custom)?).map_err(de::Error::custom)
            }
        }
    )+};
}

travel!(SeqpacketSocket, UnixStream, UnixDatagram, TcpStream);
