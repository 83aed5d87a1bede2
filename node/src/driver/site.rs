//! A member's folder before anything runs: configuration, key, charter, and the model they name.

use super::tokens::{HeldOut, PlannedTokenizer, encode_held_out};
use crate::{
    cli::read_charter,
    config::{CHARTER_FILE, CONFIG_FILE, NodeConfig, SecretKey},
};
use anyhow::{Context, bail};
use archipel_protocol::{
    charter::{Charter, MemberRole, Plan, SignedCharter, plan::InnerPlan},
    crypto::Ed25519Verifier,
    fragments::Fragments,
    ids::{BlobHash, MemberId, Root, RunId},
    layout::Layout,
    ledger::Membership,
    random::derive_key,
    state::{Manifest, Tensors},
};
use archipel_trainer::{
    AdamWConfig, ModelConfig, NUMERICS_CLASS,
    data::{Dataset, TokenSource as _},
    initial_params, layout,
};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The held-out bytes that all members of a run evaluate on, in a member's folder.
pub const HOLDOUT_FILE: &str = "holdout.bin";
/// The folder of states in a member's folder.
pub const STATES_FOLDER: &str = "states";
/// The folder of what a member needs of its own past rounds.
pub const TRAINING_FOLDER: &str = "training";
/// The most held-out bytes that are read.
const MAX_HOLDOUT_BYTES: u64 = 64 << 20;
/// The most held-out tokens of this site's own data that are read.
const MAX_OWN_TOKENS: u64 = 256 << 10;

/// What a member's folder says.
pub struct Site {
    /// The folder.
    pub dir: PathBuf,
    /// This site's own settings.
    pub config: NodeConfig,
    /// The member's key.
    pub key: SecretKey,
    /// The charter, checked and signed by all.
    pub charter: Charter,
    /// The run it founds.
    pub run_id: RunId,
    /// The model that its plan trains.
    pub model: ModelConfig,
    /// That model's layout.
    pub layout: Layout,
    /// Its parts that rounds exchange in turn.
    pub fragments: Fragments,
}

impl Site {
    /// Reads a member's folder.
    ///
    /// A charter that does not list this member is taken: the member follows the run until an
    /// amendment admits it.
    ///
    /// # Errors
    /// A file that is absent or wrong, or a charter that not all voting members have signed.
    pub fn open(dir: &Path) -> anyhow::Result<Self> {
        let config = NodeConfig::load(dir)?;
        let key = SecretKey::load(&config.key_path(dir))?;
        Self::of(dir, config, key, signed_charter(dir)?)
    }

    /// What a folder's files say together.
    ///
    /// # Errors
    /// A charter that calls this member otherwise, or whose model cannot be trained here.
    pub(super) fn of(
        dir: &Path,
        config: NodeConfig,
        key: SecretKey,
        signed: SignedCharter,
    ) -> anyhow::Result<Self> {
        let path = dir.join(CHARTER_FILE);
        let run_id = signed.run_id();
        let charter = signed.charter;
        if let Some(listed) = charter.member(&key.member())
            && listed.name != config.name
        {
            bail!(
                "{} calls this member {}, its node.toml calls it {}: change `name` in node.toml",
                path.display(),
                listed.name,
                config.name
            );
        }
        same_class(&charter.plan).with_context(|| path.display().to_string())?;
        let model = model_of(&charter.plan);
        let layout = layout(&model).context("the charter's model")?;
        charter.plan.validate_layout(&layout)?;
        let fragments = Fragments::of_plan(&charter.plan, &layout)?;
        Ok(Self {
            layout,
            fragments,
            dir: dir.to_owned(),
            config,
            key,
            charter,
            run_id,
            model,
        })
    }

    /// This member.
    pub fn me(&self) -> MemberId {
        self.key.member()
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.charter.plan
    }

    /// The state that the run begins with: the same for everybody who has the charter.
    ///
    /// # Errors
    /// Where the model's shape is none.
    pub fn founding(&self) -> anyhow::Result<(Manifest, Tensors)> {
        let seed = derive_key("archipel/initial-parameters/v1", &[&self.run_id.0]);
        let tensors = Tensors::founding(self.plan(), initial_params(&self.model, seed)?);
        let membership = Membership::founding(&self.charter);
        let manifest = Manifest::founding(&self.layout, &tensors, &membership);
        Ok((manifest, tensors))
    }

    /// The root of a state of this run.
    pub fn root(&self, manifest: &Manifest) -> Root {
        manifest.root(&self.run_id, &self.layout)
    }

    /// Threads to train with.
    pub fn threads(&self) -> usize {
        let all = || std::thread::available_parallelism().map_or(1, usize::from);
        self.config.threads.map_or_else(all, usize::from)
    }

    /// The tokenizer that the plan asks for.
    pub fn tokenizer(&self) -> PlannedTokenizer {
        PlannedTokenizer::of(self.plan())
    }

    /// The training data, where this site has any.
    ///
    /// # Errors
    /// Data that is not what its manifest says, or of another tokenizer than the plan's.
    pub fn data(&self) -> anyhow::Result<Option<Dataset>> {
        let Some(folder) = self.config.data_path(&self.dir) else {
            return Ok(None);
        };
        let what = || format!("the data folder {}", folder.display());
        let data = Dataset::open(&folder).with_context(what)?;
        let check = self.tokenizer().check(&data.manifest().tokenizer);
        check.with_context(what)?;
        Ok(Some(data))
    }

