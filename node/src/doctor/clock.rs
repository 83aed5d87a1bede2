//! The clock, as the kernel knows it: whether anything keeps it right, and how wrong it may be.

use super::Finding;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A clock that is before this (2026-01-01) was never set.
const FLOOR: Duration = Duration::from_secs(1_767_225_600);

/// What the kernel says of its clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kernel {
    /// Something keeps it right; it may be wrong by so much, and is estimated to be by so much.
    Synchronized { most: Duration, estimated: Duration },
    /// Nothing does.
    Alone,
    /// The kernel does not say.
    Silent,
}

pub(super) fn finding() -> Finding {
    judged(SystemTime::now(), ask())
}

#[cfg(target_os = "linux")]
#[allow(unsafe_code)]
fn ask() -> Kernel {
    // SAFETY: a `timex` is plain numbers, of which zero is one; with its `modes` zero the call
    // changes nothing and writes only into it.
    let (state, clock) = unsafe {
        let mut clock: libc::timex = std::mem::zeroed();
        (libc::adjtimex(&raw mut clock), clock)
    };
    let micros = |count: libc::c_long| Duration::from_micros(count.unsigned_abs());
    match state {
        -1 => Kernel::Silent,
        libc::TIME_ERROR => Kernel::Alone,
        _ if clock.status & libc::STA_UNSYNC != 0 => Kernel::Alone,
        _ => Kernel::Synchronized {
            most: micros(clock.maxerror),
            estimated: micros(clock.esterror),
        },
    }
}

#[cfg(not(target_os = "linux"))]
fn ask() -> Kernel {
    Kernel::Silent
}

fn judged(now: SystemTime, kernel: Kernel) -> Finding {
    if now.duration_since(UNIX_EPOCH).unwrap_or_default() < FLOOR {
        let advice = "set the clock: records are dated by it (nothing is decided by it)";
        return Finding::note("clock", "before 2026").advise(advice);
    }
    let way_out = "turn it on: `timedatectl set-ntp true`, or chrony. Records are dated by this \
                   clock, nothing is decided by it";
    match kernel {
        Kernel::Synchronized { most, estimated } => {
            let found = match estimated.is_zero() {
                true => format!(
                    "synchronized, says the kernel; off by {} at most",
                    time(most)
                ),
                false => format!(
                    "synchronized, says the kernel; off by about {}, at most {}",
                    time(estimated),
                    time(most)
                ),
            };
            Finding::good("clock", found)
        }
        Kernel::Alone => {
            Finding::note("clock", "not synchronized, says the kernel").advise(way_out)
        }
        Kernel::Silent => Finding::untested("clock", "not tested: this system does not say"),
    }
}

fn time(time: Duration) -> String {
    crate::cli::text::duration(time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    #[test]
    fn the_kernels_word_is_told() {
        let now = UNIX_EPOCH + 2 * FLOOR;
        let of = |kernel| judged(now, kernel);
        let kept = of(Kernel::Synchronized {
            most: Duration::from_micros(12_400),
            estimated: Duration::from_micros(1300),
        });
        assert_eq!(kept.verdict, Verdict::Good);
        assert!(
            kept.found.ends_with("off by about 1.3 ms, at most 12 ms"),
            "{kept:?}"
        );
        let alone = of(Kernel::Alone);
        assert_eq!(alone.verdict, Verdict::Note);
        assert!(alone.advice.expect("advice").contains("timedatectl"));
        assert_eq!(of(Kernel::Silent).verdict, Verdict::Untested);
        let never = judged(UNIX_EPOCH, Kernel::Alone);
        assert_eq!(never.found, "before 2026");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn linux_answers() {
        assert_ne!(ask(), Kernel::Silent);
    }
}
