//! The three kinds of lock that Linux has on files: what each of them is, and its calls.

mod flock;
mod kind;
mod mechanism;
mod ofd;
mod posix;

use self::mechanism::Mechanism;
pub use self::{
    flock::Flock,
    kind::{Kind, Mode},
    mechanism::{Backend, RangeBackend},
    ofd::Ofd,
    posix::Posix,
};
