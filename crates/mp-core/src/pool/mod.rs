//! Tasks for worker processes.

mod batch;
mod bell;
mod builder;
mod burial;
mod cancel;
mod drive;
mod feed;
mod frame;
mod handle;
mod inbox;
mod job;
mod journal;
mod limits;
mod local;
#[expect(clippy::module_inception, reason = "the module of the type that this folder is about")]
mod pool;
mod results;
mod serial;
mod slot;
mod spares;
mod staff;
mod state;
mod stats;
mod stream;
mod supervisor;
mod wire;
mod worker;

#[cfg(feature = "fuzzing")]
pub use self::slot::bytes::pool as fuzz_pool;
pub use self::{
    builder::PoolBuilder,
    job::JobBuilder,
    pool::Pool,
    stats::{PoolStats, WorkerStats},
    stream::Outcomes,
};

pub(crate) use self::inbox::{Inbox, Order};
