//! Which way an end of a connection may be used, as a type.

/// An end that sends and receives.
#[derive(Debug)]
pub enum Duplex {}

/// The end of a one-way connection that sends.
#[derive(Debug)]
pub enum SendOnly {}

/// The end of a one-way connection that receives.
#[derive(Debug)]
pub enum RecvOnly {}

/// The directions that send: [`Duplex`] and [`SendOnly`].
pub trait Sends: sealed::Direction {}

/// The directions that receive: [`Duplex`] and [`RecvOnly`].
pub trait Receives: sealed::Direction {}

impl Sends for Duplex {}
impl Sends for SendOnly {}
impl Receives for Duplex {}
impl Receives for RecvOnly {}

mod sealed {
    #[expect(unnameable_types, reason = "nobody else can implement it")]
    pub trait Direction {}
    impl Direction for super::Duplex {}
    impl Direction for super::SendOnly {}
    impl Direction for super::RecvOnly {}
}
