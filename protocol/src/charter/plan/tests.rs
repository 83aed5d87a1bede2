//! Each rule of a plan, and the refusal it gives.

mod soundness;

use super::*;

fn whole() -> Plan {
    let mut plan = Plan::sparse();
    plan.inner.optimizer = InnerOptimizer::Muon;
    plan.inner.muon = Some(MuonPlan {
        lr: decimal("0.02"),
        momentum: decimal("0.95"),
        steps: 5,
    });
    plan.data = DataPlan {
        holdout: Some(BlobHash([7; 32])),
        holdout_bytes: 65_536,
        manifests: vec![
            DataManifest {
                member: Some("a".to_owned()),
                hash: BlobHash([8; 32]),
                class: DataClass::Shared,
            },
            DataManifest {
                member: None,
                hash: BlobHash([8; 32]),
                class: DataClass::Public,
            },
        ],
        mixture: vec![entry("law", "2"), entry("web-2024", "0.5")],
    };
    plan
}

fn entry(sector: &str, weight: &str) -> MixtureEntry {
    MixtureEntry {
        sector: sector.to_owned(),
        weight: decimal(weight),
    }
}

fn decimal(text: &str) -> Decimal {
    text.parse().expect("a decimal")
}

#[test]
fn presets_are_valid_for_one_member_and_for_many() {
    for name in Plan::PRESETS {
        let plan = Plan::preset(name).expect("the list names what exists");
        for voters in [1, 2, 4, 16] {
            assert_eq!(plan.validate(voters, voters), Ok(()), "{name}");
        }
    }
    assert_eq!(Plan::preset("giga"), None);
}

#[test]
fn presets_have_the_sizes_they_are_known_by() {
    let sizes = [
        ("nano", 200_000, 192_960),
        ("micro", 1_000_000, 1_016_960),
        ("small", 15_000_000, 14_802_048),
        ("base", 125_000_000, 126_253_824),
        ("1b", 1_100_000_000, 1_083_279_360),
    ];
    for (name, nominal, exact) in sizes {
        let plan = Plan::preset(name).expect("the list names what exists");
        let found = plan.model.parameters();
        let band = nominal - nominal * 15 / 100..=nominal + nominal * 15 / 100;
        assert!(band.contains(&found), "{name}: {found}");
        assert_eq!(found, exact, "{name}");
        assert!(plan.model.ffn.is_multiple_of(64), "{name}");
        let room = plan.exchange.max_payload_bytes;
        assert!(
            plan.payload_bytes() * 9 / 8 < room,
            "{name}: no room to edit"
        );
    }
}

#[test]
fn a_state_of_every_preset_and_of_the_longest_plan_goes_into_one_message() {
    use crate::{
        charter::{Charter, CharterMember, FaultModel, MAX_MEMBERS, MemberRole},
        encoding::{MAX_MESSAGE_BYTES, encode},
        ids::{MemberId, Round},
        ledger::{Activity, Membership},
        state::Manifest,
    };
    for name in Plan::PRESETS {
        let plan = Plan::preset(name).expect("the list names what exists");
        assert!(plan.hashes_per_state() <= 1024, "{name}");
    }
    let members = (0..MAX_MEMBERS).map(|index| CharterMember {
        id: MemberId([index as u8; 32]),
        name: "x".repeat(64),
        role: MemberRole::Member,
        addresses: Vec::new(),
    });
    let membership = Membership::founding(&Charter {
        name: "x".repeat(64),
        founding_nonce: [9; 32],
        fault_model: FaultModel::Byzantine,
        threshold: Some(u32::MAX),
        plan: Plan::nano(),
        members: members.collect(),
    });
    let manifest = Manifest {
        round: Round(u64::MAX),
        parameters: vec![BlobHash([7; 32]); 1024],
        momentum: Vec::new(),
        aggregate: Vec::new(),
        schedule: u64::MAX,
        activity: Activity::founding(&membership),
        membership,
    };
    let bytes = encode(&manifest).len();
    // The counts of activity grow to ten bytes a member.
    assert!(bytes + 10 * MAX_MEMBERS < MAX_MESSAGE_BYTES, "{bytes}");
}

