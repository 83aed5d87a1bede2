use super::*;
use crate::scenario::parse;
use std::collections::BTreeSet;

const HEAD: &str = "schema = \"archipel-scenario/1\"\nname = \"x\"\n# Claim: a test.\n\
     [stop]\nsim_time = \"200h\"\n[[group]]\nname = \"a\"\ncount = 8\nfailure_domain = \"zone\"\n\
     [[group]]\nname = \"b\"\ncount = 4\n";
const SPOT: &str = "[[fault]]\nid = \"spot\"\nkind = \"churn\"\ntargets = \"all\"\n\
     up = \"exp:1h\"\ndown = \"exp:20m\"\n";
const SWIZZLE: &str =
    "[[fault]]\nid = \"swizzle\"\nkind = \"swizzle\"\nfor = \"2h\"\nat = \"1h\"\n";
const CORRELATED: &str = "[[fault]]\nid = \"zone-loss\"\nkind = \"churn\"\ntargets = \"zone\"\n\
     up = \"exp:5h\"\ndown = \"exp:20m\"\ncorrelate = { within = \"3m\", probability = 0.92 }\n";

fn scenario(faults: &[&str]) -> Scenario {
    let text = format!("{HEAD}{}", faults.concat());
    parse(&text, "x.toml").unwrap_or_else(|error| panic!("{error}"))
}

fn of(schedule: &Schedule, fault: &str) -> Vec<Window> {
    let windows = schedule.windows.iter();
    windows.filter(|w| w.fault == fault).cloned().collect()
}

/// (member, from, until) of every time down.
fn times_down(windows: &[Window]) -> Vec<(u32, u64, u64)> {
    let down = |window: &Window| match (&window.effect, window.at, window.for_us) {
        (Effect::Down { member }, When::At(from), Some(us)) => (*member, from, from + us),
        other => panic!("{other:?}"),
    };
    windows.iter().map(down).collect()
}

#[test]
fn the_seed_alone_decides() {
    let scenario = scenario(&[SPOT, SWIZZLE, CORRELATED]);
    assert_eq!(expand(&scenario, 5), expand(&scenario, 5));
    assert_ne!(expand(&scenario, 5), expand(&scenario, 6));
}

#[test]
fn removing_a_fault_moves_no_draw_of_another() {
    let all = expand(&scenario(&[SPOT, SWIZZLE, CORRELATED]), 9);
    for (without, left) in [
        (vec![SWIZZLE, CORRELATED], ["swizzle", "zone-loss"]),
        (vec![SPOT, CORRELATED], ["spot", "zone-loss"]),
        (vec![CORRELATED, SPOT], ["zone-loss", "spot"]),
        (vec![SPOT, SWIZZLE], ["spot", "swizzle"]),
    ] {
        let fewer = expand(&scenario(&without), 9);
        for fault in left {
            assert_eq!(of(&fewer, fault), of(&all, fault), "{fault}");
        }
    }
}

#[test]
fn members_go_and_come_back_with_the_means_that_were_asked_for() {
    let windows = of(&expand(&scenario(&[SPOT]), 1), "spot");
    let downs = times_down(&windows);
    let cycles = 200.0 * 12.0 / (4.0 / 3.0);
    let found = downs.len() as f64;
    assert!((found / cycles - 1.0).abs() < 0.06, "{found} of {cycles}");
    let down: u64 = downs.iter().map(|(_, from, until)| until - from).sum();
    let mean = down as f64 / found / 60e6;
    assert!((mean - 20.0).abs() < 2.0, "{mean} minutes");
    for pair in downs.windows(2) {
        let ((member, _, until), (next, from, _)) = (pair[0], pair[1]);
        assert!(
            member < next || (member == next && until < from),
            "{pair:?}"
        );
    }
    assert!(
        downs
            .iter()
            .all(|(_, _, until)| *until <= 200 * 3_600_000_000)
    );
}

