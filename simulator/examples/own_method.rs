//! A codec, a rule and a lie of one's own, played against the protocol's mean.
//!
//! `cargo run --release -p archipel-simulator --example own_method`
//!
//! Seven members learn a quadratic whose optimum is known. One of them pushes in the wrong
//! direction every other round. The codec sends one sign a parameter and one scale; the rule is
//! the median of each parameter. The table shows how far from the optimum each combination ends.

use archipel_protocol::{layout::Layout, member::TrainTask, state::Tensors};
use archipel_simulator::{
    deviation::{Deviation, Seat},
    extension::{Extension, OwnCodec, OwnRule},
    scenario::Scenario,
    schedule::{Effect, Schedule, When, Window},
    world::{Ending, World},
};
use std::sync::Arc;

/// One bit a parameter, and the mean magnitude of all of them (signSGD, Bernstein et al. 2018).
#[derive(Debug)]
struct OneBit;

impl OwnCodec for OneBit {
    fn encode(&self, _layout: &Layout, values: &[f32]) -> Vec<u8> {
        let scale = values.iter().map(|v| v.abs()).sum::<f32>() / values.len() as f32;
        let mut payload = scale.to_le_bytes().to_vec();
        for eight in values.chunks(8) {
            let bits = eight.iter().enumerate();
            payload.push(bits.map(|(i, v)| u8::from(*v > 0.0) << i).sum());
        }
        payload
    }

    fn decode(&self, layout: &Layout, payload: &[u8]) -> Result<Vec<f32>, String> {
        let parameters = layout.parameters();
        let expected = 4 + parameters.div_ceil(8);
        if payload.len() != expected {
            let found = payload.len();
            return Err(format!("expected {expected} bytes, found {found}"));
        }
        let (scale, bits) = payload.split_at(4);
        let scale = f32::from_le_bytes(scale.try_into().expect("four bytes"));
        let bit = |i: usize| bits[i / 8] >> (i % 8) & 1 == 1;
        let value = |i| if bit(i) { scale } else { -scale };
        Ok((0..parameters).map(value).collect())
    }
}

/// The median of each parameter; the lower one of an even number.
#[derive(Debug)]
struct Median;

impl OwnRule for Median {
    fn aggregate(&self, updates: &[(u64, Vec<f32>)]) -> Vec<f32> {
        let median = |i: usize| {
            let mut column: Vec<f32> = updates.iter().map(|(_, values)| values[i]).collect();
            column.sort_by(f32::total_cmp);
            column[(column.len() - 1) / 2]
        };
        (0..updates[0].1.len()).map(median).collect()
    }
}

/// Pushes the other way, five times as hard, every other round.
struct Saboteur;

impl Deviation for Saboteur {
    fn gradient(&mut self, _: &mut Seat<'_>, task: &TrainTask, _: &Tensors, delta: &mut Vec<f32>) {
        if task.round.0.is_multiple_of(2) {
            delta.iter_mut().for_each(|value| *value *= -5.0);
        }
    }
}

/// Plays 40 rounds, and returns the distance to the optimum at the end.
fn play(codec: bool, rule: bool, lies: bool) -> anyhow::Result<f64> {
    let mut scenario = Scenario::plain(7, 7, 40);
    // The checker works folds out by the plan's codec and rule: with others it cannot.
    scenario.check.off = vec!["S6".to_owned()];
    let mut schedule = Schedule::default();
    if lies {
        schedule.windows.push(Window {
            fault: "saboteur".to_owned(),
            at: When::At(0),
            for_us: None,
            effect: Effect::Byzantine {
                member: 6,
                behaviour: "saboteur".to_owned(),
                strength: None,
            },
        });
    }
    let mut extension = Extension::default();
    if codec {
        extension.codec = Some(Arc::new(OneBit));
    }
    if rule {
        extension.rule = Some(Arc::new(Median));
    }
    let saboteur = Arc::new(|| Box::new(Saboteur) as Box<dyn Deviation>);
    extension.lies.push(("saboteur".to_owned(), saboteur));
    let mut world = World::extended(&Arc::new(scenario), &Arc::new(schedule), 1, extension)?;
    world.start_all();
    let ending = world.run(&mut |_| true);
    let violations = world.invariants.violations();
    anyhow::ensure!(ending == Ending::Rounds, "{ending:?}: {violations:?}");
    world.loss(0).ok_or_else(|| anyhow::anyhow!("no state"))
}

fn main() -> anyhow::Result<()> {
    println!("codec  rule    honest     one saboteur");
    for (codec, codec_name) in [(false, "int8 "), (true, "1 bit")] {
        for (rule, rule_name) in [(false, "mean  "), (true, "median")] {
            let (honest, lied) = (play(codec, rule, false)?, play(codec, rule, true)?);
            println!("{codec_name}  {rule_name}  {honest:9.2e}  {lied:9.2e}");
        }
    }
    Ok(())
}
