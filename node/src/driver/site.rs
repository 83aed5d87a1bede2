//! A member's folder before anything runs: configuration, key, charter, and the model they name.

use crate::{
    cli::read_charter,
    config::{CHARTER_FILE, NodeConfig, SecretKey},
};
use anyhow::{Context, bail};
use archipel_protocol::{
    charter::{
        Charter, Plan,
        plan::{InnerOptimizer, InnerPlan, Tokenizer},
    },
    crypto::Ed25519Verifier,
    ids::{BlobHash, MemberId, Root, RunId},
    layout::Layout,
    ledger::Membership,
    random::derive_key,
    state::{Manifest, Tensors},
};
use archipel_trainer::{AdamWConfig, ModelConfig, data::Dataset, initial_params, layout};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The held-out bytes that all members of a run evaluate on, in a member's folder.
pub const HOLDOUT_FILE: &str = "holdout.bin";
/// The folder of states in a member's folder.
pub const STATES_FOLDER: &str = "states";
/// The most held-out bytes that are read.
const MAX_HOLDOUT_BYTES: u64 = 64 << 20;

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
        let path = dir.join(CHARTER_FILE);
        if !path.exists() {
            bail!(
                "expected the charter {}, found no such file: put the signed charter of your \
                 federation there",
                path.display()
            );
        }
        let signed = read_charter(&path)?;
        signed
            .verify(&Ed25519Verifier)
            .with_context(|| path.display().to_string())?;
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
        computable(&charter.plan).with_context(|| path.display().to_string())?;
        let model = model_of(&charter.plan);
        let layout = layout(&model).context("the charter's model")?;
        charter.plan.validate_layout(&layout)?;
        Ok(Self {
            layout,
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

    /// The training data, where this site has any.
    ///
    /// # Errors
    /// Data that is not what its manifest says.
    pub fn data(&self) -> anyhow::Result<Option<Dataset>> {
        let Some(folder) = self.config.data_path(&self.dir) else {
            return Ok(None);
        };
        let opened = Dataset::open(&folder);
        Ok(Some(opened.with_context(|| {
            format!("the data folder {}", folder.display())
        })?))
    }

    /// The bytes that states are evaluated on: the run's, or else this site's own; none at all
    /// where it has neither.
    ///
    /// # Errors
    /// A file that is not the one the charter names.
    pub fn holdout(&self, data: Option<&Dataset>) -> anyhow::Result<Vec<u8>> {
        let path = self.dir.join(HOLDOUT_FILE);
        let Some(expected) = self.plan().data.holdout else {
            return Ok(data.map_or_else(Vec::new, |data| data.held_out().to_vec()));
        };
        if !path.exists() {
            tracing::warn!(
                "no {}: put a copy of the held-out bytes there to have states evaluated",
                path.display()
            );
            return Ok(Vec::new());
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
        Ok(bytes)
    }
}

/// Refuses a plan that asks for what this version does not compute.
fn computable(plan: &Plan) -> anyhow::Result<()> {
    let (field, found, instead) = if plan.inner.optimizer == InnerOptimizer::Muon {
        ("inner.optimizer", "\"muon\"", "\"adamw\"")
    } else if plan.tokenizer != Tokenizer::Bytes {
        ("tokenizer", "a Hugging Face tokenizer", "\"bytes\"")
    } else if !plan.data.mixture.is_empty() {
        ("data.mixture", "shares of sectors", "none")
    } else {
        return Ok(());
    };
    bail!(
        "plan.{field}: this version computes {instead}, found {found}: run a version that \
         computes it, or found the federation with a plan that has {instead}"
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
    use archipel_protocol::charter::{
        Decimal,
        plan::{MixtureEntry, MuonPlan},
    };

    #[test]
    fn the_trainer_lays_every_preset_out_as_the_plan_counts_it() {
        for name in Plan::PRESETS {
            let plan = Plan::preset(name).expect("the list names what exists");
            computable(&plan).expect(name);
            let layout = layout(&model_of(&plan)).expect(name);
            assert_eq!(plan.validate_layout(&layout), Ok(()), "{name}");
            assert_eq!(layout.tensors().len() as u64, plan.model.tensors());
        }
    }

    #[test]
    fn what_is_not_computed_is_refused_by_its_field() {
        type Change = fn(&mut Plan);
        let cases: [(Change, &str); 3] = [
            (
                |plan| {
                    plan.inner.optimizer = InnerOptimizer::Muon;
                    plan.inner.muon = Some(MuonPlan {
                        lr: Decimal::ONE,
                        momentum: Decimal::ZERO,
                        steps: 5,
                    });
                },
                "plan.inner.optimizer: this version computes \"adamw\", found \"muon\"",
            ),
            (
                |plan| plan.tokenizer = Tokenizer::Hf(BlobHash([1; 32])),
                "plan.tokenizer: this version computes \"bytes\"",
            ),
            (
                |plan| {
                    let (sector, weight) = ("law".to_owned(), Decimal::ONE);
                    plan.data.mixture = vec![MixtureEntry { sector, weight }];
                },
                "plan.data.mixture: this version computes none, found shares of sectors",
            ),
        ];
        for (change, expected) in cases {
            let mut plan = Plan::nano();
            change(&mut plan);
            let refused = computable(&plan).expect_err(expected).to_string();
            assert!(refused.contains(expected), "{refused}");
        }
    }
}
