//! Values and memory that processes share.

mod array;
mod list;
mod list_item;
mod memory;
mod value;

pub use self::{
    array::Array, list::ShareableList, list_item::ListItem, memory::SharedMemory, value::Value,
};