/// A way to break a valid plan, and words that the refusal must hold.
type Case = (fn(&mut Plan), &'static str);

fn assert_refused(cases: &[Case]) {
    assert_eq!(whole().validate(4, 3), Ok(()));
    for (change, expected) in cases {
        let mut plan = whole();
        change(&mut plan);
        let message = plan.validate(4, 3).expect_err(expected).to_string();
        assert!(
            message.contains(expected),
            "expected {expected:?} in {message:?}"
        );
    }
}

#[test]
fn each_broken_rule_of_the_run_is_named() {
    assert_refused(&[
        (|p| p.rounds = 0, "plan.rounds: expected 1 to"),
        (|p| p.rounds = u64::MAX, "plan.rounds: expected 1 to"),
        (
            |p| p.numerics_class = "CPU f32".to_owned(),
            "plan.numerics_class",
        ),
        (|p| p.numerics_class = "x".repeat(65), "plan.numerics_class"),
    ]);
}

#[test]
fn each_broken_rule_of_the_model_is_named() {
    assert_refused(&[
        (
            |p| p.model.vocabulary = 512,
            "plan.model.vocabulary: expected 256",
        ),
        (
            |p| p.model.layers = 0,
            "plan.model.layers: expected 1 to 1024, found 0",
        ),
        (
            |p| p.model.layers = 1025,
            "plan.model.layers: expected 1 to 1024, found 1025",
        ),
        (
            |p| p.model.heads = 5,
            "plan.model.d_model: expected a multiple of model.heads (5)",
        ),
        (
            |p| p.model.kv_heads = 3,
            "plan.model.heads: expected a multiple of model.kv_heads",
        ),
        (
            |p| (p.model.heads, p.model.kv_heads) = (64, 64),
            "heads of width 1, expected an even",
        ),
        (
            |p| p.model.rope_base = Decimal::ZERO,
            "plan.model.rope_base: expected \"1\" to",
        ),
        (
            |p| p.model.norm_epsilon = Decimal::ZERO,
            "plan.model.norm_epsilon",
        ),
        (
            |p| (p.model.d_model, p.model.layers) = (1 << 20, 1024),
            "parameters, expected at most",
        ),
        (
            |p| p.model.layers = 114,
            "plan.model.layers: 1029 tensors, 1029 hashes a state",
        ),
        (
            |p| (p.model.layers, p.outer.rule) = (57, OuterRule::Nesterov),
            "516 tensors, 1032 hashes a state",
        ),
    ]);
}

#[test]
fn a_tokenizer_has_its_vocabulary() {
    let mut plan = whole();
    plan.tokenizer = Tokenizer::Hf(BlobHash([3; 32]));
    for vocabulary in [1, 256, 32_000, 1 << 20] {
        plan.model.vocabulary = vocabulary;
        plan.exchange.max_payload_bytes = 1 << 40;
        assert_eq!(plan.validate(4, 3), Ok(()));
    }
    for vocabulary in [0, (1 << 20) + 1] {
        plan.model.vocabulary = vocabulary;
        let refused = plan.validate(4, 3).expect_err("no vocabulary").to_string();
        let expected = "plan.model.vocabulary: expected 1 to 1048576";
        assert!(refused.contains(expected), "{refused}");
    }
}

#[test]
fn each_broken_rule_of_muon_is_named() {
    fn muon(plan: &mut Plan) -> &mut MuonPlan {
        plan.inner.muon.as_mut().expect("the plan has Muon")
    }
    assert_refused(&[
        (
            |p| p.inner.muon = None,
            "plan.inner.muon: expected this table",
        ),
        (
            |p| p.inner.optimizer = InnerOptimizer::AdamW,
            "plan.inner.muon: expected no such table",
        ),
        (|p| muon(p).lr = Decimal::ZERO, "plan.inner.muon.lr"),
        (|p| muon(p).lr = decimal("1.1"), "plan.inner.muon.lr"),
        (
            |p| muon(p).momentum = Decimal::ONE,
            "plan.inner.muon.momentum: expected \"0\" to \"0.999999\"",
        ),
        (
            |p| muon(p).steps = 0,
            "plan.inner.muon.steps: expected 1 to 10, found 0",
        ),
        (
            |p| muon(p).steps = 11,
            "plan.inner.muon.steps: expected 1 to 10, found 11",
        ),
    ]);
}

#[test]
fn each_broken_rule_of_the_inner_steps_is_named() {
    assert_refused(&[
        (|p| p.inner.lr = Decimal::ZERO, "plan.inner.lr"),
        (
            |p| p.inner.beta1 = Decimal::ONE,
            "plan.inner.beta1: expected \"0\" to \"0.999999\"",
        ),
        (|p| p.inner.beta2 = decimal("-0.1"), "plan.inner.beta2"),
        (|p| p.inner.epsilon = Decimal::ZERO, "plan.inner.epsilon"),
        (
            |p| p.inner.weight_decay = decimal("1.1"),
            "plan.inner.weight_decay",
        ),
        (
            |p| p.inner.clip_norm = Decimal::ZERO,
            "plan.inner.clip_norm",
        ),
        (|p| p.inner.total_steps = 0, "plan.inner.total_steps"),
        (
            |p| p.inner.warmup_steps = 601,
            "plan.inner.warmup_steps: expected 0 to 600, found 601",
        ),
        (
            |p| p.inner.min_lr_ratio = decimal("1.1"),
            "plan.inner.min_lr_ratio",
        ),
        (
            |p| p.inner.batch_sequences = 0,
            "plan.inner.batch_sequences",
        ),
        (
            |p| p.inner.micro_batch = 17,
            "plan.inner.micro_batch: expected 1 to 16, found 17",
        ),
        (
            |p| p.inner.micro_batch = 5,
            "a multiple of inner.micro_batch (5), found 16",
        ),
        (|p| p.inner.steps = 0, "plan.inner.steps"),
        (
            |p| p.inner.rewarm_steps = 31,
            "plan.inner.rewarm_steps: expected 0 to 30, found 31",
        ),
        (
            |p| p.inner.segment_steps = 31,
            "plan.inner.segment_steps: expected 1 to 30, found 31",
        ),
    ]);
}

#[test]
fn each_broken_rule_of_the_outer_step_is_named() {
    assert_refused(&[
        (|p| p.outer.lr = Decimal::ZERO, "plan.outer.lr"),
        (
            |p| p.outer.momentum = Decimal::ONE,
            "plan.outer.momentum: expected \"0\"",
        ),
        (
            |p| p.outer.momentum = decimal("0.9"),
            "plan.outer.momentum: this rule uses none",
        ),
        (
            |p| p.outer.period = 2,
            "plan.outer.period: expected 1 with this rule, found 2",
        ),
        (
            |p| (p.outer.rule, p.outer.period) = (OuterRule::DelayedNesterov, 1025),
            "plan.outer.period: expected 1 to 1024, found 1025",
        ),
        (
            |p| p.outer.fragments = 13,
            "plan.outer.fragments: expected 1 to 12, found 13",
        ),
        (
            |p| p.outer.delay = 30,
            "plan.outer.delay: expected 0 to 29, found 30",
        ),
        (
            |p| p.outer.alpha = decimal("1.1"),
            "plan.outer.alpha: expected \"0\" to \"1\"",
        ),
        (
            |p| (p.inner.steps_by_speed, p.outer.delay) = (true, 1),
            "plan.inner.steps_by_speed",
        ),
        (
            |p| (p.inner.steps_by_speed, p.outer.fragments) = (true, 2),
            "plan.inner.steps_by_speed",
        ),
        (
            |p| (p.outer.rule, p.outer.momentum) = (OuterRule::Sign, decimal("0.5")),
            "plan.outer.momentum: this rule uses none",
        ),
    ]);
}

#[test]
fn each_broken_rule_of_the_exchange_is_named() {
    assert_refused(&[
        (
            |p| p.exchange.chunk = 2048,
            "expected a power of four from 16 to 65536, found 2048",
        ),
        (|p| p.exchange.chunk = 4, "expected a power of four"),
        (
            |p| p.exchange.chunk = 1 << 18,
            "from 16 to 65536, found 262144",
        ),
        (
            |p| p.exchange.keep = 4097,
            "plan.exchange.keep: expected 1 to 4096",
        ),
        (
            |p| p.exchange.error_feedback = Some(Decimal::ZERO),
            "plan.exchange.error_feedback",
        ),
        (|p| p.exchange.max_carried = 17, "plan.exchange.max_carried"),
        (
            |p| p.exchange.clip_iterations = 0,
            "plan.exchange.clip_iterations",
        ),
        (
            |p| p.exchange.weight_cap = decimal("0.2"),
            "plan.exchange.weight_cap: expected at least 1/4",
        ),
        (
            |p| p.exchange.weight_cap = decimal("1.1"),
            "plan.exchange.weight_cap: expected",
        ),
        (
            |p| p.exchange.max_abs = Decimal::ZERO,
            "plan.exchange.max_abs",
        ),
        (
            |p| p.exchange.max_norm = Decimal::ZERO,
            "plan.exchange.max_norm",
        ),
        (
            |p| p.exchange.max_payload_bytes = 100,
            "plan.exchange.max_payload_bytes: this model",
        ),
        (
            |p| p.exchange.minimum_updates = 0,
            "plan.exchange.minimum_updates",
        ),
        (
            |p| p.exchange.minimum_updates = 4,
            "expected 1 to the quorum (3 of 4 voting members)",
        ),
    ]);
}

#[test]
fn each_broken_rule_of_timing_is_named() {
    assert_refused(&[
        (|p| p.timing.delta_ms = 0, "plan.timing.delta_ms"),
        (|p| p.timing.fetch_ms = u64::MAX, "plan.timing.fetch_ms"),
        (
            |p| p.timing.deadline_ceiling_ms = u64::MAX,
            "plan.timing.deadline_ceiling_ms",
        ),
        (
            |p| p.timing.deadline_floor_ms = 60_001,
            "plan.timing.deadline_floor_ms",
        ),
        (
            |p| p.timing.deadline_mad_factor = decimal("-1"),
            "plan.timing.deadline_mad_factor",
        ),
        (|p| p.timing.resend_ms = 9, "plan.timing.resend_ms"),
        (
            |p| p.timing.hold_batch_ms = 501,
            "plan.timing.hold_batch_ms",
        ),
    ]);
}

#[test]
fn each_broken_rule_of_the_data_is_named() {
    assert_refused(&[
        (
            |p| p.data.holdout = None,
            "found holdout absent and holdout_bytes = 65536",
        ),
        (
            |p| p.data.holdout_bytes = 0,
            "found holdout present and holdout_bytes = 0",
        ),
        (
            |p| p.data.holdout_bytes = 64,
            "plan.data.holdout_bytes: expected 65 to",
        ),
        (
            |p| p.data.manifests[0].member = None,
            "plan.data.manifests: entry 1 repeats",
        ),
        (
            |p| p.data.manifests = vec![p.data.manifests[0].clone(); 4097],
            "expected at most 4096",
        ),
    ]);
}

#[test]
fn each_broken_rule_of_the_mixture_is_named() {
    assert_refused(&[
        (
            |p| p.data.mixture = vec![entry("a", "1"); 257],
            "plan.data.mixture: expected at most 256 sectors, found 257",
        ),
        (
            |p| p.data.mixture[1].sector.clear(),
            "entry 1 (from 0): expected a sector of 1 to 64",
        ),
        (
            |p| p.data.mixture[0].sector = "Law".to_owned(),
            "found \"Law\"",
        ),
        (
            |p| p.data.mixture[0].sector = "x".repeat(65),
            "entry 0 (from 0): expected a sector of 1 to 64",
        ),
        (
            |p| p.data.mixture[0].weight = Decimal::ZERO,
            "plan.data.mixture.weight: expected \"0.000000001\" to \"1000000\"",
        ),
        (
            |p| p.data.mixture[0].weight = decimal("-1"),
            "plan.data.mixture.weight",
        ),
        (
            |p| p.data.mixture.reverse(),
            "expected a sector after \"web-2024\" in the order of bytes, found \"law\"",
        ),
        (
            |p| p.data.mixture[1].sector = "law".to_owned(),
            "expected a sector after \"law\"",
        ),
    ]);
    let mut longest = whole();
    longest.data.mixture = (0..256).map(|n| entry(&format!("s{n:03}"), "1")).collect();
    assert_eq!(longest.validate(4, 3), Ok(()));
}

#[test]
fn a_plan_survives_its_file() {
    let text = toml::to_string(&whole()).expect("a plan has a TOML form");
    assert_eq!(toml::from_str(&text), Ok(whole()));
    assert!(text.contains("tokenizer = \"bytes\""), "{text}");
    assert!(text.contains("[inner.muon]\nlr = \"0.02\""), "{text}");
    let misspelt = text.replace("d_model", "d_modle");
    let error = toml::from_str::<Plan>(&misspelt)
        .expect_err("an unknown field")
        .to_string();
    assert!(error.contains("d_modle"), "{error}");
}

#[test]
fn a_tokenizer_is_written_as_a_word_or_as_a_table_of_one() {
    let mut plan = whole();
    plan.tokenizer = Tokenizer::Hf(BlobHash([0xab; 32]));
    let text = toml::to_string(&plan).expect("a plan has a TOML form");
    let table = format!("[tokenizer]\nhf = \"{}\"\n", "ab".repeat(32));
    assert!(text.contains(&table), "{text}");
    assert_eq!(toml::from_str(&text).as_ref(), Ok(&plan));
    let inline = format!("tokenizer = {{ hf = \"{}\" }}\n", "ab".repeat(32));
    let text = inline + &text.replace(&table, "");
    assert_eq!(toml::from_str(&text), Ok(plan));
    let unknown = text.replace("{ hf =", "{ bpe =");
    let error = toml::from_str::<Plan>(&unknown).expect_err("no such tokenizer");
    assert!(error.to_string().contains("`bytes` or `hf`"), "{error}");
}

#[test]
fn a_plan_survives_the_wire_encoding() {
    let mut hf = whole();
    hf.tokenizer = Tokenizer::Hf(BlobHash([3; 32]));
    for plan in [Plan::nano(), whole(), hf] {
        let bytes = crate::encoding::encode(&plan);
        let read = crate::encoding::decode::<Plan>(&bytes, bytes.len());
        assert_eq!(read, Ok(plan));
    }
}

#[test]
fn defaults_stand_for_what_may_be_left_out() {
    let text = toml::to_string(&Plan::nano()).expect("a plan has a TOML form");
    let optional = [
        "chunk",
        "keep",
        "max_carried",
        "clip_iterations",
        "assumed_liars",
        "multi_krum_keep",
        "clip_to_median_norm",
        "weight_cap",
        "deadline_mad_factor",
        "wait_all",
        "holdout_bytes",
        "manifests",
        "mixture",
    ];
    let shortened: Vec<&str> = text
        .lines()
        .filter(|line| {
            !optional
                .iter()
                .any(|field| line.starts_with(&format!("{field} =")))
        })
        .collect();
    assert_eq!(shortened.len() + optional.len(), text.lines().count());
    assert_eq!(toml::from_str(&shortened.join("\n")), Ok(Plan::nano()));
}

#[test]
fn parameters_follow_the_formula() {
    let model = Plan::nano().model;
    let block = 4 * 64 * 64 + 3 * 64 * 192 + 2 * 64;
    assert_eq!(model.parameters(), 2 * 256 * 64 + 3 * block + 64);
    assert_eq!(model.tensors(), 3 * 9 + 3);
    let tied = ModelPlan {
        tied: true,
        ..model
    };
    assert_eq!(tied.parameters(), 256 * 64 + 3 * block + 64);
    assert_eq!(tied.tensors(), 3 * 9 + 2);
    let huge = ModelPlan {
        vocabulary: u32::MAX,
        d_model: u32::MAX,
        layers: u32::MAX,
        ..tied
    };
    assert_eq!(huge.parameters(), u64::MAX);
    assert_eq!(huge.training_flop(u64::MAX), u128::MAX);
    let products = block - 2 * 64 + 64 * 64;
    let flop = Plan::nano().model.training_flop(10);
    assert_eq!(flop, u128::from(6 * 10 * (3 * products + 64 * 256)));
}
