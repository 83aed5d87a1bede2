//! The page as a person sees it.

use super::*;
use crate::cli::charter::tests::charter;
use archipel_protocol::charter::plan::{InnerOptimizer, MuonPlan};
use archipel_protocol::crypto::Ed25519Signer;

/// Two cores.
const MACHINE: Machine = (20.0, 2);

fn signed(voters: u8) -> SignedCharter {
    let mut signed = SignedCharter::new(charter(voters, Plan::sparse()));
    for seed in 1..=voters {
        signed
            .sign(&Ed25519Signer::new(&[seed; 32]))
            .expect("a member signs");
    }
    signed
}

#[test]
fn agreement_says_what_it_withstands() {
    let cases = [
        (FaultModel::Byzantine, 0, "nobody votes yet"),
        (
            FaultModel::Byzantine,
            3,
            "byzantine, 3 of 3 votes needed; below four voting members",
        ),
        (
            FaultModel::Byzantine,
            4,
            "byzantine, 3 of 4 votes needed; 1 member may lie or stop",
        ),
        (
            FaultModel::Crash,
            2,
            "crash, 2 of 2 votes needed; nobody may stop, and nobody is",
        ),
        (
            FaultModel::Crash,
            3,
            "crash, 2 of 3 votes needed; 1 member may stop, and nobody is",
        ),
    ];
    for (model, voters, expected) in cases {
        let charter = Charter {
            fault_model: model,
            ..charter(voters, Plan::sparse())
        };
        let text = agreement(&charter);
        assert!(
            text.starts_with(expected),
            "expected {expected:?} in {text:?}"
        );
    }
}

#[test]
fn a_page_fits_and_says_all() {
    let whole = page(&signed(4), MACHINE, WIDTH);
    for width in [MIN_WIDTH, 90, WIDTH] {
        for row in page(&signed(4), MACHINE, width).lines() {
            assert!(row.chars().count() <= width, "{row}");
            assert_eq!(row, row.trim_end());
        }
    }
    for part in [
        "whole, and signed by all voting members",
        "member-3  member",
        "P = 192,960 parameters",
        "topk-2bit, 64 of 4096, error feedback 0.95; mean of at least 1 update",
        "  speed         With two processor cores, by a guess, a round takes",
        "86400 / seconds a round",
    ] {
        assert!(whole.contains(part), "{part:?} is not in\n{whole}");
    }
    let mut open = signed(3);
    open.signatures.truncate(1);
    let open = page(&open, MACHINE, WIDTH);
    assert!(open.contains("not ready: signatures: expected all 3 voting members, 2 missing"));
    assert!(open.contains("to sign         member-2, member-3"));
    assert!(open.contains("this tolerates nobody"));
}

#[test]
fn a_broken_plan_is_shown_without_numbers_made_from_it() {
    let mut broken = signed(4);
    broken.charter.plan.model.heads = 0;
    let page = page(&broken, MACHINE, WIDTH);
    assert!(
        page.contains("not ready: charter.plan.model.heads: expected 1 to"),
        "{page}"
    );
    assert!(!page.contains("What each voting member gives"));
}

#[test]
fn the_object_has_the_same_numbers() {
    let object = object(&signed(4), MACHINE);
    let offer = Offer::new(&signed(4).charter, MACHINE.0, MACHINE.1);
    assert_eq!(object["ready"], true);
    assert_eq!(object["quorum"], 3);
    assert_eq!(object["gives"]["memory_bytes"], offer.memory_bytes());
    assert_eq!(object["run_id"], signed(4).run_id().to_string());
}

#[test]
fn a_foreign_charter_cannot_move_the_cursor() {
    let mut foreign = signed(4);
    foreign.charter.name = "\u{1b}[2J".to_owned();
    foreign.charter.members[0].name = "\u{1b}[1A".to_owned();
    foreign.charter.members[1].addresses = vec!["/\r".to_owned()];
    foreign.charter.plan.numerics_class = "\u{7}".to_owned();
    foreign.signatures.clear();
    assert!(
        page(&foreign, MACHINE, WIDTH)
            .chars()
            .all(|c| c == '\n' || !c.is_control())
    );
}

#[test]
fn a_page_says_what_trains_on_what() {
    let mut signed = signed(4);
    let plan = &mut signed.charter.plan;
    plan.tokenizer = Tokenizer::Hf(archipel_protocol::ids::BlobHash([0xab; 32]));
    plan.inner.optimizer = InnerOptimizer::Muon;
    plan.inner.muon = Some(MuonPlan {
        lr: "0.02".parse().expect("a decimal"),
        momentum: "0.95".parse().expect("a decimal"),
        steps: 5,
    });
    plan.data.mixture = [("law", "1"), ("web\u{7}", "3")]
        .map(|(sector, weight)| MixtureEntry {
            sector: sector.to_owned(),
            weight: weight.parse().expect("a decimal"),
        })
        .to_vec();
    let page = page(&signed, MACHINE, WIDTH).replace("\n                ", " ");
    for expected in [
        "vocabulary 256 (tokenizer.json abababab)",
        "muon at 0.02 for hidden matrices, momentum 0.95, 5 iterations; adamw at 0.003 for the",
        "mixture       law 25.0 %, web? 75.0 %",
    ] {
        assert!(page.contains(expected), "{expected:?} in {page}");
    }
}

#[test]
fn what_is_made_for_accelerators_is_said_to_be() {
    let of = |name: &str| {
        let plan = Plan::preset(name).expect("a preset");
        let signed = SignedCharter::new(charter(4, plan));
        page(&signed, MACHINE, WIDTH).replace("\n                ", " ")
    };
    for (name, hours) in [
        ("base", "a round takes 23 hours"),
        ("1b", "a round takes 32 days"),
    ] {
        let page = of(name);
        assert!(
            page.contains("This plan is made for accelerators: with two"),
            "{page}"
        );
        assert!(page.contains(hours), "{page}");
    }
    for name in ["nano", "micro", "small", "demo", "sparse"] {
        assert!(!of(name).contains("made for accelerators"), "{name}");
    }
    let slow = of("small");
    assert!(slow.contains("Too slow for this plan: with two"), "{slow}");
}

#[test]
fn a_page_names_the_file_of_held_out_bytes_and_void_signatures() {
    let mut signed = signed(4);
    signed.charter.plan.data.holdout = Some(archipel_protocol::ids::BlobHash([7; 32]));
    signed.charter.plan.data.holdout_bytes = 65_536;
    signed.signatures.truncate(2);
    let page = page(&signed, MACHINE, WIDTH).replace("\n                ", " ");
    assert!(
        page.contains("puts a copy of the file into its folder as holdout.bin"),
        "{page}"
    );
    assert_eq!(page.matches("  void").count(), 2, "{page}");
}
