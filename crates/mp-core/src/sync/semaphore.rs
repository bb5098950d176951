use std::ops::Deref;

use mp_sync::{Permit, TimeoutError};

use super::{Object, travels};
use crate::Result;

/// How many processes can hold permits at the same time: what fits into a page.
const PROCESSES: usize = 250;

/// A number of permits for any number of processes. Those of a process that dies come back.
///
/// A handle: cloning it or sending it to another process gives another handle of the same semaphore. Up to 250 processes can
/// hold permits at the same time.
///
/// A [`Permit`] goes back when it is dropped, or when its process dies. Where it stands for something that was used up, or
/// that another process is to give back, as with Python's `acquire` in one process and `release` in another,
/// [`forget`](Permit::forget) it and [`release`](Self::release) there.
///
/// # Examples
///
/// ```
/// use mp_core::{Process, Semaphore};
///
/// let items = Semaphore::new(0)?;
/// let produce = |items: Semaphore| (0..3).for_each(|_| items.release().unwrap());
/// let child = Process::spawn(produce, items.clone())?;
/// for _ in 0..3 {
///     items.acquire()?.forget();
/// }
/// child.join()?;
/// assert_eq!(items.available(), 0);
/// # Ok::<(), mp_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Semaphore(Object);

impl Semaphore {
    const KIND: &[u8; 8] = b"mp semap";

    /// A semaphore with so many permits.
    ///
    /// # Errors
    ///
    /// An error with a hint where memory or descriptors are short.
    pub fn new(permits: u64) -> Result<Self> {
        let object = Object::create(Self::KIND, mp_sync::Semaphore::words(PROCESSES), 0)?;
        mp_sync::Semaphore::create(object.words(), permits)?;
        Ok(Self(object))
    }

    mp_os::family! {
        /// Takes a permit, waiting until there is one.
        ///
        /// # Errors
        ///
        /// [`QuotaExceeded`](std::io::ErrorKind::QuotaExceeded) where 250 other processes hold permits.
        pub fn acquire, try_acquire, acquire_timeout, acquire_deadline(self: &Self) -> Permit<'_> = acquire_until;
    }

    /// Adds a permit, whoever has taken one before.
    ///
    /// # Errors
    ///
    /// [`QuotaExceeded`](std::io::ErrorKind::QuotaExceeded) where there are as many as there may be: of a
    /// [`BoundedSemaphore`], as at its beginning.
    pub fn release(&self) -> Result<()> {
        Ok(self.view()?.release()?)
    }

    /// Adds so many permits.
    ///
    /// # Errors
    ///
    /// As for [`release`](Self::release); none is added then.
    pub fn release_many(&self, permits: u64) -> Result<()> {
        Ok(self.view()?.release_many(permits)?)
    }

    /// The number of permits that could be had without waiting, a moment ago.
    #[doc(alias = "get_value")]
    pub fn available(&self) -> u64 {
        self.view().map_or(0, |semaphore| semaphore.available())
    }

    fn acquire_until(&self, deadline: mp_sync::Deadline) -> Result<Permit<'_>, TimeoutError> {
        self.view()?.acquire_until(deadline)
    }

    fn view(&self) -> Result<mp_sync::Semaphore<'_>, mp_os::Error> {
        mp_sync::Semaphore::attach(self.0.words())
    }
}

/// A [`Semaphore`] that never has more permits than at its beginning: a release too many is an error.
///
/// # Examples
///
/// ```
/// use mp_core::BoundedSemaphore;
///
/// let seats = BoundedSemaphore::new(2)?;
/// let seat = seats.acquire()?;
/// assert_eq!(seats.available(), 1);
/// drop(seat);
/// assert!(seats.release().is_err(), "nobody has taken one");
/// # Ok::<(), mp_core::Error>(())
/// ```
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct BoundedSemaphore(Semaphore);

impl BoundedSemaphore {
    /// A semaphore with so many permits.
    ///
    /// # Errors
    ///
    /// An error with a hint where memory or descriptors are short.
    pub fn new(permits: u64) -> Result<Self> {
        let words = mp_sync::BoundedSemaphore::words(PROCESSES);
        let object = Object::create(Semaphore::KIND, words, 0)?;
        mp_sync::BoundedSemaphore::create(object.words(), permits)?;
        Ok(Self(Semaphore(object)))
    }
}

/// All that a semaphore can do.
impl Deref for BoundedSemaphore {
    type Target = Semaphore;

    fn deref(&self) -> &Semaphore {
        &self.0
    }
}

travels!(Semaphore);
