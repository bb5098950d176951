//! As much of an async runtime as this takes: many futures in one thread, which waits for all their descriptors at once.

use std::{
    cell::RefCell,
    future::{self, Future},
    io::Write,
    os::{fd::AsFd, unix::net::UnixStream},
    path::PathBuf,
    pin::Pin,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll, Wake, Waker},
};

use mp_core::{Result, Source, wait};

use crate::server;

thread_local! {
    /// Who waits for what.
    static WAITING: RefCell<Vec<(Rc<UnixStream>, Waker)>> = const { RefCell::new(Vec::new()) };
}

/// [`server::ask`] that lets others go on while it waits.
pub(crate) async fn ask((server, question): (PathBuf, u64)) -> Result<u64> {
    let mut stream = UnixStream::connect(server).unwrap();
    stream.write_all(&question.to_le_bytes()).unwrap();
    let stream = Rc::new(stream);
    readable(&stream).await;
    Ok(server::read_answer(stream.try_clone().unwrap()))
}

/// Ends when there is something to read.
async fn readable(stream: &Rc<UnixStream>) {
    let mut asked = false;
    future::poll_fn(|context| {
        if std::mem::replace(&mut asked, true) {
            return Poll::Ready(());
        }
        WAITING.with_borrow_mut(|all| all.push((Rc::clone(stream), context.waker().clone())));
        Poll::Pending
    })
    .await;
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Relaxed);
    }
}

struct Task<F> {
    future: Pin<Box<F>>,
    woken: Arc<Woken>,
    output: Option<u64>,
}

/// Runs all `futures` in this thread.
pub(crate) fn run<F>(futures: impl Iterator<Item = F>) -> Result<Vec<u64>>
where
    F: Future<Output = Result<u64>>,
{
    let start = |future| Task {
        future: Box::pin(future),
        woken: Arc::new(Woken(AtomicBool::new(true))),
        output: None,
    };
    let mut tasks: Vec<_> = futures.map(start).collect();
    while tasks.iter().any(|task| task.output.is_none()) {
        for task in &mut tasks {
            if task.woken.0.swap(false, Relaxed) {
                let waker = Waker::from(Arc::clone(&task.woken));
                if let Poll::Ready(output) =
                    task.future.as_mut().poll(&mut Context::from_waker(&waker))
                {
                    task.output = Some(output?);
                }
            }
        }
        wake_ready()?;
    }
    Ok(tasks.into_iter().filter_map(|task| task.output).collect())
}

/// Waits until a descriptor is ready that somebody waits for, and wakes those.
fn wake_ready() -> Result<()> {
    WAITING.with_borrow_mut(|waiting| {
        if waiting.is_empty() {
            return Ok(());
        }
        let fds: Vec<_> = waiting.iter().map(|(stream, _)| stream.as_fd()).collect();
        let sources: Vec<_> = fds.iter().map(|fd| fd as &dyn Source).collect();
        for position in wait(&sources)?.into_iter().rev() {
            waiting.swap_remove(position).1.wake();
        }
        Ok(())
    })
}
