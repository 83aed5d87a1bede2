//! Roots and what final blocks make of a federation, worked out again.

use super::*;
use crate::reference::{ReferenceError, Standing, memory_digest, root_of, root_of_manifest};
use crate::{scenario::plain_plan, site::Keys};
use archipel_protocol::{
    charter::{Charter, CharterMember, Decimal, FaultModel, MemberRole},
    crypto::{Ed25519Signer, Signature, Signer},
    fold::manifest_after,
    ids::{Epoch, MemberId, Root, Round, RunId},
    ledger::{Act, Activity, Amendment, Change, Membership},
    member::FoldTask,
    message::{Block, Header, Present, SignedHeader, StateCertificate},
    state::Manifest,
};

const RUN: RunId = RunId([7; 32]);
const STEPS: u64 = 30;

/// Members 0 to 4 found the federation; up to 7 may be admitted.
fn signer(index: u64) -> Ed25519Signer {
    Ed25519Signer::new(&Keys::secret(0, index as u32))
}

fn founding() -> Membership {
    let members = (0..5).map(|index| CharterMember {
        id: signer(index).member(),
        name: format!("member-{}", index + 1),
        role: MemberRole::Member,
        addresses: Vec::new(),
    });
    Membership::founding(&Charter {
        name: "reference".to_owned(),
        founding_nonce: [1; 32],
        fault_model: FaultModel::Byzantine,
        threshold: None,
        plan: plain_plan(1),
        members: members.collect(),
    })
}

fn header(member: MemberId) -> SignedHeader {
    let header = Header {
        epoch: Epoch(0),
        round: Round(0),
        member,
        base: Root::default(),
        payload: Default::default(),
        payload_bytes: 1,
        codec: 1,
        steps: 1,
        tokens: 1,
        loss_micro: 0,
        work_root: Default::default(),
        residual_before: Default::default(),
        residual_after: Default::default(),
        optimizer_before: Default::default(),
        optimizer_after: Default::default(),
        carried: 0,
        numerics: String::new(),
        nonce_commitment: Default::default(),
    };
    let signature = Signature([0; 64]);
    SignedHeader { header, signature }
}

fn change(stream: &mut Stream, epoch: Epoch) -> Change {
    let who = signer(stream.below(8));
    let id = who.member();
    let act = match stream.below(5) {
        0 => return Change::leave(&RUN, epoch, &who),
        1 => return Change::back(&RUN, epoch, &who),
        2 => Act::Remove { id },
        3 => Act::Suspend { id },
        _ => {
            // Now and then a name that is taken.
            let name = match stream.below(6) {
                0 => "member-1".to_owned(),
                _ => format!("guest-{}", id.short()),
            };
            Act::Admit { id, name }
        }
    };
    Change::Amend {
        amendment: Amendment::signed(&RUN, epoch, act, &who),
        consents: Vec::new(),
    }
}

/// A block after a membership: some voters in the cut, some present, perhaps changes.
fn block(stream: &mut Stream, round: Round, members: &Membership) -> Block {
    let epoch = members.epoch();
    let some = |stream: &mut Stream, odds: u64| -> Vec<MemberId> {
        let mut voters = members.voters();
        voters.retain(|_| stream.below(4) < odds);
        voters
    };
    let cut_odds = [0, 2, 3][stream.below(3) as usize];
    let presents = some(stream, 1).into_iter().map(|member| Present {
        epoch,
        round,
        member,
        signature: Signature([0; 64]),
    });
    let presents = presents.collect();
    let changes = match stream.below(3) {
        0 => (0..=stream.below(2))
            .map(|_| change(stream, epoch))
            .collect(),
        _ => Vec::new(),
    };
    Block {
        epoch,
        round,
        cut: some(stream, cut_odds).into_iter().map(header).collect(),
        presents,
        changes,
        evidence: Vec::new(),
        certificate: StateCertificate {
            epoch,
            round,
            root: Root::default(),
            seals: Default::default(),
        },
    }
}

fn manifest(layout: &Layout, tensors: &Tensors, of: &Standing, members: &Membership) -> Manifest {
    let founding = Manifest::founding(layout, tensors, members);
    Manifest {
        round: of.round,
        schedule: of.schedule,
        ..founding
    }
}

#[test]
fn final_blocks_carry_the_standing_as_the_ledger_does() {
    let (mut applied, mut refused) = (0, 0);
    for seed in 0..60 {
        let stream = &mut stream("blocks", seed);
        let (layout, mut members) = (&layouts()[1], founding());
        let mut activity = Activity::founding(&members);
        let plan = plan(
            CodecKind::F32,
            AggregationRule::CenteredClip,
            OuterRule::Nesterov,
        );
        let tensors = state(&plan, layout, stream);
        let start = Manifest::founding(layout, &tensors, &members);
        let mut standing = Standing::of_manifest(&start);
        for _ in 0..40 {
            let block = block(stream, standing.round, &members);
            let (next, expected) = (standing.after(&block, STEPS), members.changed(&block));
            let (Ok(next), Ok(after)) = (&next, &expected) else {
                assert!(next.is_err() && expected.is_err(), "{next:?}, {expected:?}");
                refused += 1;
                continue;
            };
            activity = activity.after(&block, &members, after);
            (members, standing) = (after.clone(), next.clone());
            let mut manifest = manifest(layout, &tensors, &standing, &members);
            manifest.activity = activity.clone();
            assert_eq!(standing, Standing::of_manifest(&manifest));
            let expected = Ok(manifest.root(&RUN, layout));
            assert_eq!(standing.root(&RUN, layout, &tensors), expected);
            assert_eq!(root_of_manifest(&RUN, layout, &manifest), expected);
            applied += 1;
        }
        assert_eq!(standing.schedule, STEPS * standing.round.0);
    }
    assert!(
        applied > 1000 && refused > 100,
        "{applied} applied, {refused} refused"
    );
}

