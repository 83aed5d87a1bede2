//! Whole runs, folded, rooted and read a second time from what members left on their disks.

use archipel_protocol::{
    charter::{
        Plan,
        plan::{AggregationRule, CodecKind, OuterRule},
    },
    fold::fold,
    fragments::Fragments,
    ids::{BlobHash, MemberId, Root, Round},
    layout::Layout,
    member::{Durable, Request},
    message::Block,
    record::Log,
    state::{Manifest, Tensors},
    suspicion::Sight,
};
use archipel_simulator::{
    reference::{Commit, Content, LogReader, Refolded, Standing, memory_digest, refold},
    scenario::plain_plan,
    seen::Payload,
    site::Site,
    world::World,
};
use invented::{Quality::Lossless, SECOND, start_all};
use std::{collections::BTreeMap, mem::take, sync::Arc};

mod invented;

const ROUNDS: u64 = 12;

/// All payloads that any member ever held.
type Payloads = BTreeMap<BlobHash, Arc<Payload>>;

/// How the updates of a cut look, ascending by member.
type Sights = Vec<(MemberId, Sight)>;

/// A run in which one member crashes and returns, and one leaves.
fn run(seed: u64, codec: CodecKind, rule: AggregationRule, outer: OuterRule) -> (World, Payloads) {
    let mut scenario = invented::scenario(seed, 5, ROUNDS, Lossless);
    let plan = &mut scenario.plan;
    (plan.exchange.codec, plan.exchange.rule) = (codec, rule);
    (plan.exchange.chunk, plan.exchange.keep) = (256, 20);
    // Four members stay: for Krum they are too few, and their cuts are void.
    (plan.exchange.assumed_liars, plan.exchange.minimum_updates) = match rule {
        AggregationRule::TrimmedMean => (1, 3),
        AggregationRule::Krum => (1, 1),
        _ => (0, 1),
    };
    plan.exchange.clip_to_median_norm = seed % 2 == 1;
    plan.outer.rule = outer;
    match outer {
        OuterRule::Nesterov => plan.outer.momentum = "0.5".parse().expect("a decimal"),
        OuterRule::Sign => plan.outer.lr = "0.01".parse().expect("a decimal"),
        OuterRule::DelayedNesterov => {
            // Two fragments, with training ahead of the base of the next round.
            plan.outer.momentum = "0.5".parse().expect("a decimal");
            (plan.outer.period, plan.outer.fragments) = (3, 2);
            plan.outer.delay = plan.inner.steps / 2;
            plan.outer.alpha = "0.25".parse().expect("a decimal");
        }
        OuterRule::Plain => {}
    }
    let mut world = invented::still(scenario);
    start_all(&mut world);
    let mut payloads = Payloads::new();
    let mut reached = |world: &mut World, round: u64| {
        // Whoever left need not come along.
        let behind = |site: &Site| match &site.machine {
            Some(machine) => machine.round().is_none_or(|at| at.0 < round),
            None => false,
        };
        let all = |world: &World| !world.sites[..4].iter().any(behind);
        assert!(world.run_until(600 * SECOND, all), "round {round}");
        let disks = world.sites.iter().map(|site| &site.disk);
        let held = disks.flat_map(|disk| &disk.payloads);
        payloads.extend(held.map(|(hash, (_, payload))| (*hash, payload.clone())));
    };
    (1..=2).for_each(|round| reached(&mut world, round));
    let window = invented::down(&mut world, 3);
    (3..=4).for_each(|round| reached(&mut world, round));
    world.relent(window);
    world.request(4, Request::Leave);
    (5..=ROUNDS).for_each(|round| reached(&mut world, round));
    // What is recorded waits for the disk.
    world.run_until(SECOND / 100, |_| false);
    (world, payloads)
}

/// The final blocks by the log of the first member, which is there all the time.
fn final_blocks(world: &World) -> Vec<Block> {
    let run_id = world.federations[0].run_id;
    let entries = world.sites.iter().flat_map(|site| &site.disk.wal);
    let blocks = entries.filter_map(|durable| match durable {
        Durable::Block(block) => Some((block.digest(&run_id), block)),
        _ => None,
    });
    let blocks: BTreeMap<_, _> = blocks.collect();
    let commits = commits(world, &world.sites[0]);
    let block = |commit: &Commit| blocks[&commit.block].clone();
    commits.iter().map(|(_, commit, _)| block(commit)).collect()
}

/// What each round must lead to: its fold and the root of the next state.
fn expected(
    world: &World,
    plan: &Plan,
    payloads: &Payloads,
) -> BTreeMap<u64, (Refolded, Root, Sights)> {
    let (layout, run_id) = (
        world.federations[0].layout.clone(),
        world.federations[0].run_id,
    );
    let members = archipel_protocol::ledger::Membership::founding(&world.federations[0].charter);
    let mut tensors = Tensors::founding(plan, vec![0.0; layout.parameters()]);
    let start = Manifest::founding(&layout, &tensors, &members);
    let mut standing = Standing::of_manifest(&start);
    let mut expected = BTreeMap::new();
    for block in final_blocks(world) {
        let updates: Vec<(u64, &[u8])> = block
            .cut
            .iter()
            .map(|signed| {
                (
                    signed.header.tokens,
                    &payloads[&signed.header.payload].bytes[..],
                )
            })
            .collect();
        let folded =
            refold(plan, &layout, block.round, &tensors, &updates).expect("the cut is valid");
        standing = standing
            .after(&block, plan.inner.steps)
            .expect("the block follows");
        tensors = folded.tensors.clone();
        let root = standing.root(&run_id, &layout, &tensors);
        let root = root.expect("the vectors fit the layout");
        let members = block.cut.iter().map(|signed| signed.header.member);
        let mut seen: Sights = members.zip(folded.sights.iter().copied()).collect();
        seen.sort_by_key(|(member, _)| *member);
        expected.insert(block.round.0, (folded, root, seen));
    }
    expected
}

