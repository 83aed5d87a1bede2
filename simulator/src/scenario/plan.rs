//! `[plan]`: the charter's own tables, and short names for the fields that scenarios vary most.
//!
//! What is not given is that of a preset; the timing that is not given follows from the world
//! ([`super::timing`]).

use super::{
    Mode,
    error::Problem,
    reading::{Field, Read, Table},
    timing::{self, World},
};
use archipel_protocol::charter::{
    Decimal, FaultModel, Plan,
    plan::{AggregationRule, MuonPlan, OuterRule},
};
use std::collections::BTreeMap;

/// Short names: what they stand for in the charter's tables.
pub(super) const SHORT: [(&str, &str, &str); 25] = [
    ("codec", "exchange", "codec"),
    ("chunk", "exchange", "chunk"),
    ("keep", "exchange", "keep"),
    ("error_feedback", "exchange", "error_feedback"),
    ("max_carried", "exchange", "max_carried"),
    ("rule", "exchange", "rule"),
    ("clip_iterations", "exchange", "clip_iterations"),
    ("assumed_liars", "exchange", "assumed_liars"),
    ("multi_krum_keep", "exchange", "multi_krum_keep"),
    ("clip_to_median_norm", "exchange", "clip_to_median_norm"),
    ("weight_cap", "exchange", "weight_cap"),
    ("minimum_updates", "exchange", "minimum_updates"),
    ("inner_steps", "inner", "steps"),
    ("segment_steps", "inner", "segment_steps"),
    ("outer_rule", "outer", "rule"),
    ("outer_lr", "outer", "lr"),
    ("momentum", "outer", "momentum"),
    ("period", "outer", "period"),
    ("fragments", "outer", "fragments"),
    ("delay", "outer", "delay"),
    ("alpha", "outer", "alpha"),
    ("steps_by_speed", "inner", "steps_by_speed"),
    ("reset_optimizer", "inner", "reset_optimizer"),
    ("rewarm_steps", "inner", "rewarm_steps"),
    ("wait_all", "timing", "wait_all"),
];
/// The charter's tables.
pub(super) const SECTIONS: [&str; 6] = ["model", "inner", "outer", "exchange", "timing", "data"];
/// What stands beside both.
const OTHERS: [&str; 3] = ["preset", "numerics_class", "tokenizer"];

/// Rounds of a plan that only time ends.
const ENDLESS: u64 = 1 << 40;
/// Share of the residual where a sparse codec is asked for without one (SparseLoCo).
const SPARSE_FEEDBACK: i64 = 950_000_000;

/// All keys of `[plan]`.
pub(super) fn keys() -> impl Iterator<Item = &'static str> + Clone {
    let short = SHORT.iter().map(|(name, _, _)| *name);
    short.chain(SECTIONS).chain(OTHERS)
}

/// A plan without timing, and where its values stand.
pub(super) struct Draft<'a> {
    plan: Plan,
    /// Where `section.key` was given.
    given: BTreeMap<String, Field<'a>>,
    table: Option<Table<'a>>,
}

/// Reads the section.
pub(super) fn read<'a>(
    table: Option<Table<'a>>,
    mode: Mode,
    rounds: Option<u64>,
) -> Read<Draft<'a>> {
    let mut draft = Draft {
        plan: base(table.as_ref(), mode)?,
        given: BTreeMap::new(),
        table,
    };
    draft.plan.rounds = rounds.unwrap_or(ENDLESS);
    draft.merge()?;
    draft.settle(rounds);
    Ok(draft)
}

impl<'a> Draft<'a> {
    /// The plan so far.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The plan with its timing, checked for a federation.
    pub fn finish(
        mut self,
        root: &Table<'_>,
        fault_model: FaultModel,
        world: &World<'_>,
    ) -> Read<Plan> {
        let derived = timing::derive(&self.plan, world);
        let own = std::mem::replace(&mut self.plan.timing, derived);
        self.keep_given(&own);
        let voters = world.members.len();
        let Err(error) = self.plan.validate(voters, fault_model.quorum(voters)) else {
            return Ok(self.plan);
        };
        // Every message begins with `plan.section.key:`.
        let text = error.to_string();
        let key = text.split(':').next().unwrap_or_default();
        let field = self.given.get(key.trim_start_matches("plan."));
        let problem = Problem::Plan(error);
        match (field, &self.table) {
            (Some(field), _) => field.refuse(problem),
            (None, Some(table)) => table.refuse(problem),
            (None, None) => root.refuse(problem),
        }
    }

    /// Puts back what the scenario says of the timing.
    fn keep_given(&mut self, own: &archipel_protocol::charter::plan::TimingPlan) {
        let given = |key: &str| self.given.contains_key(&format!("timing.{key}"));
        let derived = &mut self.plan.timing;
        for (key, derived, own) in [
            ("delta_ms", &mut derived.delta_ms, own.delta_ms),
            ("fetch_ms", &mut derived.fetch_ms, own.fetch_ms),
            ("resend_ms", &mut derived.resend_ms, own.resend_ms),
            (
                "hold_batch_ms",
                &mut derived.hold_batch_ms,
                own.hold_batch_ms,
            ),
            (
                "deadline_floor_ms",
                &mut derived.deadline_floor_ms,
                own.deadline_floor_ms,
            ),
            (
                "deadline_ceiling_ms",
                &mut derived.deadline_ceiling_ms,
                own.deadline_ceiling_ms,
            ),
        ] {
            if given(key) {
                *derived = own;
            }
        }
        // What follows from one that is given stays within its range.
        if !given("hold_batch_ms") {
            derived.hold_batch_ms = derived.hold_batch_ms.min(derived.delta_ms);
        }
        if !given("deadline_floor_ms") {
            derived.deadline_floor_ms = derived.deadline_floor_ms.min(derived.deadline_ceiling_ms);
        }
        if !given("deadline_ceiling_ms") {
            derived.deadline_ceiling_ms =
                derived.deadline_ceiling_ms.max(derived.deadline_floor_ms);
        }
    }

