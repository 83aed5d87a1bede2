//! A member's folder: can it be written, and do its files open?

use super::{Finding, Verdict};
use crate::{
    cli::{grouped, read_charter},
    config::{CHARTER_FILE, NodeConfig, SecretKey},
    control::{ControlError, Request, ask},
    driver::Site,
};
use archipel_protocol::crypto::Ed25519Verifier;
use std::path::{Path, PathBuf};

/// What a folder holds.
pub(super) struct Folder {
    dir: PathBuf,
    config: Result<NodeConfig, crate::config::ConfigError>,
    site: anyhow::Result<Site>,
    running: bool,
}

impl Folder {
    /// Opens what can be opened.
    pub(super) fn open(dir: &Path) -> Self {
        let answer = ask(dir, &Request::Status);
        Self {
            dir: dir.to_owned(),
            config: NodeConfig::load(dir),
            site: Site::open(dir),
            running: !matches!(
                answer,
                Err(ControlError::NotRunning { .. } | ControlError::NoMember { .. })
            ),
        }
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn config(&self) -> Option<&NodeConfig> {
        self.config.as_ref().ok()
    }

    /// Whether a node runs in this folder.
    pub(super) fn is_running(&self) -> bool {
        self.running
    }

    /// Parameters of the charter's model.
    pub(super) fn parameters(&self) -> Option<u64> {
        let site = self.site.as_ref().ok()?;
        Some(site.layout.parameters() as u64)
    }

    /// Threads that the configuration asks for.
    pub(super) fn threads(&self) -> Option<usize> {
        self.config()?.threads.map(usize::from)
    }

    pub(super) fn findings(&self) -> Vec<Finding> {
        let mut findings = vec![self.writable()];
        let config = match &self.config {
            Ok(config) => config,
            Err(error) => {
                findings.push(Finding::refused(Verdict::Bad, "node.toml", error));
                return findings;
            }
        };
        findings.push(Finding::good(
            "node.toml",
            format!("member {}", config.name),
        ));
        findings.push(match SecretKey::load(&config.key_path(&self.dir)) {
            Ok(key) => {
                let name = key.member().to_string();
                Finding::good("key", format!("{}…", &name[..16]))
            }
            Err(error) => Finding::refused(Verdict::Bad, "key", &error),
        });
        findings.push(self.charter());
        findings.push(self.data(config));
        findings
    }

    fn writable(&self) -> Finding {
        let dir = self.dir.display().to_string();
        match tempfile::tempfile_in(&self.dir) {
            Ok(_) if self.running => Finding::good("folder", format!("{dir}; its node runs")),
            Ok(_) => Finding::good("folder", format!("{dir} can be written")),
            Err(error) => Finding::bad("folder", format!("{dir}: {error}"))
                .advise("make the folder, or give this user the right to write there"),
        }
    }

    fn charter(&self) -> Finding {
        let path = self.dir.join(CHARTER_FILE);
        if !path.exists() {
            let found = format!("no {}", path.display());
            return Finding::bad("charter", found).advise(
                "put the signed charter of your federation there (`archipel charter new` begins \
                 one)",
            );
        }
        let signed = match read_charter(&path) {
            Ok(signed) => signed,
            Err(error) => return Finding::refused(Verdict::Bad, "charter", &format!("{error:#}")),
        };
        if let Err(error) = signed.verify(&Ed25519Verifier) {
            return Finding::refused(Verdict::Bad, "charter", &error);
        }
        match &self.site {
            Err(error) => Finding::refused(Verdict::Bad, "charter", &format!("{error:#}")),
            Ok(site) if site.charter.member(&site.me()).is_none() => {
                let found = format!("{}, which does not list this key", site.charter.name);
                Finding::note("charter", found)
                    .advise("the node follows the run; a member proposes to admit it")
            }
            Ok(site) => Finding::good(
                "charter",
                format!(
                    "{}, signed by all; {} members, a model of {} parameters",
                    site.charter.name,
                    site.charter.members.len(),
                    grouped(site.layout.parameters() as u64)
                ),
            ),
        }
    }

    fn data(&self, config: &NodeConfig) -> Finding {
        let Some(folder) = config.data_path(&self.dir) else {
            return Finding::note("data", "node.toml names none: this site does not train")
                .advise("prepare some (`archipel data prepare`), and name its folder as `data`");
        };
        match archipel_trainer::data::Dataset::open(&folder) {
            Err(error) => Finding::refused(Verdict::Bad, "data", &error),
            Ok(data) => {
                let manifest = data.manifest();
                let tokens = grouped(manifest.training_tokens());
                Finding::good(
                    "data",
                    format!("{}: {tokens} tokens to train on", manifest.name),
                )
            }
        }
    }
}
