//! Threads that share a step's micro-batches without changing its bits.
//!
//! Each worker is a pool of one thread, so that whatever a tensor library parallelizes inside an
//! operation runs on that thread alone. Results are folded in the order of the jobs.

/// A fixed number of worker threads.
pub(crate) struct Workers {
    pools: Vec<rayon::ThreadPool>,
}

impl Workers {
    /// Starts `threads` workers.
    pub(crate) fn new(threads: usize) -> Result<Self, rayon::ThreadPoolBuildError> {
        let name = |index: usize| move |_| format!("archipel-train-{index}");
        let start = |i| {
            rayon::ThreadPoolBuilder::new()
                .num_threads(1)
                .thread_name(name(i))
                .build()
        };
        Ok(Self {
            pools: (0..threads).map(start).collect::<Result<_, _>>()?,
        })
    }

    /// Computes every job, one a worker at a time, and folds the results in the jobs' order.
    pub(crate) fn in_order<J: Sync, R: Send, E>(
        &self,
        jobs: &[J],
        work: impl Fn(&J) -> R + Sync,
        mut fold: impl FnMut(R) -> Result<(), E>,
    ) -> Result<(), E> {
        for wave in jobs.chunks(self.pools.len()) {
            let mut results: Vec<Option<R>> = wave.iter().map(|_| None).collect();
            let slots = wave.iter().zip(&mut results).zip(&self.pools);
            std::thread::scope(|scope| {
                let work = &work;
                for ((job, slot), pool) in slots {
                    let mut run = move || *slot = Some(pool.install(|| work(job)));
                    if wave.len() == 1 {
                        run();
                    } else {
                        scope.spawn(run);
                    }
                }
            });
            for result in results {
                fold(result.expect("the scope waits for every worker"))?;
            }
        }
        Ok(())
    }
}
