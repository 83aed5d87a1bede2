//! A member's folder: can it be written, and would its node start?

use super::{Finding, Verdict, access};
use crate::{
    cli::{DEFAULT_GFLOPS, Offer, grouped, plural, told},
    config::NodeConfig,
    control::{Answer, ControlError, MemberLine, Request, ask},
    driver::{
        Examined, HOLDOUT_FILE, Part, STATES_FOLDER, Site, TRAINING_FOLDER, examine, last_status,
    },
    net::dialable,
};
use archipel_trainer::data::{DataClass, TokenSource as _};
use std::path::{Path, PathBuf};

/// What a folder holds.
pub(super) struct Folder {
    dir: PathBuf,
    examined: Examined,
    /// Every seat that its node knew of last; none before it ran.
    seats: Vec<MemberLine>,
    running: bool,
}

impl Folder {
    /// Opens what can be opened; `observe` as `archipel run` takes it.
    pub(super) fn open(dir: &Path, observe: bool) -> Self {
        let answer = ask(dir, &Request::Status);
        let running = !matches!(
            answer,
            Err(ControlError::NotRunning { .. } | ControlError::NoMember { .. })
        );
        let seats = match answer {
            Ok(Answer::Status(status)) => status.members,
            _ => last_status(dir).map_or_else(Vec::new, |status| status.members),
        };
        Self {
            dir: dir.to_owned(),
            examined: examine(dir, observe),
            seats,
            running,
        }
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn config(&self) -> Option<&NodeConfig> {
        self.examined.config.as_ref()
    }

    /// Whether the node would start, as far as its folder goes.
    pub(super) fn is_fit(&self) -> bool {
        self.examined.faults.is_empty()
    }

    /// Whether a node runs in this folder.
    pub(super) fn is_running(&self) -> bool {
        self.running
    }

    fn site(&self) -> Option<&Site> {
        self.examined.site.as_ref()
    }

    /// What the charter asks of this site.
    pub(super) fn offer(&self) -> Option<Offer> {
        let site = self.site()?;
        Some(Offer::new(&site.charter, DEFAULT_GFLOPS, site.threads()))
    }

    /// Threads that the configuration asks for.
    pub(super) fn threads(&self) -> Option<usize> {
        self.config()?.threads.map(usize::from)
    }

    pub(super) fn findings(&self) -> Vec<Finding> {
        let mut findings = vec![self.writable()];
        let mut part = |part, what, good: Option<Finding>| {
            match self.examined.fault(part) {
                Some(error) => findings.push(Finding::refused(Verdict::Bad, what, &told(error))),
                None => findings.extend(good),
            };
        };
        let config = self.config().map(|config| config.name.clone());
        let member = config.map(|name| Finding::good("node.toml", format!("member {name}")));
        part(Part::Config, "node.toml", member);
        let key = self.examined.key.as_ref().map(|key| {
            let name = key.member().to_string();
            Finding::good("key", format!("{}…", &name[..16]))
        });
        part(Part::Key, "key", key);
        part(Part::Charter, "charter", self.site().map(charter));
        part(Part::Past, "past", None);
        part(Part::Data, "data", self.site().map(|site| self.data(site)));
        part(Part::Holdout, "holdout", self.site().and_then(holdout));
        if let Some(site) = self.site() {
            findings.extend(self.members(site));
            findings.push(access::finding(&self.private(site)));
        }
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

    fn data(&self, site: &Site) -> Finding {
        let Some(data) = &self.examined.data else {
            return Finding::note("data", "node.toml names none: this site does not train")
                .advise("prepare some (`archipel data prepare`), and name its folder as `data`");
        };
        let (name, tokens) = (&data.manifest().name, data.len());
        let window = u64::from(site.model.context) + 1;
        let tokens = grouped(tokens);
        Finding::good(
            "data",
            format!("{name}: {tokens} tokens to train on, in windows of {window}"),
        )
    }

    /// Everybody there is: the charter's members, and those admitted later.
    fn members(&self, site: &Site) -> Vec<Finding> {
        let charter = site.charter.members.iter();
        let listed: Vec<&str> = charter.clone().map(|member| member.name.as_str()).collect();
        let is_listed = |seat: &&MemberLine| charter.clone().any(|member| member.id == seat.id);
        let later = self.seats.iter().filter(|seat| !is_listed(seat));
        let later: Vec<String> = later
            .map(|seat| format!("{} (admitted later, {})", seat.name, seat.seat))
            .collect();
        let gone = self.seats.iter().filter(is_listed);
        let gone = gone.filter(|seat| seat.seat != "voting");
        let gone: Vec<String> = gone
            .map(|seat| format!("{} is {}", seat.name, seat.seat))
            .collect();
        let mut found = listed.join(", ");
        for more in [later, gone].into_iter().filter(|list| !list.is_empty()) {
            found = format!("{found}; {}", more.join(", "));
        }
        let mut findings = vec![Finding::good("members", found)];
        for member in charter.clone() {
            let faulty = |text: &&String| !text.parse().is_ok_and(|address| dialable(&address));
            findings.extend(member.addresses.iter().find(faulty).map(|address| {
                let found = format!("{}: nobody can dial {address}", member.name);
                let way = "addresses end in /udp/PORT/quic-v1 or /tcp/PORT: change it in \
                           charter.toml, where no signature covers it";
                Finding::note("members", found).advise(way)
            }));
        }
        findings
    }

    /// The folders that tell of this site's data.
    fn private(&self, site: &Site) -> Vec<PathBuf> {
        let mut folders = vec![self.dir.join(STATES_FOLDER), self.dir.join(TRAINING_FOLDER)];
        let data = self.examined.data.as_ref();
        let is_sovereign = data.is_some_and(|data| data.manifest().class == DataClass::Sovereign);
        folders.extend(site.config.data_path(&self.dir).filter(|_| is_sovereign));
        folders
    }
}

fn charter(site: &Site) -> Finding {
    let name = &site.charter.name;
    if site.charter.member(&site.me()).is_none() {
        return Finding::note("charter", format!("{name}, which does not list this key"))
            .advise("the node follows the run; a member proposes to admit it");
    }
    let members = plural(site.charter.members.len(), "member");
    let parameters = grouped(site.layout.parameters() as u64);
    Finding::good(
        "charter",
        format!("{name}, signed by all; {members}, a model of {parameters} parameters"),
    )
}

/// The held-out bytes that the charter names; nothing where it names none.
fn holdout(site: &Site) -> Option<Finding> {
    site.plan().data.holdout?;
    Some(match site.lacks_holdout() {
        None => Finding::good("holdout", format!("{HOLDOUT_FILE} is the charter's")),
        Some(path) => Finding::note("holdout", format!("no {}", path.display())).advise(
            "put a copy of the charter's held-out bytes there: without it this node evaluates no \
             state",
        ),
    })
}
