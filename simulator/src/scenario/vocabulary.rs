//! Every word that a scenario file may hold, for documents and completions.

use super::{faults, file, groups, network, plan, sections};

/// The keys of each section, as headings name it.
pub fn keys() -> Vec<(&'static str, Vec<&'static str>)> {
    let charter: Vec<&str> = plan::keys().collect();
    vec![
        ("scenario", file::KEYS.to_vec()),
        ("[stop]", sections::STOP_KEYS.to_vec()),
        ("[plan]", charter),
        ("[crypto]", sections::CRYPTO_KEYS.to_vec()),
        ("[[group]]", groups::KEYS.to_vec()),
        ("compute", groups::COMPUTE_KEYS.to_vec()),
        ("compute.slow", groups::SLOW_KEYS.to_vec()),
        ("net", groups::NET_KEYS.to_vec()),
        ("disk", groups::DISK_KEYS.to_vec()),
        ("[network]", network::KEYS.to_vec()),
        ("[network.latency]", network::MATRIX_KEYS.to_vec()),
        ("[learning]", sections::LEARNING_KEYS.to_vec()),
        ("[[fault]]", faults::COMMON_KEYS.to_vec()),
        ("correlate", faults::CORRELATE_KEYS.to_vec()),
        ("[heal]", sections::HEAL_KEYS.to_vec()),
        ("[check]", sections::CHECK_KEYS.to_vec()),
        ("loss_band", sections::BAND_KEYS.to_vec()),
        ("limits", sections::LIMIT_KEYS.to_vec()),
        ("[sweep]", sections::SWEEP_KEYS.to_vec()),
    ]
}

/// Every kind of fault, with the keys it has besides those of every fault.
pub fn fault_kinds() -> Vec<(&'static str, &'static [&'static str])> {
    faults::KINDS
        .iter()
        .map(|kind| (kind.name, kind.keys))
        .collect()
}
