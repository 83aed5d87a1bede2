//! Processor, threads, memory and disk.

use super::{Finding, clock, folder::Folder};
use crate::cli::{Offer, bytes, plural};
use std::{fs, path::Path};

/// Below this a disk has no room for a log.
const LEAST_DISK: u64 = 64 << 20;

pub(super) fn findings(member: Option<&Folder>) -> Vec<Finding> {
    let offer = member.and_then(Folder::offer);
    let wanted = member.and_then(Folder::threads);
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let place = member.map_or(Path::new("."), |member| member.dir());
    vec![
        processor(),
        threads(wanted),
        memory(&meminfo, offer.as_ref().map(Offer::memory_bytes)),
        disk(place, offer.as_ref().map(Offer::disk_bytes)),
        clock::finding(),
    ]
}

#[cfg(target_arch = "x86_64")]
fn processor() -> Finding {
    let fma = is_x86_feature_detected!("fma") && is_x86_feature_detected!("avx2");
    match fma && is_x86_feature_detected!("avx512f") {
        true => Finding::good("processor", "x86-64 with AVX-512, AVX2 and FMA"),
        false if fma => Finding::good("processor", "x86-64 with AVX2 and FMA, without AVX-512"),
        false => without_fma("x86-64 without AVX2 or FMA"),
    }
}

#[cfg(target_arch = "aarch64")]
fn processor() -> Finding {
    Finding::good(
        "processor",
        "aarch64 with NEON, whose multiply-add is fused",
    )
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn processor() -> Finding {
    without_fma(std::env::consts::ARCH)
}

#[cfg(not(target_arch = "aarch64"))]
fn without_fma(found: &str) -> Finding {
    let advice = "training gives the same bits here, many times slower: train on a processor of \
                  2013 or later (Haswell, Zen), or follow the run without data";
    Finding::note("processor", found).advise(advice)
}

fn threads(wanted: Option<usize>) -> Finding {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let found = plural(cores, "core");
    match wanted {
        Some(wanted) if wanted > cores => {
            let found = format!("{found} for the {wanted} threads of node.toml");
            let advice = format!("set threads = {cores} in node.toml, or remove the line");
            Finding::note("threads", found).advise(advice)
        }
        Some(wanted) => Finding::good("threads", format!("{wanted} of {found} to train with")),
        None => Finding::good("threads", found),
    }
}

/// A line of `/proc/meminfo` in bytes.
fn kibibytes(meminfo: &str, key: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix(key))?;
    let number = line.trim_start_matches(':').trim().strip_suffix(" kB")?;
    Some(number.trim().parse::<u64>().ok()?.saturating_mul(1024))
}

fn memory(meminfo: &str, needed: Option<u64>) -> Finding {
    let figures = (
        kibibytes(meminfo, "MemTotal"),
        kibibytes(meminfo, "MemAvailable"),
    );
    let (Some(total), Some(available)) = figures else {
        return Finding::note("memory", "this system does not say how much there is");
    };
    let found = format!("{} available of {}", bytes(available), bytes(total));
    let found = match needed {
        Some(needed) => format!("{found}; this charter needs about {}", bytes(needed)),
        None => found,
    };
    match needed.is_some_and(|needed| available < needed) {
        true => Finding::note("memory", found).advise("end other programs, or add memory"),
        false => Finding::good("memory", found),
    }
}

fn disk(place: &Path, needed: Option<u64>) -> Finding {
    let free = match rustix::fs::statvfs(place) {
        Ok(figures) => figures.f_bavail.saturating_mul(figures.f_frsize),
        Err(error) => {
            let found = format!("{}: {error}", place.display());
            return Finding::bad("disk", found).advise("name a folder on a disk that is there");
        }
    };
    let needed = LEAST_DISK.max(needed.unwrap_or(0));
    let found = format!("{} free at {}", bytes(free), place.display());
    let advice = format!("make room: a member needs about {} in all", bytes(needed));
    match free {
        free if free < LEAST_DISK => Finding::bad("disk", found).advise(advice),
        free if free < needed => Finding::note("disk", found).advise(advice),
        _ => Finding::good("disk", found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    const MEMINFO: &str =
        "MemTotal:       16384000 kB\nMemFree:  1 kB\nMemAvailable:    8192000 kB\n";

    #[test]
    fn memory_is_measured_against_the_charter() {
        let enough = memory(MEMINFO, Some(1 << 30));
        assert_eq!(enough.verdict, Verdict::Good, "{enough:?}");
        assert!(
            enough.found.starts_with("7.8 GiB available of 16 GiB"),
            "{enough:?}"
        );
        let little = memory(MEMINFO, Some(45 << 30));
        assert_eq!(little.verdict, Verdict::Note);
        assert!(
            little.found.contains("this charter needs about 45 GiB"),
            "{little:?}"
        );
        assert_eq!(memory("MemTotal: much\n", None).verdict, Verdict::Note);
        assert_eq!(memory("", Some(u64::MAX)).verdict, Verdict::Note);
    }

    #[test]
    fn disks_are_measured_and_missing_ones_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let here = disk(folder.path(), None);
        assert_ne!(here.found, "", "{here:?}");
        let full = disk(folder.path(), Some(u64::MAX));
        assert_ne!(full.verdict, Verdict::Good);
        assert!(full.advice.expect("advice").contains("make room"));
        let gone = disk(&folder.path().join("no"), None);
        assert_eq!(gone.verdict, Verdict::Bad);
    }

    #[test]
    fn more_threads_than_cores_are_noted() {
        assert_eq!(threads(Some(1)).verdict, Verdict::Good);
        let many = threads(Some(100_000));
        assert!(many.advice.expect("advice").starts_with("set threads = "));
    }
}
