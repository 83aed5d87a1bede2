//! Threads that share a step's work without changing its bits.
//!
//! Each worker is a pool of one thread, so that whatever a tensor library parallelizes inside an
//! operation runs on that thread alone. Results are taken in the order of the jobs.

use std::sync::Mutex;

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

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.pools.len()
    }

    /// Computes at most as many jobs as there are workers, each on its own; results in order.
    pub(crate) fn at_once<J: Send, R: Send>(
        &self,
        wave: Vec<J>,
        work: &(impl Fn(J) -> R + Sync),
    ) -> Vec<R> {
        assert!(wave.len() <= self.pools.len(), "one worker a job");
        let mut results: Vec<Option<R>> = wave.iter().map(|_| None).collect();
        let last = wave.len().saturating_sub(1);
        std::thread::scope(|scope| {
            let slots = wave.into_iter().zip(&mut results).zip(&self.pools);
            for (index, ((job, slot), pool)) in slots.enumerate() {
                let run = move || *slot = Some(pool.install(|| work(job)));
                if index == last {
                    run();
                } else {
                    scope.spawn(run);
                }
            }
        });
        let done = |result: Option<R>| result.expect("the scope waits for every worker");
        results.into_iter().map(done).collect()
    }

    /// Computes all jobs, each worker the next one that is free; results in the order of the jobs.
    pub(crate) fn spread<J: Send, R: Send>(
        &self,
        jobs: Vec<J>,
        work: impl Fn(J) -> R + Sync,
    ) -> Vec<R> {
        let workers = self.pools.len().min(jobs.len());
        let queue = Mutex::new(jobs.into_iter().enumerate());
        let next = || {
            queue
                .lock()
                .expect("no job panics while it is taken")
                .next()
        };
        let part = |()| {
            let mut results = Vec::new();
            while let Some((index, job)) = next() {
                results.push((index, work(job)));
            }
            results
        };
        let parts = self.at_once(vec![(); workers], &part);
        let mut results: Vec<(usize, R)> = parts.into_iter().flatten().collect();
        results.sort_unstable_by_key(|(index, _)| *index);
        results.into_iter().map(|(_, result)| result).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_jobs_for_any_number_of_workers() {
        let expected: Vec<usize> = (0..17).map(|i| i * i).collect();
        for threads in [1, 2, 3, 8, 20] {
            let workers = Workers::new(threads).expect("threads start");
            assert_eq!(
                workers.spread((0..17).collect(), |i| i * i),
                expected,
                "{threads}"
            );
            assert!(workers.spread(Vec::new(), |i: usize| i).is_empty());
        }
    }
}
