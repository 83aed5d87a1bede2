//! The scenarios that are built in, each headed by what it claims and where its numbers come from.

use super::{Expect, Scenario, file::claim, parse};
use std::sync::LazyLock;

/// A scenario that is built in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pack {
    /// Its name.
    pub name: &'static str,
    /// What it is to show.
    pub claim: String,
    /// Its file.
    pub text: &'static str,
    /// Whether it breaks an assumption, so that the checker must fire.
    pub negative: bool,
}

impl Pack {
    /// Its scenario.
    ///
    /// # Panics
    /// Where a pack is no scenario, which a test excludes.
    pub fn scenario(&self) -> Scenario {
        parse(self.text, self.name).unwrap_or_else(|error| panic!("a pack is a scenario: {error}"))
    }
}

/// All packs: those of the default set first, then regressions, figures, tiers and negatives.
pub fn packs() -> &'static [Pack] {
    static PACKS: LazyLock<Vec<Pack>> = LazyLock::new(|| FILES.into_iter().map(pack).collect());
    &PACKS
}

/// The pack of that name.
pub fn pack_named(name: &str) -> Option<&'static Pack> {
    packs().iter().find(|pack| pack.name == name)
}

fn pack((name, text): (&'static str, &'static str)) -> Pack {
    let mut pack = Pack {
        name,
        claim: claim(text).expect("a pack is headed by its claim"),
        text,
        negative: false,
    };
    pack.negative = pack.scenario().check.expect != Expect::Pass;
    pack
}

#[rustfmt::skip]
const FILES: [(&str, &str); 34] = [
    ("lan8", include_str!("../../packs/lan8.toml")),
    ("eu-hpc6", include_str!("../../packs/eu-hpc6.toml")),
    ("transatlantic4", include_str!("../../packs/transatlantic4.toml")),
    ("global14", include_str!("../../packs/global14.toml")),
    ("home50", include_str!("../../packs/home50.toml")),
    ("spot16-usw2", include_str!("../../packs/spot16-usw2.toml")),
    ("spot16-use1", include_str!("../../packs/spot16-use1.toml")),
    ("split-brain", include_str!("../../packs/split-brain.toml")),
    ("flaky-wifi", include_str!("../../packs/flaky-wifi.toml")),
    ("byz2of16", include_str!("../../packs/byz2of16.toml")),
    ("upgrade-rolling", include_str!("../../packs/upgrade-rolling.toml")),
    ("clock-skew", include_str!("../../packs/clock-skew.toml")),
    ("disk-torn", include_str!("../../packs/disk-torn.toml")),
    ("asym-partition", include_str!("../../packs/asym-partition.toml")),
    ("swizzle", include_str!("../../packs/swizzle.toml")),
    ("hospital8-vpn", include_str!("../../packs/hospital8-vpn.toml")),
    ("simultaneous-start", include_str!("../../packs/simultaneous-start.toml")),
    ("join-storm-one-donor", include_str!("../../packs/join-storm-one-donor.toml")),
    ("joiner-one-round-behind", include_str!("../../packs/joiner-one-round-behind.toml")),
    ("expelled-readmitted", include_str!("../../packs/expelled-readmitted.toml")),
    ("proposer-killed", include_str!("../../packs/proposer-killed.toml")),
    ("nonces-withheld", include_str!("../../packs/nonces-withheld.toml")),
    ("half-rolled-back", include_str!("../../packs/half-rolled-back.toml")),
    ("utilisation", include_str!("../../packs/utilisation.toml")),
    ("train8-noniid", include_str!("../../packs/train8-noniid.toml")),
    ("tier-a", include_str!("../../packs/tier-a.toml")),
    ("tier-b", include_str!("../../packs/tier-b.toml")),
    ("federations62", include_str!("../../packs/federations62.toml")),
    ("negative-liars", include_str!("../../packs/negative-liars.toml")),
    ("negative-wall", include_str!("../../packs/negative-wall.toml")),
    ("negative-joiner", include_str!("../../packs/negative-joiner.toml")),
    ("negative-bytes", include_str!("../../packs/negative-bytes.toml")),
    ("negative-poison", include_str!("../../packs/negative-poison.toml")),
    ("negative-crash-model", include_str!("../../packs/negative-crash-model.toml")),
];
