//! Findings that no run made, for every form a report can take.

use archipel_simulator::report::{
    Activity, FaultFindings, Findings, LossPoint, MemberFindings, RoundFindings, Span, Spent,
    UtilisationPoint, Violation,
};

/// Numbers without a pattern, the same in every process.
struct Draws(u64);

impl Draws {
    /// A number from 0 to 1.
    fn next(&mut self) -> f64 {
        let product = self.0.wrapping_mul(6_364_136_223_846_793_005);
        self.0 = product.wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as f64 / (1u64 << 31) as f64
    }
}

/// How large a run is.
#[derive(Clone, Copy)]
struct Size {
    members: usize,
    rounds: u64,
    round_us: u64,
}

/// A passing run of 14 members over 200 rounds, with faults and five runs without.
pub fn passing() -> Findings {
    let size = Size {
        members: 14,
        rounds: 200,
        round_us: 46_000_000,
    };
    let mut findings = run(size, 7);
    findings.name = "global14".to_owned();
    findings.claim = "Fourteen sites on six continents keep training through a partition, churn \
                      and one liar; the loss stays within the band of the runs without faults."
        .to_owned();
    findings.baseline = (0..5).map(|seed| losses(size, 100 + seed, 1.0)).collect();
    findings.members[5].lies = Some("equivocate-update".to_owned());
    findings.faults = faults(size);
    findings.utilisation = sweep();
    findings
}

/// A run that failed early, with a minimal schedule and a causal slice.
pub fn failing() -> Findings {
    let size = Size {
        members: 7,
        rounds: 12,
        round_us: 40_000_000,
    };
    let mut findings = run(size, 3);
    findings.name = "split-brain".to_owned();
    findings.claim = "A minority never certifies.".to_owned();
    findings.verdict = "fail".to_owned();
    findings.expected = "fail:S1".to_owned();
    findings.off = vec!["S6".to_owned(), "R3".to_owned()];
    findings.violations = vec![
        violation(
            "S1",
            6,
            "eu-2 and us-1 certified 3fa9c1… and 77d0e2… for round 11",
        ),
        violation("C2", 2, "the loss is not a number"),
    ];
    findings.losses[9].loss = f64::NAN;
    findings.faults = faults(size).into_iter().take(2).collect();
    findings.faults[0].recovery_rounds = None;
    findings.minimal = vec![
        "00:03:20.000 .. 00:05:00.000  partition  {m0,m1,m2} | {m3,m4,m5,m6}".to_owned(),
        "00:04:10.000                  crash      m4".to_owned(),
    ];
    let event = |n: u64| {
        format!(
            "00:0{}:{:02}.113 m{} ← vote round {}",
            n / 9,
            n * 6 % 60,
            n % 7,
            n / 4
        )
    };
    findings.slice = (0..40).map(event).collect();
    findings
}

/// A run that was stopped before anything happened.
pub fn interrupted() -> Findings {
    Findings {
        name: "lan8".to_owned(),
        verdict: "interrupted".to_owned(),
        seed: 1,
        digest: "00".repeat(32),
        mode: "protocol".to_owned(),
        ..Findings::default()
    }
}

/// 64 members over 10,000 rounds with a thousand fault windows, names long and hostile.
pub fn huge() -> Findings {
    let size = Size {
        members: 64,
        rounds: 10_000,
        round_us: 2_000_000,
    };
    let mut findings = run(size, 11);
    findings.name = "<script>alert('name')</script>".to_owned();
    findings.claim = "\"><img src=http://example.org/x onerror=alert(1)>".to_owned();
    findings.baseline = (0..5).map(|seed| losses(size, 40 + seed, 1.0)).collect();
    for (index, member) in findings.members.iter_mut().enumerate() {
        member.name = format!("university-hospital-of-a-very-long-town-name-{index}</text>&");
        member.spans_cut = true;
    }
    let end = size.rounds * size.round_us;
    let window = |n: u64| FaultFindings {
        id: format!("fault-with-a-rather-long-identifier-{}", n % 30),
        kind: "churn".to_owned(),
        from_us: n * end / 1000,
        to_us: n * end / 1000 + 3_000_000,
        targets: vec![(n % 64) as u32],
        effect: format!("{} misses", n % 3),
        recovery_rounds: (!n.is_multiple_of(50)).then_some(n % 5),
    };
    findings.faults = (0..1000).map(window).collect();
    findings.utilisation = sweep();
    findings
}

