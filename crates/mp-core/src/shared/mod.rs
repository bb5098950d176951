//! Values and memory that processes share.

mod array;
mod memory;
mod value;

pub use self::{array::Array, memory::SharedMemory, value::Value};