    /// Refuses a member that would vote without anything to train on: its updates would be waited
    /// for and never come. The charter's observers, auditors and relays need no data.
    ///
    /// # Errors
    /// No `data` in node.toml, with both ways out.
    pub fn must_have_data(&self) -> anyhow::Result<()> {
        let role = self.charter.member(&self.me()).map(|member| member.role);
        let votes = role.is_none_or(|role| role == MemberRole::Member);
        if !votes || self.config.data.is_some() {
            return Ok(());
        }
        let (name, dir) = (&self.config.name, self.dir.display());
        bail!(
            "{dir}/{CONFIG_FILE}: expected `data`, since {name} votes and its updates would be \
             waited for; found none. Prepare some with `archipel data prepare TEXTS --out \
             {dir}/data` and write `data = \"data\"` into {dir}/{CONFIG_FILE}, or run it with \
             --observe: then it votes, holds and folds, and trains nothing"
        )
    }

    /// Where the run's held-out bytes are missing, if they are: states are not evaluated then.
    pub fn lacks_holdout(&self) -> Option<PathBuf> {
        let path = self.dir.join(HOLDOUT_FILE);
        (self.plan().data.holdout.is_some() && !path.exists()).then_some(path)
    }

    /// The tokens that states are evaluated on: the run's, or else this site's own; none at all
    /// where it has neither.
    ///
    /// # Errors
    /// A file that is not the one the charter names.
    pub fn holdout(&self, data: Option<&Dataset>) -> anyhow::Result<HeldOut> {
        let path = self.dir.join(HOLDOUT_FILE);
        let Some(expected) = self.plan().data.holdout else {
            return data.map_or_else(|| Ok(HeldOut::default()), own_held_out);
        };
        if self.lacks_holdout().is_some() {
            return Ok(HeldOut::default());
        }
        let length = fs::metadata(&path)
            .with_context(|| path.display().to_string())?
            .len();
        if length > MAX_HOLDOUT_BYTES {
            bail!(
                "{}: expected at most {MAX_HOLDOUT_BYTES} bytes, found {length}",
                path.display()
            );
        }
        let bytes = fs::read(&path).with_context(|| path.display().to_string())?;
        let found = BlobHash(*blake3::hash(&bytes).as_bytes());
        if found != expected {
            bail!(
                "{}: expected the held-out bytes {expected}, found {found}: take the file that \
                 the charter was made with",
                path.display()
            );
        }
        let data = self.config.data_path(&self.dir);
        let folders = [data.as_deref(), Some(self.dir.as_path())];
        let folders: Vec<&Path> = folders.into_iter().flatten().collect();
        encode_held_out(&self.tokenizer().load(&folders)?, &bytes)
    }
}

/// The charter of a member's folder, signed by all who vote.
///
/// # Errors
/// No such file, another than a charter, a signature that is missing or wrong.
pub(super) fn signed_charter(dir: &Path) -> anyhow::Result<SignedCharter> {
    let path = dir.join(CHARTER_FILE);
    if !path.exists() {
        bail!(
            "expected the charter {}, found no such file: put the signed charter of your \
             federation there (`archipel charter new` begins one)",
            path.display()
        );
    }
    let signed = read_charter(&path)?;
    let verified = signed.verify(&Ed25519Verifier);
    verified.with_context(|| path.display().to_string())?;
    Ok(signed)
}

/// What this site holds out, in proportion of every sector's ranges.
fn own_held_out(data: &Dataset) -> anyhow::Result<HeldOut> {
    let (part, manifest) = (data.held_out(), data.manifest());
    let mut held_out = HeldOut::default();
    for range in part.sectors() {
        let length = range.tokens.end - range.tokens.start;
        let share = u128::from(length) * u128::from(MAX_OWN_TOKENS) / u128::from(part.len());
        let mut tokens = vec![0; length.min(share as u64) as usize];
        part.copy_window(range.tokens.start, &mut tokens)?;
        let taken = tokens.len() as u64;
        let (all, bytes) = manifest.held_out_of(&range.sector);
        held_out.bytes += match manifest.tokenizer.is_bytes() {
            true => taken,
            false => {
                let bytes = u128::from(bytes.unwrap_or(0)) * u128::from(taken);
                (bytes / u128::from(all.max(1))) as u64
            }
        };
        held_out.tokens.extend(tokens);
    }
    Ok(held_out)
}

/// Refuses a plan whose members compute other bits than this executable.
fn same_class(plan: &Plan) -> anyhow::Result<()> {
    if plan.numerics_class == NUMERICS_CLASS {
        return Ok(());
    }
    bail!(
        "plan.numerics_class: this executable trains in class {NUMERICS_CLASS}, found {:?}: run \
         one of that class, or found the federation with {NUMERICS_CLASS}",
        plan.numerics_class
    )
}

/// The shape of the model that a plan trains.
pub fn model_of(plan: &Plan) -> ModelConfig {
    ModelConfig::from(&plan.model)
}

/// The inner optimizer of a plan.
pub(super) fn optimizer_of(inner: &InnerPlan) -> AdamWConfig {
    AdamWConfig::from(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_trainer_lays_every_preset_out_as_the_plan_counts_it() {
        for name in Plan::PRESETS {
            let plan = Plan::preset(name).expect("the list names what exists");
            same_class(&plan).expect(name);
            let layout = layout(&model_of(&plan)).expect(name);
            assert_eq!(plan.validate_layout(&layout), Ok(()), "{name}");
            assert_eq!(layout.tensors().len() as u64, plan.model.tensors());
        }
    }

    #[test]
    fn a_plan_of_another_class_is_refused() {
        let mut plan = Plan::nano();
        plan.numerics_class = "gpu-bf16-1".to_owned();
        let refused = same_class(&plan).expect_err("another class").to_string();
        let expected = "trains in class cpu-fma-1, found \"gpu-bf16-1\": run one of that class";
        assert!(refused.contains(expected), "{refused}");
    }
}
