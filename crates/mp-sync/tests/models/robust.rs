//! Threads that the kernel knows, and what it does when one of them dies: `kernel/futex/core.c`, `handle_futex_death`.

use std::cell::{Cell, RefCell};

use loom::sync::atomic::Ordering::{AcqRel, SeqCst};

use crate::{
    atomic::{AtomicU32, Word},
    sys,
    words::{HOLDER, OWNER_DIED, WAITERS},
};

loom::thread_local! {
    static TID: Cell<u32> = Cell::new(0);
    /// `list_op_pending`.
    static PENDING: RefCell<Option<Word>> = RefCell::new(None);
    /// After how many more steps the thread dies.
    static STEPS: Cell<Option<u32>> = Cell::new(None);
    static DEAD: Cell<bool> = Cell::new(false);
}

/// Makes the calling thread the one of this number.
pub(crate) fn enter(tid: u32) {
    TID.with(|own| own.set(tid));
}

/// Has the calling thread die after `steps` more accesses to what is shared.
pub(crate) fn die_after(steps: u32) {
    STEPS.with(|own| own.set(Some(steps)));
}

pub(crate) fn is_dead() -> bool {
    DEAD.with(Cell::get)
}

/// Whether the calling thread is alive to take one more step. The rest of a dead one's code runs on, to no effect.
pub(crate) fn step() -> bool {
    if is_dead() {
        return false;
    }
    match STEPS.with(Cell::get) {
        Some(0) => {
            DEAD.with(|dead| dead.set(true));
            if let Some(word) = PENDING.with(|pending| pending.borrow_mut().take()) {
                clean_up(&word);
            }
            false
        }
        left => {
            STEPS.with(|own| own.set(left.map(|left| left - 1)));
            true
        }
    }
}

/// What the kernel does with the word that the dead thread was at.
fn clean_up(word: &Word) {
    let tid = TID.with(Cell::get);
    loop {
        let now = word.load(SeqCst);
        if now == 0 {
            // It may have owed a wake-up.
            return sys::wake(word, 1);
        }
        if now & HOLDER != tid {
            return;
        }
        if word.compare_exchange(now, now & WAITERS | OWNER_DIED, AcqRel, SeqCst).is_ok() {
            if now & WAITERS != 0 {
                sys::wake(word, 1);
            }
            return;
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Holder {
    pub(crate) tid: u32,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Pending;

impl Holder {
    #[expect(clippy::unnecessary_wraps, reason = "the signature of the library")]
    pub(crate) fn current() -> mp_os::Result<Self> {
        Ok(Self { tid: TID.with(Cell::get) })
    }

    #[expect(clippy::unused_self, reason = "the signature of the library")]
    pub(crate) fn begin(self, word: &AtomicU32) -> Pending {
        if step() {
            PENDING.with(|pending| *pending.borrow_mut() = Some(word.word().clone()));
        }
        Pending
    }
}

impl Pending {
    #[expect(clippy::unused_self, reason = "the signature of the library")]
    pub(crate) fn end(self) {
        if step() {
            PENDING.with(|pending| *pending.borrow_mut() = None);
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Held(Pending, bool);

impl Held {
    pub(crate) fn new(pending: Pending, owner_died: bool) -> Self {
        Self(pending, owner_died)
    }

    pub(crate) fn owner_died(self) -> bool {
        self.1
    }

    pub(crate) fn end(self) {
        self.0.end();
    }
}