#[test]
fn a_block_that_belongs_elsewhere_is_refused() {
    let (layout, members) = (&layouts()[0], founding());
    let plan = plan(CodecKind::F32, AggregationRule::Mean, OuterRule::Plain);
    let tensors = Tensors::founding(&plan, vec![0.0; layout.parameters()]);
    let standing = Standing::of_manifest(&Manifest::founding(layout, &tensors, &members));
    let good = |cut: &[usize]| {
        let mut block = block(&mut stream("elsewhere", 0), Round(0), &members);
        let voters = members.voters();
        block.changes.clear();
        block.cut = cut.iter().map(|index| header(voters[*index])).collect();
        block
    };
    assert!(standing.after(&good(&[0, 2, 4]), STEPS).is_ok());
    for cut in [[0, 0], [3, 1]] {
        assert!(standing.after(&good(&cut), STEPS).is_err(), "{cut:?}");
    }
    let mut other = good(&[0, 1]);
    other.cut[1].header.member = signer(7).member();
    assert!(standing.after(&other, STEPS).is_err());
    let (mut round, mut epoch) = (good(&[0]), good(&[0]));
    (round.round, epoch.epoch) = (Round(1), Epoch(1));
    assert!(standing.after(&round, STEPS).is_err());
    assert!(standing.after(&epoch, STEPS).is_err());
}

fn task(members: &Membership) -> FoldTask {
    FoldTask {
        round: Round(8),
        attempt: 0,
        base: Root::default(),
        updates: Vec::new(),
        schedule: 9 * STEPS,
        membership: members.clone(),
        activity: Activity::founding(members),
    }
}

#[test]
fn the_root_after_a_task_is_the_protocols() {
    let members = founding();
    let task = task(&members);
    for (number, layout) in layouts().iter().enumerate() {
        for (rule, outer) in [(RULES[0], OUTERS[0]), (RULES[1], OUTERS[1])] {
            let plan = plan(CodecKind::F32, rule, outer);
            let tensors = state(&plan, layout, &mut stream("roots", number as u64));
            let manifest = manifest_after(layout, &task, &tensors);
            let expected = manifest.root(&RUN, layout);
            assert_eq!(root_of(&RUN, layout, &task, &tensors), Ok(expected));
        }
    }
}

#[test]
fn any_flipped_bit_of_a_state_changes_its_root() {
    let (layout, members) = (&layouts()[1], founding());
    let plan = plan(
        CodecKind::F32,
        AggregationRule::CenteredClip,
        OuterRule::Nesterov,
    );
    let mut tensors = Tensors::founding(&plan, vec![0.5; layout.parameters()]);
    tensors.aggregate = vec![0.0; layout.parameters()];
    let task = task(&members);
    let right = root_of(&RUN, layout, &task, &tensors);
    for position in 0..layout.parameters() {
        for vector in 0..3 {
            let mut wrong = tensors.clone();
            let all = [
                &mut wrong.parameters,
                &mut wrong.momentum,
                &mut wrong.aggregate,
            ];
            let value = &mut all[vector][position];
            *value = f32::from_bits(value.to_bits() ^ 1 << (position % 32));
            assert_ne!(root_of(&RUN, layout, &task, &wrong), right);
        }
    }
    let standing = Standing::of_task(&task);
    let mut others = vec![standing.clone(); 7];
    others[0].round = Round(8);
    others[1].epoch = Epoch(1);
    others[2].schedule += 1;
    others[3].cuts += 1;
    others[4].last[2] += 1;
    others[5].seats[1].name.push('x');
    others[6].seats.swap(0, 1);
    for other in others {
        assert_ne!(other.root(&RUN, layout, &tensors), right, "{other:?}");
    }
    assert_eq!(standing.root(&RUN, layout, &tensors), right);
}

#[test]
fn vectors_that_do_not_fit_have_no_root() {
    let (layout, task) = (&layouts()[1], task(&founding()));
    let tensors = |lengths: [usize; 3]| Tensors {
        parameters: vec![0.0; lengths[0]],
        momentum: vec![0.0; lengths[1]],
        aggregate: vec![0.0; lengths[2]],
    };
    let all = layout.parameters();
    assert!(root_of(&RUN, layout, &task, &tensors([all, 0, 0])).is_ok());
    for lengths in [[0, 0, 0], [all - 1, 0, 0], [all, 1, 0], [all, 0, all + 1]] {
        let refused = root_of(&RUN, layout, &task, &tensors(lengths));
        assert!(
            matches!(refused, Err(ReferenceError::Length { .. })),
            "{lengths:?}"
        );
    }
    assert!(memory_digest(layout, &[0.0; 3]).is_err());
    assert_eq!(memory_digest(layout, &[]), Ok(Default::default()));
}

#[test]
fn decimals_become_the_same_floats() {
    let stream = &mut stream("decimals", 0);
    let mut numbers = vec![0, 1, -1, i64::MAX, i64::MIN, 16_777_217_000_000_000];
    // Halfway between two floats of their size, where the even one wins.
    numbers.extend((1..100).map(|odd| (16_777_216 + odd) * 1_000_000_000));
    numbers.extend((0..20_000).map(|_| (stream.next_u64() >> stream.below(63)) as i64));
    for billionths in numbers {
        let decimal = Decimal::from_billionths(billionths);
        let found = crate::reference::sums::decimal(decimal);
        assert_eq!(found.to_bits(), decimal.to_f32().to_bits(), "{billionths}");
    }
}
