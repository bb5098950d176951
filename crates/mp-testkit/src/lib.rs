//! Tests of inter-process communication: a process for each test, which leaves nothing behind and never hangs.
//!
//! ```
//! # // In a doctest there is no `#[test]` to re-execute; the crate's own tests show these functions at work.
//! # fn main() {}
//! #[test]
//! fn a_dead_writer_is_seen() {
//!     mp_testkit::isolated(|| {
//!         let (reader, writer) = std::io::pipe().unwrap();
//!         let ready = mp_testkit::Gate::new();
//!         let child = mp_testkit::fork_child(|| {
//!             ready.open();
//!             mp_testkit::wait_for_kill()
//!         });
//!         child.wait_at(&ready);
//!         child.kill();
//!         drop(writer);
//!         assert_eq!(std::io::read_to_string(reader).unwrap(), "");
//!     });
//! }
//! ```
//!
//! | item | what it is for |
//! |---|---|
//! | [`isolated`], [`isolated_for`] | the body of a `#[test]`: its own process, leak audit, watchdog |
//! | [`accept_existing`], [`accept_children`] | what exists now (a process-wide server, say) is no leak |
//! | [`expect_orphans`] | play `init` for children of a parent that the test kills |
//! | [`fork_child`], [`exec_child`], [`Child`] | a second process, with this one's memory or with a fresh one |
//! | [`holder`] | a second process that has something alone, until it is killed |
//! | [`Gate`], [`wait_for_kill`] | "I am there", without sleeping; and staying there |
//! | [`Watched`] | a process that is not the test's own child |
//! | [`wait_asleep`], [`once_asleep`] | "it waits in the kernel", without sleeping |
//! | [`sweep`], [`sweep_sample`], [`sweep_at`], [`sweep_beside`] | kill at every instruction of an operation, or at some, and ask an oracle each time |
//! | [`inject`], [`Victim`], [`Fault`] | kill a process at every system call, or have its calls fail |
//! | [`unique_name`], [`unique_key`], [`skip`], [`is_root`], [`as_ordinary_user`] | names of objects; what this machine cannot test; permissions |
//! | [`has_own_ipc`], [`assert_explained`] | limits: whether they may be changed, and that an error names its own |
//! | [`allocates_nothing`], [`allocations`], [`CountingAllocator`] | what an operation allocates |
//! | [`flags`] | what others who hold an open file see changed |
//! | [`python`], [`python_with_ipc`], [`run`] | a peer that nobody here wrote |
//! | [`replay`] | what a fuzzer has found |
//! | [`Random`] | numbers and harmful words that are the same each time |
//!
//! Everything here panics where it cannot do its work, because a test that cannot be carried out has failed.
//!
//! What this crate does *not* do: mocks. The kernel is the real one, and so are the kills.

#![deny(unsafe_code)]
#![allow(clippy::test_attr_in_doctest, reason = "a test is what the example shows")]

mod allocations;
mod asleep;
mod audit;
mod child;
mod corpus;
mod flags;
mod gate;
mod inject;
mod isolated;
mod limits;
mod names;
mod proc;
mod python;
mod random;
mod run;
mod sweep;
mod sys;
mod watchdog;
mod watched;

pub use crate::{
    allocations::{CountingAllocator, allocates_nothing, allocations},
    asleep::{once_asleep, wait_asleep},
    audit::expect_orphans,
    child::{Child, exec_child, fork_child, holder, wait_for_kill},
    corpus::replay,
    flags::flags,
    gate::Gate,
    inject::{Failure, Fault, InjectReport, Victim, inject, inject_each},
    isolated::{accept_children, accept_existing, isolated, isolated_for},
    limits::{assert_explained, has_own_ipc},
    names::{as_ordinary_user, is_root, skip, unique_key, unique_name},
    python::{python, python_with_ipc},
    random::Random,
    run::run,
    sweep::{Point, SweepReport, sweep, sweep_at, sweep_beside, sweep_sample},
    watched::Watched,
};
