//! How much memory a process held at once, as Linux tells it.

/// Forgets the most memory held so far; the memory held now, where the system tells.
pub(super) fn begin() -> Option<u64> {
    // Not permitted everywhere; the figure is then the whole run's, which is no less.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    field("VmRSS:")
}

/// The most memory held at once since then, beyond what was held then.
pub(super) fn peak_since(begin: Option<u64>) -> Option<u64> {
    Some(peak()?.saturating_sub(begin?))
}

/// The most memory this process held at once; none where the system does not tell.
pub(super) fn peak() -> Option<u64> {
    field("VmHWM:")
}

fn field(name: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with(name))?;
    let kilobytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes * 1024)
}
