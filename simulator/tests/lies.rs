//! Every lie, told by as many members as the fault model bears, on good and on bad links: no
//! invariant breaks, the honest members go through all rounds to one root, and they notice what
//! they can.

use archipel_protocol::{
    charter::plan::AggregationRule,
    ids::MemberId,
    member::{Durable, Event},
    message::Evidence,
};
use archipel_simulator::{
    lies,
    scenario::{BEHAVIOURS, Crypto, Scenario, pack_named},
    schedule::{self, Effect, Schedule, When, Window},
    world::{Ending, World},
};
use std::sync::Arc;

const ROUNDS: u64 = 20;

/// What honest members see of a lie, besides going on.
#[derive(Clone, Copy, PartialEq)]
enum Sign {
    /// Nothing: its updates are counted like any other.
    Counted,
    /// It is refused in all of these words, and its updates are counted.
    CountedThough(&'static [&'static str]),
    /// None of its updates is in a cut; it is refused in all of these words.
    Excluded(&'static [&'static str]),
    /// Proofs against it, of these kinds; it may be counted or not.
    Proven(&'static [&'static str]),
    /// Its updates are missing in some cuts.
    Missed,
    /// Rounds that are not decided in view 0.
    Views,
}

struct Case {
    lie: &'static str,
    /// The first round in which the lie can be told.
    from: u64,
    sign: Sign,
}

const fn case(lie: &'static str, from: u64, sign: Sign) -> Case {
    Case { lie, from, sign }
}

const UNSIGNED: &str = "the signature does not hold";

const CASES: [Case; 28] = [
    case("equivocate-update", 0, Sign::Proven(&["headers"])),
    case(
        "equivocate-vote",
        0,
        Sign::Proven(&["notarizations", "nullified", "roots"]),
    ),
    case("withhold", 0, Sign::Excluded(&[])),
    case(
        "withhold-nonce",
        0,
        Sign::CountedThough(&["nonce: withheld"]),
    ),
    case("silent-proposer", 0, Sign::Views),
    case("late", 0, Sign::Missed),
    case("nan", 0, Sign::Excluded(&["payload: "])),
    case("scale", 0, Sign::Counted),
    case("sign-flip", 0, Sign::Counted),
    case("stale-base", 1, Sign::Excluded(&["header: stale base"])),
    case(
        "wrong-codec",
        0,
        Sign::Excluded(&["header: the plan's codec is", "payload: "]),
    ),
    case(
        "oversize",
        0,
        Sign::Excluded(&["header: a payload has 1 to"]),
    ),
    case("decompression-bomb", 0, Sign::Excluded(&["payload: "])),
    case(
        "replay-old-round",
        0,
        Sign::CountedThough(&["header: the signature", "vote: the signature"]),
    ),
    case("copy-cat", 0, Sign::Counted),
    case("free-rider", 0, Sign::Counted),
    case("lazy", 0, Sign::Counted),
    case("false-witness", 0, Sign::Counted),
    case(
        "unknown-key",
        0,
        Sign::Excluded(&["has no vote in this epoch", UNSIGNED]),
    ),
    case("noise", 0, Sign::Counted),
    case("constant", 0, Sign::Counted),
    case("delayed", 0, Sign::Counted),
    case("alie", 0, Sign::Counted),
    case("ipm", 0, Sign::Counted),
    case("min-max", 0, Sign::Counted),
    case("mimic", 0, Sign::Counted),
    case("free-rider-previous", 0, Sign::Counted),
    case("label-permutation", 0, Sign::Counted),
];

fn liars(seed: u64, members: u32) -> Vec<u32> {
    let most = u64::from((members - 1) / 3);
    let first = seed % u64::from(members);
    let mut liars: Vec<u32> = (0..most)
        .map(|n| ((first + 3 * n) % u64::from(members)) as u32)
        .collect();
    liars.sort_unstable();
    liars
}

