//! Many tasks at once.

use std::collections::VecDeque;

use rayon::iter::{IntoParallelIterator, ParallelIterator};

use super::{ThreadPool, crew::Crew, meter::Meter, waiting::Epoch};
use crate::{Error, Result, Task, TaskError, pool::Order};

impl ThreadPool {
    /// Runs `function` on each item and returns the results in the order of the items.
    ///
    /// # Errors
    ///
    /// [`Error::Task`] with the first failure, after all tasks have ended; [`Error::Stopped`] for a closed pool.
    #[doc(alias = "starmap")]
    pub fn map<A, R, F, I>(&self, function: F, items: I) -> Result<Vec<R>>
    where
        A: Send,
        R: Send,
        F: Fn(A) -> R + Sync,
        I: IntoIterator<Item = A>,
    {
        let rayon = self.open()?;
        let items: Vec<A> = items.into_iter().collect();
        let epoch = self.crew.add(items.len() as u64);
        Ok(rayon.install(|| run_all(&self.crew, epoch, &function, items))?)
    }

    /// [`map`](Self::map) with a value that all tasks share, as [`Pool::map_with`](crate::Pool::map_with) has one.
    ///
    /// # Errors
    ///
    /// As for [`map`](Self::map).
    pub fn map_with<S, A, R, F, I>(&self, shared: &S, function: F, items: I) -> Result<Vec<R>>
    where
        S: Sync,
        A: Send,
        R: Send,
        F: Fn(&S, A) -> R + Sync,
        I: IntoIterator<Item = A>,
    {
        self.map(|item| function(shared, item), items)
    }

    /// [`map`](Self::map) without waiting: all items are taken at once, and the handle gives all results.
    ///
    /// # Errors
    ///
    /// As for [`submit`](Self::submit).
    ///
    /// # Examples
    ///
    /// ```
    /// let pool = mp_core::ThreadPool::new(2)?;
    /// let task = pool.map_async(|n: u64| n * n, 1..=3)?;
    /// assert_eq!(task.get()?, [1, 4, 9]);
    /// # Ok::<(), mp_core::Error>(())
    /// ```
    #[doc(alias = "starmap_async")]
    pub fn map_async<A, R, F, I>(&self, function: F, items: I) -> Result<Task<Vec<R>>>
    where
        A: Send + 'static,
        R: Send + 'static,
        F: Fn(A) -> R + Send + Sync + 'static,
        I: IntoIterator<Item = A>,
    {
        self.open()?;
        let items: Vec<A> = items.into_iter().collect();
        self.post(items.len() as u64, move |crew, epoch| run_all(crew, epoch, &function, items))
    }

    /// Runs `function` on each item, lazily: an iterator of the outcomes in the order of the items.
    ///
    /// Items are taken as threads need them, twice as many ahead as there are threads. Once the pool takes no more of them, why
    /// is the last outcome. Dropping the iterator early cancels the tasks that have not begun.
    ///
    /// # Errors
    ///
    /// [`Error::Stopped`] for a closed pool.
    pub fn imap<A, R, F, I>(
        &self,
        function: F,
        items: I,
    ) -> Result<impl Iterator<Item = Result<R, TaskError>>>
    where
        A: Send + 'static,
        R: Send + 'static,
        F: Fn(A) -> R + Clone + Send + 'static,
        I: IntoIterator<Item = A>,
    {
        Ahead::new(self, function, items.into_iter(), Order::OfTasks)
    }

    /// [`imap`](Self::imap) whose outcomes come as the tasks end.
    ///
    /// # Errors
    ///
    /// As for [`imap`](Self::imap).
    pub fn imap_unordered<A, R, F, I>(
        &self,
        function: F,
        items: I,
    ) -> Result<impl Iterator<Item = Result<R, TaskError>>>
    where
        A: Send + 'static,
        R: Send + 'static,
        F: Fn(A) -> R + Clone + Send + 'static,
        I: IntoIterator<Item = A>,
    {
        Ahead::new(self, function, items.into_iter(), Order::OfEnds)
    }
}

/// The results, or the first failure, after all have ended.
fn run_all<A: Send, R: Send>(
    crew: &Crew,
    epoch: Epoch,
    function: &(impl Fn(A) -> R + Sync),
    items: Vec<A>,
) -> Result<Vec<R>, TaskError> {
    let run = |meter: &mut Meter<'_>, item| meter.run(|| function(item));
    let outcomes: Vec<_> = items.into_par_iter().map_init(|| crew.meter(epoch), run).collect();
    outcomes.into_iter().collect()
}

/// Tasks that run ahead of their results.
struct Ahead<'a, F, I, R> {
    pool: &'a ThreadPool,
    function: F,
    items: I,
    order: Order,
    tasks: VecDeque<Task<R>>,
    is_exhausted: bool,
    /// Why the pool has not taken all tasks.
    refusal: Option<Error>,
}

impl<'a, A, R, F, I> Ahead<'a, F, I, R>
where
    A: Send + 'static,
    R: Send + 'static,
    F: Fn(A) -> R + Clone + Send + 'static,
    I: Iterator<Item = A>,
{
    fn new(pool: &'a ThreadPool, function: F, items: I, order: Order) -> Result<Self> {
        pool.open()?;
        let (tasks, is_exhausted, refusal) = (VecDeque::new(), false, None);
        Ok(Self { pool, function, items, order, tasks, is_exhausted, refusal })
    }

    fn fill(&mut self) {
        while !self.is_exhausted && self.tasks.len() < 2 * self.pool.workers() {
            let Some(item) = self.items.next() else {
                self.is_exhausted = true;
                return;
            };
            match self.pool.submit(self.function.clone(), item) {
                Ok(task) => self.tasks.push_back(task),
                Err(error) => {
                    self.is_exhausted = true;
                    self.refusal = Some(error);
                }
            }
        }
    }

    /// The task whose outcome is to come next.
    fn next_task(&mut self) -> Option<Task<R>> {
        let engine = self.tasks.front()?.engine().clone();
        let mut at = 0;
        if self.order == Order::OfEnds {
            let mut find = || {
                let ended = self.tasks.iter().position(Task::is_done);
                at = ended.unwrap_or(0);
                ended.is_some()
            };
            // Where it fails, whoever asks the oldest one hears of it.
            drop(engine.wait_until(mp_os::Deadline::never(), &mut find));
        }
        self.tasks.remove(at)
    }
}

impl<A, R, F, I> Iterator for Ahead<'_, F, I, R>
where
    A: Send + 'static,
    R: Send + 'static,
    F: Fn(A) -> R + Clone + Send + 'static,
    I: Iterator<Item = A>,
{
    type Item = Result<R, TaskError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.fill();
        match self.next_task() {
            Some(task) => Some(task.get()),
            None => self.refusal.take().map(|error| Err(error.into())),
        }
    }
}

impl<F, I, R> Drop for Ahead<'_, F, I, R> {
    fn drop(&mut self) {
        for task in &self.tasks {
            // False where it runs, and then it is left alone.
            let _ = task.cancel();
        }
    }
}