/// The commits in a member's main log and the sights beside them, both logs having been read whole.
fn commits(world: &World, site: &Site) -> Vec<(u64, Box<Commit>, Sights)> {
    let run_id = world.federations[0].run_id;
    let (mut main, mut side) = (
        LogReader::new(run_id, site.id, Log::Main),
        LogReader::new(run_id, site.id, Log::Side),
    );
    for record in site.disk.side.iter() {
        side.append(record).expect("a whole side log");
    }
    let (mut commits, mut seen) = (Vec::new(), Vec::new());
    for bytes in site.disk.main.iter() {
        let record = main.append_beside(&side, bytes).expect("a whole main log");
        match record.content {
            Content::Intake { entries } => {
                let sights = entries.iter().filter_map(|e| Some((e.member, e.sight?)));
                seen = sights.collect();
            }
            Content::Commit(commit) => commits.push((record.round.0, commit, take(&mut seen))),
            _ => {}
        }
    }
    assert!(main.size().is_multiple_of(4));
    commits
}

/// Codec, aggregation rule and outer rule.
type Means = (CodecKind, AggregationRule, OuterRule);

#[rustfmt::skip]
const MEANS: [Means; 11] = {
    use {AggregationRule as Rule, CodecKind as Codec, OuterRule as Outer};
    [
        (Codec::F32, Rule::Mean, Outer::Nesterov),
        (Codec::Int8, Rule::CenteredClip, Outer::Plain),
        (Codec::TopK2Bit, Rule::CenteredClip, Outer::Nesterov),
        (Codec::TopK2Bit, Rule::MeanOfSenders, Outer::Plain),
        (Codec::Int8, Rule::TrimmedMean, Outer::Nesterov),
        (Codec::F32, Rule::Median, Outer::Plain),
        (Codec::F32, Rule::Krum, Outer::Plain),
        (Codec::Int8, Rule::GeometricMedian, Outer::Nesterov),
        (Codec::Demo, Rule::Mean, Outer::Sign),
        (Codec::TopK2Bit, Rule::CenteredClip, Outer::DelayedNesterov),
        (Codec::Int4, Rule::Mean, Outer::DelayedNesterov),
    ]
};

#[test]
fn members_fold_certify_and_record_what_the_specification_says() {
    for (seed, (codec, rule, outer)) in MEANS.into_iter().enumerate() {
        let (world, payloads) = run(seed as u64, codec, rule, outer);
        let expected = expected(&world, &world.federations[0].plan, &payloads);
        assert_eq!(expected.len() as u64, ROUNDS);
        let layout = world.federations[0].layout.clone();
        let (mut compared, mut held) = (0, 0);
        for site in &world.sites {
            for (round, commit, seen) in commits(&world, site) {
                let (folded, root, sights) = &expected[&round];
                assert_eq!(commit.root, *root, "{codec:?}, round {round}");
                assert_eq!(
                    folded.check_record(&commit.weights, commit.aggregate),
                    Ok(())
                );
                let momentum = memory_digest(&layout, &folded.tensors.momentum);
                let memory = memory_digest(&layout, &folded.tensors.aggregate);
                assert_eq!((Ok(commit.outer), Ok(commit.memory)), (momentum, memory));
                if let Some(stored) = site.disk.states.get(root) {
                    assert_eq!(folded.check_tensors(&stored.tensors), Ok(()));
                    held += 1;
                }
                assert_eq!(seen, *sights, "{codec:?}, round {round}");
                compared += 1;
            }
        }
        assert!(compared > 40, "{codec:?}: only {compared} commits");
        assert!(held > 12, "{codec:?}: only {held} states");
    }
}

#[test]
fn a_member_that_folds_one_bit_otherwise_is_noticed() {
    let (plan, world) = (plain_plan(1), invented::world(1, 4, 1, Lossless));
    let layout: Arc<Layout> = world.federations[0].layout.clone();
    let tensors = Tensors::founding(&plan, vec![0.0; layout.parameters()]);
    let whole = Fragments::new(&layout, 1).expect("a tensor");
    let delta = vec![0.25; layout.parameters()];
    let encoded = archipel_protocol::codec::encode(plan.codec(), &layout, &delta);
    let payload = encoded.expect("finite values").payload;
    let update = archipel_protocol::codec::decode(plan.codec(), &payload, &layout, &plan.limits());
    let update = update.expect("a valid payload");
    let right = refold(&plan, &layout, Round(0), &tensors, &[(1, &payload)]).expect("a valid cut");
    let mut folding = fold(&plan, &whole, Round(0), &tensors, &[(1, &update)]);
    assert_eq!(right.check_tensors(&folding.tensors), Ok(()));
    let bits = folding.tensors.parameters[7].to_bits() ^ 1;
    folding.tensors.parameters[7] = f32::from_bits(bits);
    assert!(right.check_tensors(&folding.tensors).is_err());
}