fn byzantine(lie: &str, strength: Option<f64>, member: u32) -> Window {
    Window {
        fault: format!("lie-{member}"),
        at: When::At(0),
        for_us: None,
        effect: Effect::Byzantine {
            member,
            behaviour: lie.to_owned(),
            strength,
        },
    }
}

fn play(lie: &str, seed: u64, members: u32, (lossy, crypto): (bool, Option<Crypto>)) -> World {
    let mut scenario = Scenario::plain(seed, members, ROUNDS);
    scenario.crypto = crypto.unwrap_or(scenario.crypto);
    scenario.plan.exchange.rule = AggregationRule::CenteredClip;
    if lossy {
        (scenario.network.loss, scenario.network.duplicate) = (0.02, 0.02);
        scenario.network.jitter_us = 50_000;
    }
    let windows = liars(seed, members)
        .into_iter()
        .map(|member| byzantine(lie, None, member));
    let why = format!("{lie} seed {seed} of {members}, lossy: {lossy}");
    run(scenario, windows.collect(), &why)
}

fn run(scenario: Scenario, windows: Vec<Window>, why: &str) -> World {
    let (world, ending) = begin(scenario, windows);
    let violations = world.invariants.violations();
    assert!(violations.is_empty(), "{why}: {violations:?}");
    assert_eq!(ending, Ending::Rounds, "{why}");
    world
}

/// A run to its end, whatever that is.
fn begin(scenario: Scenario, windows: Vec<Window>) -> (World, Ending) {
    let schedule = Schedule { windows };
    let mut world =
        World::new(&Arc::new(scenario), &Arc::new(schedule), 1).expect("a scenario that runs");
    world.keep_events = true;
    world.start_all();
    let ending = world.run(&mut |_| true);
    (world, ending)
}

/// What honest members told, with their positions.
fn told(world: &World) -> impl Iterator<Item = (usize, &Event)> {
    let honest = world
        .events
        .iter()
        .filter(|(_, site, _)| !world.sites[*site].liar);
    honest.map(|(_, site, event)| (*site, event))
}

fn honest(world: &World) -> Vec<usize> {
    let all = 0..world.sites.len();
    all.filter(|site| !world.sites[*site].liar).collect()
}

/// True where a round from `from` on counted an update of this member.
fn is_counted(world: &World, member: MemberId, from: u64) -> bool {
    let mut told = told(world);
    told.any(|(_, event)| {
        matches!(event, Event::Agreed { round, included, .. }
            if round.0 >= from && included.contains(&member))
    })
}

fn is_missed(world: &World, member: &MemberId) -> bool {
    let mut told = told(world);
    told.any(
        |(_, event)| matches!(event, Event::Agreed { included, .. } if !included.contains(member)),
    )
}

fn is_refused(world: &World, by: usize, words: &str) -> bool {
    let honest: Vec<MemberId> = honest(world).iter().map(|s| world.sites[*s].id).collect();
    let mut told = told(world);
    told.any(|(site, event)| {
        matches!(event, Event::Refused { from, reason }
            if site == by && reason.contains(words) && !honest.contains(from))
    })
}

fn kind(evidence: &Evidence) -> &'static str {
    match evidence {
        Evidence::TwoHeaders(..) => "headers",
        Evidence::TwoNotarizations(..) => "notarizations",
        Evidence::NullifiedAndFinalized(..) => "nullified",
        Evidence::TwoRoots(..) => "roots",
    }
}

/// True where a final block that this member holds carries such a proof.
fn is_proven(world: &World, by: usize, accused: &MemberId, wanted: &str) -> bool {
    let log = &world.sites[by].disk.wal;
    let blocks = log.iter().filter_map(|entry| match entry {
        Durable::Final(decided) => Some(&decided.block),
        _ => None,
    });
    let mut evidence = blocks.flat_map(|block| &block.evidence);
    evidence.any(|e| e.accused() == *accused && kind(e) == wanted)
}