#[test]
fn correlated_losses_come_together_and_keep_the_mean() {
    let minutes = 60_000_000;
    let scenario = scenario(&[CORRELATED]);
    let mut downs: Vec<(u32, u64, u64)> = (0..8)
        .flat_map(|seed| {
            let windows = of(&expand(&scenario, seed), "zone-loss");
            // Every seed's losses after those of the one before.
            let shift = seed * 300 * 60 * minutes;
            let downs = times_down(&windows).into_iter();
            downs.map(move |(member, from, until)| (member, from + shift, until + shift))
        })
        .collect();
    let expected = 8.0 * 8.0 * 200.0 / (5.0 + 1.0 / 3.0);
    let found = downs.len() as f64;
    assert!(
        (found / expected - 1.0).abs() < 0.15,
        "{found} of {expected}"
    );
    downs.sort_by_key(|(_, from, _)| *from);
    let near = |a: &(u32, u64, u64), b: &(u32, u64, u64)| b.1 - a.1 <= 3 * minutes;
    let together = (0..downs.len()).filter(|at| {
        let before = at
            .checked_sub(1)
            .is_some_and(|b| near(&downs[b], &downs[*at]));
        before
            || downs
                .get(at + 1)
                .is_some_and(|after| near(&downs[*at], after))
    });
    let share = together.count() as f64 / found;
    assert!(share > 0.92, "{share}");
}

#[test]
fn a_swizzle_cuts_every_link_once_and_restores_in_another_order() {
    let windows = of(&expand(&scenario(&[SWIZZLE]), 3), "swizzle");
    assert_eq!(windows.len(), 12 * 11 / 2);
    let mut pairs = BTreeSet::new();
    let (mut cut, mut restored) = (Vec::new(), Vec::new());
    for (index, window) in windows.iter().enumerate() {
        let (Effect::Cut { links }, When::At(at), Some(us)) =
            (&window.effect, window.at, window.for_us)
        else {
            panic!("{window:?}");
        };
        assert!(pairs.insert((links.from.clone(), links.to.clone())));
        assert!(links.both && links.from != links.to);
        cut.push(at);
        restored.push((at + us, index));
    }
    let hour = 3_600_000_000;
    let (begin, end) = (cut[0], restored.iter().max().expect("windows").0);
    assert_eq!((begin, end), (hour, 3 * hour));
    let all_cut = cut.iter().max().expect("windows");
    assert!(
        restored.iter().all(|(at, _)| at > all_cut),
        "all are cut at some time"
    );
    restored.sort_unstable();
    let order: Vec<usize> = restored.iter().map(|(_, index)| *index).collect();
    assert_ne!(order, (0..windows.len()).collect::<Vec<_>>());
}

#[test]
fn drawn_members_leave_and_the_others_stay() {
    let fault = "[[fault]]\nid = \"exodus\"\nkind = \"leave-all-but-k\"\ntargets = \"all\"\n\
         k = 5\nat = \"round:3+2s\"\nfor = \"1h\"\n";
    let mut seen = BTreeSet::new();
    for seed in 0..20 {
        let windows = expand(&scenario(&[fault]), seed).windows;
        let who = windows.iter().map(|window| match window.effect {
            Effect::Leave { member } => member,
            ref other => panic!("{other:?}"),
        });
        let who: BTreeSet<u32> = who.collect();
        assert_eq!(who.len(), 7);
        assert!(windows.iter().all(|w| w.at == When::Round(3, 2_000_000)));
        seen.insert(who);
    }
    assert!(seen.len() > 10, "the draw varies: {}", seen.len());
}

#[test]
fn loops_and_upgrades_take_their_turns() {
    let crash = "[[fault]]\nid = \"loop\"\nkind = \"crash-loop\"\ntargets = \"b-2\"\ntimes = 3\n\
         up = \"10s\"\ndown = \"5s\"\nat = \"1m\"\n";
    let upgrade = "[[fault]]\nid = \"new\"\nkind = \"rolling-upgrade\"\ntargets = \"b\"\n\
         every = \"1m\"\ndown = \"10s\"\nat = \"round:4\"\n";
    let schedule = expand(&scenario(&[crash, upgrade]), 1);
    let crashes = times_down(&of(&schedule, "loop"));
    let s = 1_000_000;
    let expected = [60, 75, 90].map(|at| (9, at * s, (at + 5) * s));
    assert_eq!(crashes, expected);
    let upgrades = of(&schedule, "new");
    let at: Vec<When> = upgrades.iter().map(|window| window.at).collect();
    assert_eq!(at, [0, 60, 120, 180].map(|after| When::Round(4, after * s)));
    assert!(matches!(upgrades[3].effect, Effect::Upgrade { member: 11 }));
}
