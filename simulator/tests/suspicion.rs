//! What intake records say of liars: they show more signs than any honest member, and every honest
//! member writes the same.

use archipel_protocol::{
    charter::plan::{AggregationRule, CodecKind},
    ids::MemberId,
    record::Log,
    suspicion::{Sight, Trends},
};
use archipel_simulator::{
    reference::{Content, LogReader},
    scenario::Scenario,
    schedule::{Effect, Schedule, When, Window},
    site::Site,
    world::{Ending, World},
};
use std::{collections::BTreeMap, sync::Arc};

const ROUNDS: u64 = 24;
const LIAR: usize = 2;

type Rounds = BTreeMap<u64, Vec<(MemberId, Sight)>>;

fn play(lie: &str, strength: Option<f64>, codec: CodecKind) -> World {
    let mut scenario = Scenario::plain(5, 7, ROUNDS);
    let exchange = &mut scenario.plan.exchange;
    (exchange.rule, exchange.codec) = (AggregationRule::CenteredClip, codec);
    (exchange.chunk, exchange.keep) = (256, 20);
    let window = Window {
        fault: "lie".to_owned(),
        at: When::At(0),
        for_us: None,
        effect: Effect::Byzantine {
            member: LIAR as u32,
            behaviour: lie.to_owned(),
            strength,
        },
    };
    let schedule = Schedule {
        windows: vec![window],
    };
    let mut world =
        World::new(&Arc::new(scenario), &Arc::new(schedule), 1).expect("a scenario that runs");
    world.start_all();
    assert_eq!(world.run(&mut |_| true), Ending::Rounds, "{lie}");
    let violations = world.invariants.violations();
    assert!(violations.is_empty(), "{lie}: {violations:?}");
    world
}

/// The sights in a member's main log, by round.
fn recorded(world: &World, site: &Site) -> Rounds {
    let run_id = world.federations[0].run_id;
    let mut main = LogReader::new(run_id, site.id, Log::Main);
    let mut rounds = Rounds::new();
    for bytes in site.disk.main.iter() {
        let record = main.append(bytes).expect("a whole main log");
        if let Content::Intake { entries } = record.content {
            let sights = entries.iter().filter_map(|e| Some((e.member, e.sight?)));
            rounds.insert(record.round.0, sights.collect());
        }
    }
    rounds
}

/// The signs of each member, summed over the rounds that honest members recorded alike.
fn signs(world: &World) -> BTreeMap<MemberId, u32> {
    let honest: Vec<&Site> = world.sites.iter().filter(|site| !site.liar).collect();
    let rounds = recorded(world, honest[0]);
    assert!(rounds.len() as u64 >= ROUNDS - 1, "{} rounds", rounds.len());
    for site in &honest[1..] {
        let other = recorded(world, site);
        let both = other.iter().filter(|(round, _)| rounds.contains_key(round));
        assert!(both.clone().count() as u64 >= ROUNDS - 1);
        for (round, sights) in both {
            assert_eq!(*sights, rounds[round], "round {round}");
        }
    }
    let (mut trends, mut signs) = (Trends::default(), BTreeMap::new());
    for sights in rounds.values() {
        let shown = trends.after_round(sights);
        for ((member, _), shown) in sights.iter().zip(shown) {
            *signs.entry(*member).or_default() += shown;
        }
    }
    signs
}

#[test]
fn a_liar_shows_more_signs_than_any_honest_member() {
    for (lie, strength, codec) in [
        ("sign-flip", None, CodecKind::F32),
        ("scale", None, CodecKind::F32),
        ("sign-flip", None, CodecKind::TopK2Bit),
        ("scale", None, CodecKind::TopK2Bit),
        ("copy-cat", None, CodecKind::TopK2Bit),
    ] {
        let world = play(lie, strength, codec);
        let signs = signs(&world);
        let liar = world.sites[LIAR].id;
        let most = signs.iter().filter(|(member, _)| **member != liar);
        let most = most.map(|(_, signs)| *signs).max().expect("honest members");
        assert!(
            signs[&liar] > most,
            "{lie} {codec:?}: {} and {most}",
            signs[&liar]
        );
    }
}
