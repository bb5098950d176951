use std::{
    process,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

/// Who removes an object that has a life of its own: the process that created it, and not a fork of that.
///
/// The handle has it as a field, and asks it on drop.
///
/// # Examples
///
/// ```
/// use mp_os::Owner;
///
/// let owner = Owner::this_process();
/// assert!(owner.is_this_process());
/// owner.renounce();
/// assert!(!owner.is_this_process());
/// ```
#[derive(Debug)]
pub struct Owner(
    /// The number of the process; zero, which no process has, for nobody.
    AtomicU32,
);

impl Owner {
    /// Of an object that this process has created.
    pub fn this_process() -> Self {
        Self(process::id().into())
    }

    /// Of an object that was there already.
    pub const fn nobody() -> Self {
        Self(AtomicU32::new(0))
    }

    /// Whether the calling process removes the object.
    pub fn is_this_process(&self) -> bool {
        self.0.load(Relaxed) == process::id()
    }

    /// From here on nobody does: the object is left behind.
    pub fn renounce(&self) {
        self.0.store(0, Relaxed);
    }
}
