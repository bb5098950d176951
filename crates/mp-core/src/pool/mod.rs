//! Tasks for worker processes.

mod batch;
mod bell;
mod builder;
mod feed;
mod frame;
mod inbox;
mod journal;
mod local;
#[expect(clippy::module_inception, reason = "the module of the type that this folder is about")]
mod pool;
mod slot;
mod state;
mod stream;
mod supervisor;
mod task;
mod wire;
mod worker;

pub use self::{
    builder::PoolBuilder,
    pool::Pool,
    stream::Outcomes,
    task::{GetTimeoutError, Task},
};