fn violation(invariant: &str, member: u32, text: &str) -> Violation {
    Violation {
        invariant: invariant.to_owned(),
        at_us: 455_220_000,
        round: 11,
        member: Some(member),
        text: text.to_owned(),
    }
}

fn run(size: Size, seed: u64) -> Findings {
    let mut draws = Draws(seed);
    let rounds = rounds(size, &mut draws);
    let members: Vec<MemberFindings> = (0..size.members)
        .map(|position| member(size, position, &mut draws))
        .collect();
    Findings {
        name: "synthetic".to_owned(),
        verdict: "pass".to_owned(),
        seed,
        digest: "9f2c".repeat(16),
        mode: "protocol".to_owned(),
        codec: "topk-2bit".to_owned(),
        rounds_done: size.rounds,
        messages: size.rounds * size.members as u64 * 75,
        sim_us: size.rounds * size.round_us,
        wall_us: 24_300_000,
        peak_rss_bytes: 412_000_000,
        losses: losses(size, seed, 1.02),
        members,
        rounds,
        ..Findings::default()
    }
}

fn rounds(size: Size, draws: &mut Draws) -> Vec<RoundFindings> {
    let mut begun_us = 0;
    let mut round = |number: u64| {
        let slow = if draws.next() > 0.97 {
            1.0 + 2.0 * draws.next()
        } else {
            1.0
        };
        let took = size.round_us as f64 * (0.95 + 0.1 * draws.next()) * slow;
        let round = RoundFindings {
            round: number,
            begun_us,
            ended_us: begun_us + took as u64,
            included: size.members as u32 - u32::from(slow > 1.0),
            members: size.members as u32,
            straggler: Some((draws.next() * draws.next() * size.members as f64) as u32),
            control_bytes: 400_000,
            bulk_bytes: 9_000_000,
        };
        begun_us = round.ended_us;
        round
    };
    (1..=size.rounds).map(&mut round).collect()
}

fn member(size: Size, position: usize, draws: &mut Draws) -> MemberFindings {
    let regions = [
        "eu-central-1",
        "us-east-1",
        "ap-south-1",
        "sa-east-1",
        "af-south-1",
    ];
    let region = regions[position % regions.len()];
    let mut spans = Vec::new();
    for round in 0..size.rounds {
        let down = round % 50 == 20 + position as u64 % 7 && position % 3 == 1;
        let shares = if down {
            vec![(Activity::Down, 1.6), (Activity::CatchUp, 0.4)]
        } else if round > 0 && round % 50 == 21 + position as u64 % 7 && position % 3 == 1 {
            continue;
        } else {
            let compute = 0.6 + 0.25 * draws.next();
            let send = 0.05 + 0.05 * draws.next();
            vec![
                (Activity::Compute, compute),
                (Activity::Encode, 0.03),
                (Activity::Send, send),
                (Activity::Wait, 0.97 - compute - send),
            ]
        };
        let mut from = round as f64;
        for (activity, share) in shares {
            let at = |rounds: f64| (rounds * size.round_us as f64) as u64;
            let end = (from + share).min(size.rounds as f64);
            spans.push(Span {
                from_us: at(from),
                to_us: at(end),
                activity,
            });
            from = end;
        }
    }
    let kinds = [
        ("payload", 6.4e5),
        ("state", 2.1e4),
        ("header", 900.0),
        ("hold", 2_100.0),
        ("proposal", 1_300.0),
        ("vote", 1_900.0),
        ("certificate", 1_500.0),
        ("root", 700.0),
        ("join", 60.0),
        ("amendment", 20.0),
    ];
    let bytes = kinds.map(|(kind, each)| {
        let count = each * (0.8 + 0.4 * draws.next()) * size.rounds as f64;
        (kind.to_owned(), count as u64)
    });
    MemberFindings {
        name: format!("{region}-{position}"),
        group: region.to_owned(),
        lies: None,
        spans,
        spans_cut: false,
        utilisation: 0.7 + 0.1 * draws.next(),
        spent: Spent::default(),
        bytes: bytes.into_iter().collect(),
        memory_high: (1.2e7 + 6e6 * draws.next()) as u64,
        queue_high: (40.0 + 160.0 * draws.next()) as u64,
        counted: size.rounds - 2,
    }
}

