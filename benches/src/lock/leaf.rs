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
        let lock = LeafLock::from_atomics(self.0.pair(0));
        let _guard = lock.lock().expect("a lock that is not held");
        section()
    }
}