    fn merge(&mut self) -> Read<()> {
        let Some(table) = self.table.clone() else {
            return Ok(());
        };
        table.only_of(keys())?;
        let known = toml_of(&everything());
        let mut tree = toml_of(&self.plan);
        for key in table.keys() {
            let field = table.field(key).expect("a table has the keys it lists");
            let short = SHORT.iter().find(|(name, _, _)| *name == key);
            if let Some((_, section, name)) = short {
                self.set(&mut tree, section, name, field)?;
            } else if SECTIONS.contains(&key) {
                let section = field.table()?;
                let names = known[key]
                    .as_table()
                    .expect("the plan's sections are tables");
                let names: Vec<&str> = names.keys().map(String::as_str).collect();
                section.only(&names)?;
                for name in section.keys() {
                    let field = section.field(name).expect("a table has the keys it lists");
                    self.set(&mut tree, key, name, field)?;
                }
            } else if key != "preset" {
                tree.insert(key.to_owned(), field.plain());
                self.plan = plan_of(&tree, &field)?;
            }
        }
        Ok(())
    }

    fn set(
        &mut self,
        tree: &mut toml::Table,
        section: &str,
        name: &str,
        field: Field<'a>,
    ) -> Read<()> {
        put(tree, section, name, &field);
        self.plan = plan_of(tree, &field)?;
        let key = format!("{section}.{name}");
        match self.given.get(&key) {
            None => {
                self.given.insert(key, field);
                Ok(())
            }
            Some(first) => field.refuse(Problem::Duplicate {
                key: field.key.clone(),
                found: key,
                first: first.line,
            }),
        }
    }

    /// Fills in what follows from what was given.
    fn settle(&mut self, rounds: Option<u64>) {
        let given = |key: &str| self.given.contains_key(key);
        let inner = &mut self.plan.inner;
        if !given("inner.segment_steps") {
            inner.segment_steps = inner.segment_steps.min(inner.steps);
        }
        if let (false, Some(rounds)) = (given("inner.total_steps"), rounds) {
            inner.total_steps = rounds.saturating_mul(inner.steps).clamp(1, ENDLESS);
        }
        if !given("inner.warmup_steps") {
            inner.warmup_steps = inner.warmup_steps.min(inner.total_steps / 10);
        }
        let needed = self.plan.payload_bytes();
        let exchange = &mut self.plan.exchange;
        if exchange.codec.keeps_a_share() && !given("exchange.error_feedback") {
            exchange.error_feedback = Some(Decimal::from_billionths(SPARSE_FEEDBACK));
        }
        if !given("exchange.max_payload_bytes") {
            // Room for the framing.
            let room = needed.saturating_add(needed / 8).clamp(1 << 20, ENDLESS);
            exchange.max_payload_bytes = exchange.max_payload_bytes.max(room);
        }
        if !self.plan.outer.rule.keeps_momentum() && !given("outer.momentum") {
            self.plan.outer.momentum = Decimal::ZERO;
        }
    }
}

/// Sets one value of the tree; no error feedback is `false`.
fn put(tree: &mut toml::Table, section: &str, name: &str, field: &Field<'_>) {
    let section = tree.get_mut(section).and_then(toml::Value::as_table_mut);
    let section = section.expect("the plan's sections are tables");
    match field.plain() {
        toml::Value::Boolean(false) if name == "error_feedback" => section.remove(name),
        value => section.insert(name.to_owned(), value),
    };
}

/// The plan that a tree stands for; an error is that of the field put last.
fn plan_of(tree: &toml::Table, field: &Field<'_>) -> Read<Plan> {
    let plan: Result<Plan, toml::de::Error> = tree.clone().try_into();
    plan.or_else(|error| {
        field.refuse(Problem::PlanValue {
            key: field.key.trim_start_matches("plan.").to_owned(),
            message: error.message().trim_end().to_owned(),
        })
    })
}

fn toml_of(plan: &Plan) -> toml::Table {
    toml::Table::try_from(plan).expect("a plan has a TOML form")
}

/// A plan that has every optional field, so that its TOML has every key.
fn everything() -> Plan {
    let mut plan = Plan::sparse();
    plan.data.holdout = Some(archipel_protocol::ids::BlobHash::default());
    plan.inner.muon = Some(MuonPlan {
        lr: Decimal::ONE,
        momentum: Decimal::ZERO,
        steps: 1,
    });
    plan
}

/// The plan to start from: the preset, or what suits the mode.
fn base(table: Option<&Table<'_>>, mode: Mode) -> Read<Plan> {
    let Some(field) = table.and_then(|table| table.field("preset")) else {
        return Ok(match mode {
            Mode::Train => Plan::demo(),
            Mode::Protocol => quadratic(),
        });
    };
    let name = field.text("a preset's name in quotes")?;
    Plan::preset(name).map_or_else(
        || field.unknown("preset", name, Plan::PRESETS.into_iter()),
        Ok,
    )
}

/// What suits the quadratic: a plain outer step, so that its distance to the optimum only falls.
fn quadratic() -> Plan {
    let mut plan = Plan::nano();
    plan.exchange.rule = AggregationRule::Mean;
    plan.outer.rule = OuterRule::Plain;
    plan.outer.momentum = Decimal::ZERO;
    plan
}
