use super::{
    super::{
        MemberSetup,
        board::tests::{board, certified},
        events::Event,
    },
    *,
};
use archipel_protocol::ids::RunId;
use std::{path::PathBuf, time::Duration};

fn run() -> FoundedRun {
    let setup = |n| MemberSetup {
        name: format!("member-{n}"),
        dir: format!("/d/member-{n}").into(),
    };
    FoundedRun {
        run_id: RunId([1; 32]),
        members: (1..=4).map(setup).collect(),
        first_round: Round(0),
        rounds: Round(20),
        quorum: 3,
        parameters: 800_000,
        steps_per_round: 10,
        order1_entropy: 3.4,
        first_bits_per_byte: Some(8.0),
        model: "a model".into(),
        text: "some text".into(),
    }
}

fn finished(last_root: u8) -> Board {
    let mut board = board();
    board.measure(Round(0), Some(8.0));
    for round in 1..=20 {
        board.elapsed = Duration::from_secs(6 * round);
        for row in 0..4 {
            let bits = 2.5 + 5.5 / (1.0 + 0.4 * round as f64);
            board.apply(row, &certified(round, 1, round * 1_000_000, bits));
        }
    }
    for row in 0..4 {
        let root = Root([if row == 3 { last_root } else { 1 }; 32]);
        board.apply(
            row,
            &Event::Finished {
                round: Round(20),
                root,
                bits_per_byte: 3.1,
            },
        );
    }
    board
}

fn with<T>(board: &Board, then: impl FnOnce(Ending<'_>) -> T) -> T {
    then(Ending {
        board,
        run: &run(),
        dir: Path::new("/d"),
        program: "archipel",
    })
}

#[test]
fn the_last_line_has_its_fields_in_order() {
    let found = with(&finished(1), |ending| {
        serde_json::to_string(&ending.object()).unwrap()
    });
    let root = "01".repeat(32);
    let members: Vec<String> = (1..=4)
        .map(|n| format!(r#"{{"name":"member-{n}","round":20,"root":"{root}"}}"#))
        .collect();
    // 2·3·4·800,000 bytes a step, 10 steps a round, 20 rounds.
    let expected = format!(
        r#"{{"event":"finished","rounds":20,"members":[{}],"first_bits_per_byte":8.0,"#,
        members.join(",")
    );
    assert!(found.starts_with(&expected), "{found}");
    let last = 2.5 + 5.5 / 9.0;
    let expected = format!(
        concat!(
            r#""last_bits_per_byte":{last},"order1_entropy":3.4,"bytes_sent":80000000,"#,
            r#""bytes_f32_allreduce":3840000000}}"#
        ),
        last = last
    );
    assert!(found.ends_with(&expected), "{found}");
}

#[test]
fn a_member_that_joins_counts_from_the_round_it_is_there() {
    let mut board = board();
    for round in 1..=20 {
        if round == 11 {
            board.add("member-5");
        }
        board.apply(0, &certified(round, 1, 0, 5.0));
    }
    let expected = 10 * 10 * (2 * 3 + 2 * 4) * 4 * 800_000;
    assert_eq!(with(&board, |ending| ending.allreduce_bytes()), expected);
}

#[test]
fn one_root_unlike_the_others_is_no_common_root_and_loud() {
    assert_eq!(
        with(&finished(1), |ending| ending.common()),
        Some((Round(20), Root([1; 32])))
    );
    let board = finished(2);
    assert_eq!(with(&board, |ending| ending.common()), None);
    let lines = with(&board, |ending| ending.lines(80, Paint { colour: false }));
    assert!(lines[1].contains("DO NOT HOLD ONE STATE"), "{lines:#?}");
    assert!(
        lines.iter().any(|line| line.contains(&"02".repeat(32))),
        "{lines:#?}"
    );
}

#[test]
fn a_member_that_did_not_finish_is_no_common_root() {
    let mut board = finished(1);
    board.add("member-5");
    assert_eq!(with(&board, |ending| ending.common()), None);
}

#[test]
fn the_ending_fits_80_columns_and_says_what_it_must() {
    let sample = Sample {
        prompt: "fn ".into(),
        text: "\x1b[2Jmain() {\n\tlet x = 1;\n".repeat(20),
        checkpoint: PathBuf::from("/d/member 1/checkpoint"),
    };
    let lines = with(&finished(1), |ending| {
        let mut lines = ending.lines(80, Paint { colour: false });
        lines.extend(ending.sample(&sample, 80));
        lines.extend(ending.next_steps(Some(&sample)));
        lines
    });
    let all = lines.join("\n");
    for line in &lines {
        assert!(console::measure_text_width(line) <= 80, "{line}");
        assert!(!line.contains('\x1b'), "{line}");
    }
    for part in [
        "4 members, one model: all hold state 20 after 2:00 ✓",
        "8.000 → 3.111 bits per byte, below what a table of byte pairs reaches ✓",
        "80.0 MB",
        "3.84 GB   48.0× as much",
        "P = 800,000",
        "archipel status --dir /d/member-1",
        "generate --checkpoint '/d/member 1/checkpoint' --prompt",
        "archipel checkpoint export --dir /d/member-1 --out model",
    ] {
        assert!(all.contains(part), "{part} is missing in\n{all}");
    }
}