fn losses(size: Size, seed: u64, factor: f64) -> Vec<LossPoint> {
    let mut draws = Draws(seed);
    let mut left = 1.0;
    let mut point = |round: u64| {
        left *= 1.0 - 12.0 / (size.rounds as f64 + 10.0 * round as f64);
        LossPoint {
            round,
            sim_us: round * size.round_us,
            tokens: round * size.members as u64 * 491_520,
            bytes: round * size.members as u64 * 668_000,
            loss: (0.002 + left) * factor * (0.94 + 0.12 * draws.next()),
        }
    };
    (1..=size.rounds).map(&mut point).collect()
}

fn faults(size: Size) -> Vec<FaultFindings> {
    let fault = |id: &str, kind: &str, from: f64, rounds: f64, targets: Vec<u32>, effect: &str| {
        let at = |round: f64| (round * size.round_us as f64) as u64;
        let scale = size.rounds as f64 / 200.0;
        FaultFindings {
            id: id.to_owned(),
            kind: kind.to_owned(),
            from_us: at(from * scale),
            to_us: at((from + rounds) * scale),
            targets,
            effect: effect.to_owned(),
            recovery_rounds: Some(2),
        }
    };
    let mut faults = vec![
        fault(
            "cut",
            "partition",
            50.0,
            18.0,
            vec![3, 4, 5, 6],
            "4 members missed 18 rounds",
        ),
        fault(
            "flap",
            "loss",
            62.0,
            20.0,
            vec![0, 1, 2],
            "p95 of rounds doubled",
        ),
        fault(
            "evil",
            "byzantine",
            60.0,
            140.0,
            vec![5],
            "evidence in round 60, never counted",
        ),
    ];
    for n in 0..9 {
        let from = 20.0 + f64::from(n) * 19.0;
        faults.push(fault(
            "spot",
            "churn",
            from,
            2.0,
            vec![n as u32 + 1],
            "1 member down",
        ));
    }
    faults
}

fn sweep() -> Vec<UtilisationPoint> {
    let mut points = Vec::new();
    for (codec, bytes) in [("f32", 4e8), ("int8", 1e8), ("topk-2bit", 6e6)] {
        for overlap in ["none", "delayed"] {
            for power in 0..9 {
                let bandwidth = 125_000 * 4u64.pow(power);
                let exchange = bytes / bandwidth as f64 + 0.3;
                let analytic = match overlap {
                    "none" => 36.0 / (36.0 + exchange),
                    _ => 36.0 / exchange.max(36.0),
                };
                let parts = power < 3;
                points.push(UtilisationPoint {
                    codec: codec.to_owned(),
                    overlap: overlap.to_owned(),
                    bandwidth,
                    measured: analytic * if parts { 0.86 } else { 0.99 },
                    analytic,
                    why: if parts {
                        "the deadline passed before the slowest payload arrived".to_owned()
                    } else {
                        String::new()
                    },
                });
            }
        }
    }
    points
}
