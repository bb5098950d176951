//! What the kernel does for a lock when its holder dies, and how a thread asks for it.
//!
//! Each thread registers one `struct robust_list_head` with the kernel, which glibc does at thread start. When a thread
//! dies or calls `execve(2)`, the kernel looks at the futex word that `list_op_pending` names: if it holds the thread's
//! TID, the word becomes `OWNER_DIED` and one waiter is woken; if its TID bits are zero, one waiter is woken too, for the
//! wake-up that the dying thread may have owed. So a lock is robust for as long as `list_op_pending` names its word, from
//! before the word is taken until after the waiters were woken. The list proper is not used: nothing in shared memory
//! points anywhere, and a hostile peer finds no pointer to bend. A thread that holds several locks tells the kernel of the
//! innermost leaf, else of the outermost one: for the others there is [`ProcessId`](crate::process::ProcessId). Source: `Documentation/locking/robust-futex-ABI.rst`.
//!
//! What is known about a thread is cached in thread-local storage, which a forked process inherits with its parent's TID
//! inside, and a raw `clone(2)` runs no `atfork` handler. So the cache is valid for one *generation* only, a number in
//! [words](Wiped) that are zero again in every new process. A child that shares the memory of its parent, as after `vfork(2)`,
//! shares these words and the storage too: it must not take locks.
//!
//! # Safety
//!
//! The pointers to a [`RobustHead`] come from the kernel or from this thread's own storage, and are used by that thread
//! only, which cannot outlive them. `list_op_pending` is accessed with volatile, single-word stores: its other reader is
//! the kernel, when the thread has stopped for good.

#![allow(unsafe_code, reason = "owns the calling thread's robust list head")]

use std::{
    cell::{Cell, UnsafeCell},
    io,
    ptr::{self, NonNull},
    sync::atomic::{
        AtomicU32, AtomicU64,
        Ordering::{Relaxed, SeqCst},
        compiler_fence,
    },
};

use mp_os::{Error, Result, Wiped};

use crate::sys;

/// `struct robust_list_head` of `linux/futex.h`.
#[repr(C)]
pub(crate) struct RobustHead {
    /// The first entry, or the head itself while the list is empty.
    list: *mut Self,
    /// From an entry to its futex word, in bytes. The kernel reads it anew when the thread dies, so it is never assumed.
    futex_offset: isize,
    /// The entry that is being added or removed: the only part that this crate writes.
    list_op_pending: *mut u8,
}

/// The calling thread, as the kernel knows it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Holder {
    /// The thread's number in its PID namespace, as the kernel compares it with the lock word.
    pub(crate) tid: u32,
    futex_offset: isize,
    pending: Slot,
    page: Page,
}

/// The calling thread's `list_op_pending`. Not `Send`: it is this thread's own.
#[derive(Clone, Copy, Debug)]
struct Slot(*mut *mut u8);

/// The kernel knows of a word; and which one it is to know of afterwards.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pending {
    slot: Slot,
    /// A lock that this thread holds all the while, or null.
    outer: *mut u8,
}

/// A [`Pending`] while its lock is held: one word, so that a guard is two. A longer one would be copied by other pieces than it
/// was written in whenever it is returned, which takes as long as the lock does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held(
    /// `outer`, with a bit that no entry has: the words are aligned to 4, and the C library marks entries by the lowest bit.
    *mut u8,
);

/// A generation that no process ever has, and no cache is valid in.
const UNKNOWN: u64 = u64::MAX;

/// What is known about one thread, and in which generation it was found out.
///
/// Each part is read by itself: a whole [`Holder`] would go through memory, which costs as much as the lock does.
struct Cache {
    generation: Cell<u64>,
    /// `None` until something is known.
    page: Cell<Option<Page>>,
    tid: Cell<u32>,
    futex_offset: Cell<isize>,
    pending: Cell<Slot>,
    /// Registered where the kernel knows none: in a process that a raw `clone(2)` made.
    own_head: UnsafeCell<RobustHead>,
}

thread_local! {
    static CACHE: Cache = const {
        Cache {
            generation: Cell::new(UNKNOWN),
            page: Cell::new(None),
            tid: Cell::new(0),
            futex_offset: Cell::new(0),
            pending: Cell::new(Slot(ptr::null_mut())),
            own_head: UnsafeCell::new(RobustHead {
                list: ptr::null_mut(),
                futex_offset: 0,
                list_op_pending: ptr::null_mut(),
            }),
        }
    };
}

/// What is known about this process: zeroes in one that has just been forked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Page(&'static [AtomicU64; 2]);

/// Stands in for the wiped page until there is one, and for ever where the kernel refuses one: no cache is valid then.
static NO_PAGE: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];

static PAGE: Wiped<2> = Wiped::new();

/// The newest generation of this process and its ancestors. Ordinary memory, so that a child counts on from here and its
/// generation differs from every one that its inherited thread-local storage may hold.
static NEWEST: AtomicU64 = AtomicU64::new(0);

impl Holder {
    /// The calling thread: a few loads, except for the first time in a thread and after a fork.
    #[inline(always)]
    pub(crate) fn current() -> Result<Self> {
        CACHE.with(|cache| {
            let page = match cache.valid() {
                Some(page) => page,
                None => cache.fill()?,
            };
            Ok(cache.holder(page))
        })
    }

    /// What is known about its process.
    #[inline(always)]
    pub(crate) fn page(self) -> Page {
        self.page
    }

