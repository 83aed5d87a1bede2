//! Threads that share a step's work without changing its bits.
//!
//! Each worker is a pool of one thread, so that whatever a tensor library parallelizes inside an
//! operation runs on that thread alone. Results are taken in the order of the jobs.

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

    /// Computes every job, one a worker at a time, and hands out the results in the jobs' order.
    pub(crate) fn in_order<J: Send, R: Send>(
        &self,
        jobs: impl IntoIterator<Item = J>,
        work: impl Fn(J) -> R + Sync,
        mut take: impl FnMut(R),
    ) {
        let mut jobs = jobs.into_iter();
        loop {
            let wave: Vec<J> = jobs.by_ref().take(self.pools.len()).collect();
            if wave.is_empty() {
                return;
            }
            self.at_once(wave, &work).into_iter().for_each(&mut take);
        }
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

    /// Computes jobs that cost about the same, in as many parts as there are workers; results in
    /// the order of the jobs.
    pub(crate) fn spread<J: Send, R: Send>(
        &self,
        jobs: Vec<J>,
        work: impl Fn(J) -> R + Sync,
    ) -> Vec<R> {
        let each = jobs.len().div_ceil(self.pools.len()).max(1);
        let (mut parts, mut jobs) = (Vec::new(), jobs.into_iter());
        loop {
            let part: Vec<J> = jobs.by_ref().take(each).collect();
            if part.is_empty() {
                break;
            }
            parts.push(part);
        }
        let part = |jobs: Vec<J>| jobs.into_iter().map(&work).collect::<Vec<R>>();
        self.at_once(parts, &part).into_iter().flatten().collect()
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
            let mut found = Vec::new();
            workers.in_order(0..17, |i| i * i, |square| found.push(square));
            assert_eq!(found, expected, "{threads} threads");
            assert_eq!(workers.spread((0..17).collect(), |i| i * i), expected);
            assert!(workers.spread(Vec::new(), |i: usize| i).is_empty());
        }
    }
}
