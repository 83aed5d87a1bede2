//! Threads that work ahead of the virtual clock.
//!
//! A piece of work is a pure function that is begun when virtual time says so, and joined when
//! virtual time says that it is done. In between it runs on any of the threads, or on none: the
//! result is the same, so the number of threads changes no digest.

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc,
    },
    thread::{self, JoinHandle},
};

/// The most threads a pool starts.
pub(super) const MAX_THREADS: usize = 256;

type Work<W> = Box<dyn FnOnce(&mut W) + Send>;

/// Threads, each with a workplace of its own.
pub(super) struct Pool<W> {
    queue: Option<mpsc::Sender<Work<W>>>,
    threads: Vec<JoinHandle<()>>,
    closing: Arc<AtomicBool>,
}

/// A result that is being computed. Dropping it stops the work.
pub(super) struct Pending<T> {
    result: mpsc::Receiver<T>,
    _wanted: Arc<()>,
}

/// Whether somebody still waits for a result.
pub(super) struct Wanted {
    by: Weak<()>,
    closing: Arc<AtomicBool>,
}

impl<W: 'static> Pool<W> {
    /// Starts `threads` threads, 1 to [`MAX_THREADS`] (what lies outside is moved to the nearer
    /// end), and makes the workplace of each on it.
    pub fn start(
        threads: usize,
        workplace: impl Fn() -> W + Clone + Send + 'static,
    ) -> io::Result<Self> {
        let (queue, works) = mpsc::channel::<Work<W>>();
        let works = Arc::new(Mutex::new(works));
        let mut pool = Self {
            queue: Some(queue),
            threads: Vec::new(),
            closing: Arc::default(),
        };
        for index in 0..threads.clamp(1, MAX_THREADS) {
            let (works, workplace) = (works.clone(), workplace.clone());
            let builder = thread::Builder::new().name(format!("archipel-sim-{index}"));
            let thread = builder.spawn(move || {
                let mut workplace = workplace();
                while let Some(work) = next(&works) {
                    work(&mut workplace);
                }
            })?;
            pool.threads.push(thread);
        }
        Ok(pool)
    }

    /// Threads that were started.
    pub fn threads(&self) -> usize {
        self.threads.len()
    }

    /// Queues a piece of work. It may return nothing once nobody waits for its result.
    pub fn begin<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut W, &Wanted) -> Option<T> + Send + 'static,
    ) -> Pending<T> {
        let (sender, result) = mpsc::channel();
        let by = Arc::new(());
        let wanted = Wanted {
            by: Arc::downgrade(&by),
            closing: self.closing.clone(),
        };
        let work = move |workplace: &mut W| {
            let done = wanted.still().then(|| work(workplace, &wanted)).flatten();
            if let Some(result) = done {
                // Whoever waited may be gone by now.
                let _ = sender.send(result);
            }
        };
        let queue = self.queue.as_ref().expect("open until it is dropped");
        // With every thread gone the work is dropped, and waiting for it says so.
        let _ = queue.send(Box::new(work));
        Pending {
            result,
            _wanted: by,
        }
    }
}

impl<W> Drop for Pool<W> {
    fn drop(&mut self) {
        self.closing.store(true, Relaxed);
        self.queue = None;
        for thread in self.threads.drain(..) {
            // A thread that panicked has said so to whoever waited for its work.
            let _ = thread.join();
        }
    }
}

impl<T> Pending<T> {
    /// Waits for the result.
    ///
    /// # Panics
    /// Where the work panicked.
    pub fn wait(self) -> T {
        let result = self.result.recv();
        result.expect("work that is waited for ends with a result, unless it panicked")
    }
}

impl Wanted {
    /// Whether somebody still waits.
    pub fn still(&self) -> bool {
        self.by.strong_count() > 0 && !self.closing.load(Relaxed)
    }
}

fn next<W>(works: &Mutex<mpsc::Receiver<Work<W>>>) -> Option<Work<W>> {
    let works = works.lock().unwrap_or_else(PoisonError::into_inner);
    works.recv().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_to_who_waits_in_any_order() {
        let pool = Pool::start(3, || 0u64).expect("threads");
        assert_eq!(pool.threads(), 3);
        let begun: Vec<_> = (0..50u64)
            .map(|n| pool.begin(move |_, _| Some(n * n)))
            .collect();
        for (n, pending) in begun.into_iter().enumerate().rev() {
            assert_eq!(pending.wait(), (n * n) as u64);
        }
    }

    #[test]
    fn work_that_nobody_waits_for_stops() {
        let pool = Pool::start(1, || ()).expect("threads");
        let (began, begins) = mpsc::channel();
        let (ended, ends) = mpsc::channel();
        let endless = pool.begin(move |(), wanted| {
            began.send(()).expect("the test waits");
            while wanted.still() {
                thread::yield_now();
            }
            ended.send(()).expect("the test waits");
            None::<()>
        });
        begins.recv().expect("the work begins");
        let skipped = pool.begin(|(), _| -> Option<()> { panic!("nobody waits for this") });
        drop(skipped);
        drop(endless);
        ends.recv().expect("the work ends");
        assert_eq!(pool.begin(|(), _| Some(7)).wait(), 7);
    }

    #[test]
    #[should_panic(expected = "unless it panicked")]
    fn a_panic_is_passed_on_to_who_waits() {
        let pool = Pool::start(1, || ()).expect("threads");
        let pending = pool.begin(|(), _| -> Option<()> { panic!("as planned") });
        pending.wait();
    }
}
