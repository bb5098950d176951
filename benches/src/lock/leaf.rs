use mp_sync::LeafLock;

use super::Lock;
use crate::Words;

/// [`mp_sync::LeafLock`].
#[derive(Debug)]
pub struct Leaf(Words);

impl Lock for Leaf {
    const NAME: &'static str = "leaf";

    fn create(_words: &Words) {}

    fn attach(words: &Words) -> Self {
        Self(words.clone())
    }

    #[inline]
    fn with<R>(&self, section: impl FnOnce() -> R) -> R {
        let _guard = LeafLock::from_atomic(self.0.u32(0)).lock().expect("a lock that is not held");
        section()
    }
}
