//! What a member's folder must have before its node starts.
//!
//! `archipel run` stops at the first fault, `archipel doctor` tells them all. Both ask [`examine`]
//! and nothing else, so what one refuses the other never calls good.

use super::{
    ownership,
    site::{Site, signed_charter},
    tokens::HeldOut,
};
use crate::{
    cli::read_text,
    config::{NodeConfig, SecretKey},
    control::{STATUS_FILE, Status},
    net::listenable,
};
use anyhow::bail;
use archipel_trainer::data::Dataset;
use libp2p::Multiaddr;
use std::path::Path;

/// The most bytes of a kept status.
const MAX_STATUS_BYTES: usize = 1 << 20;

/// A part of a member's folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// `node.toml`.
    Config,
    /// The secret key.
    Key,
    /// `charter.toml`, and whether it is this member's and of this executable's numerics.
    Charter,
    /// The addresses of `node.toml`.
    Addresses,
    /// What an earlier start left.
    Past,
    /// Prepared data.
    Data,
    /// The held-out bytes of the charter.
    Holdout,
}

/// Everything that was found in a member's folder.
#[derive(Default)]
pub struct Examined {
    /// Its settings.
    pub config: Option<NodeConfig>,
    /// The key, where it may be used.
    pub key: Option<SecretKey>,
    /// What the files say together.
    pub site: Option<Site>,
    /// What it trains on; nothing where it does not train.
    pub data: Option<Dataset>,
    /// What states are evaluated on.
    pub held_out: HeldOut,
    /// What stands in the way.
    pub faults: Vec<(Part, anyhow::Error)>,
}

/// What a node starts with.
pub struct Fit {
    /// What the folder says.
    pub site: Site,
    /// What it trains on; nothing where it does not train.
    pub data: Option<Dataset>,
    /// What states are evaluated on.
    pub held_out: HeldOut,
}

/// Looks at a member's folder and changes nothing; with `observe` for a node that trains nothing.
pub fn examine(dir: &Path, observe: bool) -> Examined {
    let mut found = Examined::default();
    found.config = found.note(Part::Config, NodeConfig::load(dir).map_err(Into::into));
    let Some(config) = found.config.clone() else {
        return found;
    };
    found.note(Part::Addresses, listening(&config));
    let key = SecretKey::load(&config.key_path(dir)).map_err(Into::into);
    found.key = found.note(Part::Key, key);
    let charter = signed_charter(dir);
    let charter = found.note(Part::Charter, charter);
    if let (Some(key), Some(charter)) = (&found.key, charter) {
        let key = SecretKey::from_bytes(*key.secret_bytes());
        let site = Site::of(dir, config, key, charter);
        found.site = found.note(Part::Charter, site);
    }
    if let Some(site) = found.site.take() {
        found.supplies(&site, observe);
        found.site = Some(site);
    }
    found
}

impl Examined {
    /// What a node starts with.
    ///
    /// # Errors
    /// The first fault.
    pub fn fit(self) -> anyhow::Result<Fit> {
        if let Some((_, error)) = self.faults.into_iter().next() {
            return Err(error);
        }
        let site = self.site.expect("without a fault every file was read");
        Ok(Fit {
            site,
            data: self.data,
            held_out: self.held_out,
        })
    }

    /// The fault of a part, if it has one.
    pub fn fault(&self, part: Part) -> Option<&anyhow::Error> {
        let fault = self.faults.iter().find(|(faulty, _)| *faulty == part);
        fault.map(|(_, error)| error)
    }

    fn note<T>(&mut self, part: Part, result: anyhow::Result<T>) -> Option<T> {
        result.map_err(|error| self.faults.push((part, error))).ok()
    }

    /// What an earlier start left, and what training and evaluating need.
    fn supplies(&mut self, site: &Site, observe: bool) {
        self.note(Part::Past, ownership::check(site));
        if !observe {
            self.note(Part::Data, site.must_have_data());
        }
        let data = site.data().and_then(|data| {
            data.iter().try_for_each(|data| windows(site, data))?;
            Ok(data)
        });
        // Who trains nothing needs data for its own evaluations alone, and does without.
        self.data = match observe {
            true => data.ok().flatten(),
            false => self.note(Part::Data, data).flatten(),
        };
        let held_out = site.holdout(self.data.as_ref());
        self.held_out = self.note(Part::Holdout, held_out).unwrap_or_default();
    }
}

/// What the node of a folder said last; nothing where none ever ran.
pub fn last_status(dir: &Path) -> Option<Status> {
    let text = read_text(&dir.join(STATUS_FILE), MAX_STATUS_BYTES).ok()?;
    serde_json::from_str(&text).ok()
}

/// Refuses data of which the plan has no window to train on.
fn windows(site: &Site, data: &Dataset) -> anyhow::Result<()> {
    let mixture = archipel_trainer::mixture(&site.plan().data);
    match archipel_trainer::check_windows(data, &mixture, site.model.context) {
        Ok(()) => Ok(()),
        Err(error) => {
            let folder = site.config.data_path(&site.dir).unwrap_or_default();
            bail!("the data folder {}: {error}", folder.display())
        }
    }
}

fn listening(config: &NodeConfig) -> anyhow::Result<()> {
    let faulty = |address: &&Multiaddr| !listenable(address);
    let Some(address) = config.listen.iter().find(faulty) else {
        return Ok(());
    };
    bail!(
        "node.toml: listen: expected /ip4/IP/udp/PORT/quic-v1 or /ip4/IP/tcp/PORT (or ip6), found \
         {address}: {}",
        match address.to_string() {
            text if text.contains("/udp/") && !text.contains("/quic") => {
                format!("write {text}/quic-v1")
            }
            _ => "change it".to_owned(),
        }
    )
}
