use mp_sync::Mutex;

use super::Lock;
use crate::Words;

/// [`mp_sync::Mutex`], without a value.
#[derive(Debug)]
pub struct Robust(Words);

impl Lock for Robust {
    const NAME: &'static str = "mutex";

    fn create(_words: &Words) {}

    fn attach(words: &Words) -> Self {
        Self(words.clone())
    }

    #[inline]
    fn with<R>(&self, section: impl FnOnce() -> R) -> R {
        let words = self.0.row(0, Mutex::<()>::WORDS);
        let _guard = Mutex::<()>::attach(words).expect("words").lock().expect("nobody dies in it");
        section()
    }
}
