use super::*;
use crate::{
    charter::{
        Decimal,
        plan::{CodecKind, OuterRule},
    },
    codec::Update,
    fold::fold,
    layout::TensorSpec,
    state::Tensors,
};

fn layout(lengths: &[u32]) -> Layout {
    let spec = |(index, length): (usize, &u32)| TensorSpec {
        name: format!("layer.{index}"),
        shape: vec![*length],
    };
    Layout::new(lengths.iter().enumerate().map(spec).collect()).expect("a layout")
}

/// The plan of torchft's runs: outer rate 2, two fragments, three steps a round.
fn plan(delay: u64, alpha: &str) -> Plan {
    let mut plan = Plan::nano();
    plan.exchange.codec = CodecKind::F32;
    plan.inner.steps = 3;
    plan.outer.rule = OuterRule::Plain;
    plan.outer.momentum = Decimal::ZERO;
    plan.outer.lr = "2".parse().expect("a decimal");
    plan.outer.alpha = alpha.parse().expect("a decimal");
    (plan.outer.fragments, plan.outer.delay) = (2, delay);
    plan
}

/// Two members of two layers with one parameter each, from 3, under a gradient of 2 with rate 1:
/// what the first has after each inner step, played round by round as members and driver do it.
fn trained(delay: u64, alpha: &str) -> [Vec<f32>; 2] {
    let (plan, layout) = (plan(delay, alpha), layout(&[1, 1]));
    let fragments = Fragments::of_plan(&plan, &layout).expect("a tensor a fragment");
    let mut state = Tensors::founding(&plan, vec![3.0; 2]);
    let mut own = [[3.0f32; 2]; 2];
    let mut seen = [Vec::new(), Vec::new()];
    let mut train = |own: &mut [[f32; 2]; 2], steps: u64| {
        for _ in 0..steps {
            own.as_flattened_mut()
                .iter_mut()
                .for_each(|value| *value -= 1.0 * 2.0);
            seen.iter_mut()
                .zip(own[0])
                .for_each(|(seen, value)| seen.push(value));
        }
    };
    for round in (0..6).map(Round) {
        if round.0 > 0 {
            // While the exchange of the round before is in flight; then its result.
            train(&mut own, delay);
            for own in &mut own {
                fragments.blend(round, plan.outer.alpha.to_f32(), own, &state.parameters);
            }
        }
        train(&mut own, plan.inner.steps - delay);
        let update = |own: &[f32; 2]| {
            let delta = fragments.delta(round, &state.parameters, own);
            Update::dense(delta).expect("finite")
        };
        let updates = own.each_ref().map(update);
        let cut = updates.each_ref().map(|update| (1, update));
        state = fold(&plan, &fragments, round, &state, &cut).tensors;
    }
    seen.map(|values| values[..16].to_vec())
}

/// Delay and alpha, and each layer after every step.
type Run = ((u64, &'static str), [f32; 16], [f32; 16]);

/// torchft's runs: synchronised every 6 steps, outer rate 2; delay, alpha, and what the two
/// layers are after each of 16 steps.
const GOLDEN: [Run; 6] = [
    (
        (0, "0.0"),
        [
            1.0, -1.0, -3.0, -11.0, -13.0, -15.0, -17.0, -19.0, -21.0, -35.0, -37.0, -39.0, -41.0,
            -43.0, -45.0, -59.0,
        ],
        [
            1.0, -1.0, -3.0, -5.0, -7.0, -9.0, -23.0, -25.0, -27.0, -29.0, -31.0, -33.0, -47.0,
            -49.0, -51.0, -53.0,
        ],
    ),
    (
        (0, "0.5"),
        [
            1.0, -1.0, -3.0, -8.0, -10.0, -12.0, -14.0, -16.0, -18.0, -24.5, -26.5, -28.5, -30.5,
            -32.5, -34.5, -40.25,
        ],
        [
            1.0, -1.0, -3.0, -5.0, -7.0, -9.0, -17.0, -19.0, -21.0, -23.0, -25.0, -27.0, -32.0,
            -34.0, -36.0, -38.0,
        ],
    ),
    (
        (0, "1.0"),
        [
            1.0, -1.0, -3.0, -5.0, -7.0, -9.0, -11.0, -13.0, -15.0, -17.0, -19.0, -21.0, -23.0,
            -25.0, -27.0, -29.0,
        ],
        [
            1.0, -1.0, -3.0, -5.0, -7.0, -9.0, -11.0, -13.0, -15.0, -17.0, -19.0, -21.0, -23.0,
            -25.0, -27.0, -29.0,
        ],
    ),
    (
        (1, "0.0"),
        [
            1.0, -1.0, -3.0, -7.0, -9.0, -11.0, -13.0, -15.0, -17.0, -27.0, -29.0, -31.0, -33.0,
            -35.0, -37.0, -47.0,
        ],
        [
            1.0, -1.0, -3.0, -5.0, -7.0, -9.0, -19.0, -21.0, -23.0, -25.0, -27.0, -29.0, -39.0,
            -41.0, -43.0, -45.0,
        ],
    ),
    (
        (1, "0.5"),
        [
            1.0, -1.0, -3.0, -6.0, -8.0, -10.0, -12.0, -14.0, -16.0, -21.5, -23.5, -25.5, -27.5,
            -29.5, -31.5, -35.75,
        ],
        [
            1.0, -1.0, -3.0, -5.0, -7.0, -9.0, -15.0, -17.0, -19.0, -21.0, -23.0, -25.0, -29.0,
            -31.0, -33.0, -35.0,
        ],
    ),
    (
        (1, "1.0"),
        [
            1.0, -1.0, -3.0, -5.0, -7.0, -9.0, -11.0, -13.0, -15.0, -17.0, -19.0, -21.0, -23.0,
            -25.0, -27.0, -29.0,
        ],
        [
            1.0, -1.0, -3.0, -5.0, -7.0, -9.0, -11.0, -13.0, -15.0, -17.0, -19.0, -21.0, -23.0,
            -25.0, -27.0, -29.0,
        ],
    ),
];

#[test]
fn the_golden_runs_are_reproduced() {
    for ((delay, alpha), first, second) in GOLDEN {
        let found = trained(delay, alpha);
        assert_eq!(found, [first.to_vec(), second.to_vec()], "{delay}, {alpha}");
    }
}

#[test]
fn fragments_cover_the_layout_with_whole_tensors() {
    let layout = layout(&[100, 1, 1, 50, 50, 3, 90]);
    for count in 1..=7 {
        let fragments = Fragments::new(&layout, count).expect("enough tensors");
        let all = fragments.all();
        assert_eq!(all.len(), count as usize);
        assert_eq!((all[0].range.start, all[all.len() - 1].range.end), (0, 295));
        assert!(
            all.windows(2)
                .all(|two| two[0].range.end == two[1].range.start)
        );
        assert!(
            all.iter()
                .all(|part| part.range.len() == part.layout.parameters())
        );
        let tensors: usize = all.iter().map(|part| part.layout.tensors().len()).sum();
        assert_eq!(tensors, 7);
        let turns = (0..14).map(|round| fragments.of(Round(round)).range.start);
        let first = turns.filter(|start| *start == 0).count() as u32;
        assert_eq!(first, 14_u32.div_ceil(count));
    }
    let refused = FragmentsError {
        fragments: 8,
        found: 7,
    };
    assert_eq!(Fragments::new(&layout, 8), Err(refused));
}
