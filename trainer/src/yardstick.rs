//! Bare matrix products on all threads: what training is compared with.

use crate::EngineError;
use crate::exact::product::{Into, Packed, Rows, Size, multiply};
use crate::workers::Workers;

/// Sizes of the product each thread repeats: its factors and result stay in a core's caches.
const SIZE: Size = Size {
    rows: 192,
    inner: 256,
    columns: 256,
};
/// Products of one run.
const REPEATS: u128 = 400;

/// Calls `time` with a run of products, `runs` times; the run computes on `threads` threads and
/// gives the floating-point operations that it did.
///
/// # Errors
/// Threads that cannot be started.
pub fn multiply_on_all(
    threads: usize,
    runs: usize,
    time: &mut dyn FnMut(&mut dyn FnMut() -> u128),
) -> Result<(), EngineError> {
    let workers =
        Workers::new(threads).map_err(|reason| EngineError::Threads { threads, reason })?;
    let a = vec![0.5; SIZE.rows * SIZE.inner];
    let b = vec![0.25; SIZE.inner * SIZE.columns];
    let b = Packed::rows(Rows::new(&b, SIZE.columns), SIZE.inner, SIZE.columns);
    let work = |c: &mut Vec<f32>| {
        for _ in 0..REPEATS {
            let a = Rows::new(std::hint::black_box(&a), SIZE.inner);
            multiply(SIZE, a, &b, c, SIZE.columns, Into::Set);
        }
    };
    let mut results = vec![vec![0.0; SIZE.rows * SIZE.columns]; threads];
    let flop = 2 * REPEATS * (SIZE.rows * SIZE.inner * SIZE.columns * threads) as u128;
    for _ in 0..runs {
        time(&mut || {
            workers.at_once(results.iter_mut().collect(), &work);
            flop
        });
    }
    Ok(())
}
