//! Processes, from outside the crate.

mod outcomes;