    /// Tells the kernel which word this thread is about to take or to release: from here on it is repaired if we die.
    #[inline(always)]
    pub(crate) fn begin(self, word: &AtomicU32) -> Pending {
        let entry = word.as_ptr().cast::<u8>().wrapping_byte_offset(-self.futex_offset);
        let known = self.pending.get();
        self.pending.set(entry);
        // A thread that dies has retired its stores in program order, so only the compiler could take the word earlier.
        compiler_fence(SeqCst);
        let outer = if known == entry { ptr::null_mut() } else { known };
        Pending { slot: self.pending, outer }
    }
}

impl Pending {
    /// Tells the kernel that this thread neither holds this word nor owes a wake-up for it.
    #[inline]
    pub(crate) fn end(self) {
        compiler_fence(SeqCst);
        self.slot.set(self.outer);
    }

    /// The word is held from here on, whatever else happens inside: the kernel goes on knowing of it, unless this thread
    /// holds another lock around it that the kernel knows of.
    #[inline]
    pub(crate) fn stay(self) {
        if !self.outer.is_null() {
            self.end();
        }
    }
}

impl Held {
    const OWNER_DIED: usize = 2;

    #[inline(always)]
    pub(crate) fn new(pending: Pending, owner_died: bool) -> Self {
        let mark = if owner_died { Self::OWNER_DIED } else { 0 };
        Self(pending.outer.map_addr(|address| address | mark))
    }

    #[inline(always)]
    pub(crate) fn owner_died(self) -> bool {
        self.0.addr() & Self::OWNER_DIED != 0
    }

    /// [`Pending::end`], in the thread that began it.
    #[inline(always)]
    pub(crate) fn end(self) {
        let outer = self.0.map_addr(|address| address & !Self::OWNER_DIED);
        CACHE.with(|cache| Pending { slot: cache.pending.get(), outer }.end());
    }
}

impl Slot {
    #[inline]
    fn get(self) -> *mut u8 {
        // SAFETY: it is in this thread's head, `Slot` is not `Send`, so the head is alive; nobody else writes it.
        unsafe { self.0.read_volatile() }
    }

    #[inline]
    fn set(self, entry: *mut u8) {
        // SAFETY: as above; nobody but this thread and, after it, the kernel looks at it.
        unsafe { self.0.write_volatile(entry) };
    }
}

impl Cache {
    /// The page, if what is cached is about this process.
    #[inline(always)]
    fn valid(&self) -> Option<Page> {
        self.page.get().filter(|page| page.generation().load(Relaxed) == self.generation.get())
    }

    #[inline(always)]
    fn holder(&self, page: Page) -> Holder {
        Holder {
            tid: self.tid.get(),
            futex_offset: self.futex_offset.get(),
            pending: self.pending.get(),
            page,
        }
    }

    #[cold]
    fn fill(&self) -> Result<Page> {
        let head = sys::robust_head()
            .and_then(|head| head.map_or_else(|| self.register_own(), Ok))
            .map_err(|error| Error::new("register", "the thread's robust list", error))?;
        // SAFETY: the kernel gave back what this thread has registered, which is alive for as long as the thread.
        self.futex_offset.set(unsafe { (*head.as_ptr()).futex_offset });
        // SAFETY: as above; a field's address, not its value.
        let pending = Slot(unsafe { &raw mut (*head.as_ptr()).list_op_pending });
        self.pending.set(pending);
        self.tid.set(sys::gettid());
        let generation = generation();
        self.generation.set(generation.unwrap_or(UNKNOWN));
        if generation.is_some() {
            // A forked child has a copy of what its parent held, and holds none of it.
            pending.set(ptr::null_mut());
        }
        let page = page();
        self.page.set(Some(page));
        Ok(page)
    }

    /// Registers a head of our own: glibc's is in the parent's list only.
    fn register_own(&self) -> io::Result<NonNull<RobustHead>> {
        let head = self.own_head.get();
        let empty = RobustHead { list: head, futex_offset: 0, list_op_pending: ptr::null_mut() };
        // SAFETY: the head is in this thread's storage, and the kernel does not know it yet.
        unsafe { head.write(empty) };
        // SAFETY: the pointer of an `UnsafeCell` is not null.
        let head = unsafe { NonNull::new_unchecked(head) };
        // SAFETY: storage without a destructor outlives the kernel's look at it, which comes before the thread's end is
        // reported, and only after that report is the storage given back.
        unsafe { sys::set_robust_head(head) }?;
        Ok(head)
    }
}

impl Page {
    /// Zero where no thread of this process has asked yet.
    #[inline(always)]
    fn generation(self) -> &'static AtomicU64 {
        &self.0[0]
    }

    /// The bits of its [`ProcessId`](crate::process::ProcessId); zero where no thread has asked yet.
    #[inline(always)]
    fn number(self) -> &'static AtomicU64 {
        &self.0[1]
    }

    /// The number of this process; zero where nobody has found it out yet.
    #[inline(always)]
    pub(crate) fn process(self) -> u64 {
        self.number().load(Relaxed)
    }
}

/// Remembers the number of this process for as long as it is that.
pub(crate) fn remember_process(number: u64) {
    if generation().is_some() {
        page().number().store(number, Relaxed);
    }
}

/// What is known about this process.
#[inline]
pub(crate) fn page() -> Page {
    Page(PAGE.get().unwrap_or(&NO_PAGE))
}

/// This process's generation; `None` where the kernel does not wipe pages, so that nothing may be cached.
fn generation() -> Option<u64> {
    let known = Page(PAGE.get_or_make().ok()?).generation();
    match known.load(Relaxed) {
        0 => {
            let new = NEWEST.fetch_add(1, Relaxed) + 1;
            let set = known.compare_exchange(0, new, Relaxed, Relaxed);
            Some(set.map_or_else(|other| other, |_| new))
        }
        generation => Some(generation),
    }
}