fn noticed(case: &Case, world: &World, why: &str) {
    let members: Vec<MemberId> = world
        .sites
        .iter()
        .filter(|s| s.liar)
        .map(|s| s.id)
        .collect();
    let refusals = match case.sign {
        Sign::CountedThough(words) | Sign::Excluded(words) => words,
        _ => &[],
    };
    for site in honest(world) {
        for words in refusals {
            assert!(
                is_refused(world, site, words),
                "{why}: {site} never said {words:?}"
            );
        }
        if let Sign::Proven(kinds) = case.sign {
            let heard = told(world).any(|(by, event)| {
                matches!(event, Event::Incident { kind, .. }
                    if by == site && *kind == "equivocation")
            });
            assert!(heard, "{why}: {site} told of no incident");
            for (kind, liar) in kinds
                .iter()
                .flat_map(|k| members.iter().map(move |m| (k, m)))
            {
                assert!(
                    is_proven(world, site, liar, kind),
                    "{why}: {site} has no {kind} of {liar}"
                );
            }
        }
    }
    for liar in &members {
        let counted = is_counted(world, *liar, case.from);
        match case.sign {
            Sign::Excluded(_) => assert!(!counted, "{why}: {liar} is counted"),
            Sign::Counted | Sign::CountedThough(_) => assert!(counted, "{why}: {liar} is not"),
            Sign::Missed => assert!(is_missed(world, liar), "{why}: {liar} is in every cut"),
            Sign::Proven(_) | Sign::Views => {}
        }
    }
    if case.sign == Sign::Views {
        let mut told = told(world);
        let later = told.any(|(_, e)| matches!(e, Event::Agreed { view, .. } if view.0 > 0));
        assert!(later, "{why}: every round was decided in view 0");
    }
}

fn one_root(world: &World, why: &str) {
    let roots: Vec<_> = honest(world)
        .into_iter()
        .map(|site| world.root(site))
        .collect();
    assert!(roots[0].is_some(), "{why}: nobody holds a state");
    assert!(
        roots.windows(2).all(|pair| pair[0] == pair[1]),
        "{why}: {roots:?}"
    );
}

fn bear(members: u32, lossy: bool, crypto: Option<Crypto>) {
    for case in &CASES {
        for seed in 1..=2 {
            let why = format!("{} seed {seed} of {members}, lossy: {lossy}", case.lie);
            let world = play(case.lie, seed, members, (lossy, crypto));
            one_root(&world, &why);
            noticed(case, &world, &why);
        }
    }
}

#[test]
fn four_members_bear_one_liar() {
    bear(4, false, None);
}

#[test]
fn four_members_bear_one_liar_on_bad_links() {
    bear(4, true, None);
}

#[test]
fn seven_members_bear_two_liars() {
    bear(7, false, None);
}

#[test]
fn seven_members_bear_two_liars_on_bad_links() {
    bear(7, true, None);
}

#[test]
fn every_lie_is_borne_with_real_signatures() {
    bear(4, true, Some(Crypto::Real));
}

#[test]
fn every_lie_of_scenarios_can_be_told_and_is_tested() {
    let usable = BEHAVIOURS.iter().filter(|known| known.missing.is_none());
    let usable: Vec<&str> = usable.map(|known| known.name).collect();
    assert_eq!(usable, lies::NAMES);
    assert_eq!(usable, CASES.map(|case| case.lie));
    for known in BEHAVIOURS {
        let told = lies::lie(known.name).is_some();
        assert_eq!(told, known.missing.is_none(), "{}", known.name);
    }
}

/// Seven members, one of whom lies where a lie is given, under a rule and limits.
fn under(rule: AggregationRule, lie: Option<(&str, f64)>, limits: Option<&str>) -> (World, Ending) {
    let mut scenario = Scenario::plain(1, 7, ROUNDS);
    let exchange = &mut scenario.plan.exchange;
    exchange.rule = rule;
    if let Some(limits) = limits {
        exchange.max_abs = limits.parse().expect("a number");
        exchange.max_norm = exchange.max_abs;
    }
    let windows = lie.map(|(lie, strength)| byzantine(lie, Some(strength), 3));
    begin(scenario, windows.into_iter().collect())
}

/// The loss that seven honest members under a mean end with is 3·10⁻⁶.
const HONEST: f64 = 1e-5;
/// What `centered_clip` ends with under any of these lies is below this.
const BORNE: f64 = 0.05;

#[test]
fn a_mean_bears_no_long_lies_and_centered_clip_does() {
    let far = Some("1000000");
    for (lie, strength, limits) in [
        ("sign-flip", 10.0, None),
        ("sign-flip", 1000.0, far),
        ("constant", 10.0, None),
        ("noise", 1000.0, far),
    ] {
        let (world, ending) = under(AggregationRule::Mean, Some((lie, strength)), limits);
        assert_eq!(ending, Ending::Violated, "{lie} {strength}");
        let first = &world.invariants.violations()[0].invariant;
        assert_eq!(first, "C3", "{lie} {strength}: the loss goes away");
        let (world, ending) = under(AggregationRule::CenteredClip, Some((lie, strength)), limits);
        assert_eq!(ending, Ending::Rounds, "{lie} {strength}");
        assert!(is_counted(&world, world.sites[3].id, 0), "{lie} {strength}");
        let loss = world.loss(0).expect("a state");
        assert!(loss < BORNE, "{lie} {strength}: {loss}");
    }
}

#[test]
fn what_is_longer_than_the_plan_allows_is_refused_under_any_rule() {
    for rule in [AggregationRule::Mean, AggregationRule::CenteredClip] {
        let (world, ending) = under(rule, Some(("sign-flip", 1000.0)), None);
        assert_eq!(ending, Ending::Rounds);
        assert!(!is_counted(&world, world.sites[3].id, 0));
        assert!(is_refused(&world, 0, "payload: "));
    }
}

#[test]
fn lies_that_look_honest_move_a_mean_and_stay_small() {
    let (honest, _) = under(AggregationRule::Mean, None, None);
    assert!(honest.loss(0).expect("a state") < HONEST);
    for (lie, strength) in [
        ("sign-flip", 1.0),
        ("delayed", 5.0),
        ("alie", 1.0),
        ("alie", 1.5),
        ("min-max", 1.0),
        ("mimic", 1.0),
    ] {
        let (world, ending) = under(AggregationRule::Mean, Some((lie, strength)), None);
        assert_eq!(ending, Ending::Rounds, "{lie} {strength}");
        let loss = world.loss(0).expect("a state");
        assert!(loss > 100.0 * HONEST, "{lie} {strength}: {loss}");
        let (world, ending) = under(AggregationRule::CenteredClip, Some((lie, strength)), None);
        assert_eq!(ending, Ending::Rounds, "{lie} {strength}");
        let loss = world.loss(0).expect("a state");
        assert!(loss < BORNE, "{lie} {strength}: {loss}");
    }
}

#[test]
fn two_liars_of_four_break_what_one_cannot() {
    let pack = pack_named("negative-liars").expect("a pack that is negative");
    let scenario = Arc::new(pack.scenario());
    let schedule = Arc::new(schedule::expand(&scenario, scenario.seed));
    let mut world = World::new(&scenario, &schedule, 1).expect("a scenario that runs");
    world.start_all();
    assert_eq!(world.run(&mut |_| true), Ending::Violated);
    let first = &world.invariants.violations()[0].invariant;
    assert_eq!(first, "S2", "two cuts of one round are final");
}

/// The lie changes what is learnt, and a run with it is the same run again.
#[test]
fn permuted_labels_lead_elsewhere_and_the_same_way_again() {
    let played = |lie: Option<&str>| {
        let scenario = Scenario::plain(4, 4, 8);
        let windows = lie.map(|lie| byzantine(lie, None, 1)).into_iter().collect();
        let world = run(scenario, windows, "label-permutation");
        (world.digest(), world.federations[0].run_id, world.root(0))
    };
    let lied = played(Some("label-permutation"));
    assert_eq!(played(Some("label-permutation")), lied);
    let honest = played(None);
    assert_eq!(honest.1, lied.1, "one charter");
    assert_ne!(honest.2, lied.2, "and another model");
}
