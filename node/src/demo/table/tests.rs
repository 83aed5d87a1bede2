use super::{
    super::{
        board::tests::{board, certified},
        events::Event,
    },
    *,
};
use archipel_protocol::ids::{Epoch, MemberId, Root, Round, RunId, View};
use std::time::Duration;

const PLAIN: Paint = Paint { colour: false };

/// Four members that have certified seven states.
fn seven_rounds() -> Board {
    let mut board = board();
    for row in 0..4 {
        let (member, run_id) = (MemberId([1; 32]), RunId([2; 32]));
        let name = format!("member-{}", row + 1);
        let started = Event::Started {
            member,
            name,
            run_id,
        };
        board.apply(row, &started);
    }
    for next in 1..=7 {
        board.elapsed = Duration::from_secs(6 * next);
        let (round, view) = (Round(next - 1), View(0));
        let (included, proposer) = (vec!["member-1".into()], "member-1".into());
        let agreed = Event::Agreed {
            round,
            view,
            included,
            proposer,
            missed: Vec::new(),
        };
        let holding = Event::Holding {
            round,
            held: 4,
            active: 4,
        };
        for row in 0..4 {
            board.apply(row, &holding);
            board.apply(row, &agreed);
            let bits = 8.0 - 0.5 * next as f64;
            board.apply(row, &certified(next, 0x1a, next * 1_777_000, bits));
        }
    }
    board
}

/// Then, in round 7, one holds, one trains, one agrees, and one is dead.
fn busy() -> Board {
    let mut board = seven_rounds();
    board.elapsed += Duration::from_secs(2);
    let round = Round(7);
    let (step, steps) = (None, None);
    let now = [
        (
            0,
            Event::Phase {
                round,
                phase: Phase::Hold,
                step,
                steps,
            },
        ),
        (
            0,
            Event::Holding {
                round,
                held: 3,
                active: 4,
            },
        ),
        (
            1,
            Event::Progress {
                round,
                step: 13,
                steps: 20,
                loss_nats: 2.0,
            },
        ),
        (
            2,
            Event::Phase {
                round,
                phase: Phase::Agree,
                step,
                steps,
            },
        ),
    ];
    for (row, event) in &now {
        board.apply(*row, event);
    }
    board.killed(3);
    board.note(NoteKind::Kill, "member-4 killed in round 7".into());
    let (name, epoch) = ("member-5".into(), Epoch(1));
    board.apply(0, &Event::Joined { name, epoch });
    board
}

fn drawn(board: &Board, width: usize) -> Vec<String> {
    let lines = render(board, width, 40, PLAIN);
    for line in &lines {
        let found = console::measure_text_width(line);
        assert!(found <= width, "{found} columns of {width}: {line}");
    }
    lines
}

#[test]
fn at_80_columns_everything_is_there() {
    let expected = " Archipel  4 members, one model, no controller
 round 7/20  ━━━━━━━━━━━━━━──────────────────────────  0:44, about 1:16 left

 member    round  phase           held  bits/B     sent  ratio  agreement
 member-1      7  hold             3/4   4.500  12.4 MB  32.0×  4/4 v0 1a1a1a ✓
 member-2      7  train    ━━━──     –   4.500  12.4 MB  32.0×  4/4 v0 1a1a1a ✓
 member-3      7  agree              –   4.500  12.4 MB  32.0×  4/4 v0 1a1a1a ✓
 member-4      6  killed             –   4.500  12.4 MB  32.0×  4/4 v0 1a1a1a ✓

   0:44 ✗ member-4 killed in round 7
   0:44 ✓ member-5 is a member from epoch 1 on
 Ctrl-C stops all of it and says how to go on";
    let lines = drawn(&busy(), 80).join("\n");
    assert_eq!(lines, expected, "\n{lines}");
}

#[test]
fn at_120_columns_the_agreement_is_spelt_out() {
    // CUT stands for the agreement, to keep these lines short.
    let expected = " Archipel  4 members, one model, no controller
 round 7/20  ━━━━━━━━━━━━━━──────────────────────────  0:44, about 1:16 left

 member    round  phase                  held  bits/B     sent  ratio  agreement
 member-1      7  hold                    3/4   4.500  12.4 MB  32.0×  CUT
 member-2      7  train    ━━━━━━━╸────     –   4.500  12.4 MB  32.0×  CUT
 member-3      7  agree                     –   4.500  12.4 MB  32.0×  CUT
 member-4      6  killed                    –   4.500  12.4 MB  32.0×  CUT

   0:44 ✗ member-4 killed in round 7
   0:44 ✓ member-5 is a member from epoch 1 on
 Ctrl-C stops all of it and says how to go on";
    let expected = expected.replace("CUT", "cut 4/4, view 0, root 1a1a1a1a ✓");
    let lines = drawn(&busy(), 120).join("\n");
    assert_eq!(lines, expected, "\n{lines}");
}

#[test]
fn at_60_columns_the_bytes_give_way() {
    let expected = " Archipel  4 members, one model, no controller
 round 7/20  ━━━━━━━━───────────────  0:44, about 1:16 left

 member    round  phase           held  bits/B  agreement
 member-1      7  hold             3/4   4.500  1a1a1a1a ✓
 member-2      7  train    ━━━──     –   4.500  1a1a1a1a ✓
 member-3      7  agree              –   4.500  1a1a1a1a ✓
 member-4      6  killed             –   4.500  1a1a1a1a ✓

   0:44 ✗ member-4 killed in round 7
   0:44 ✓ member-5 is a member from epoch 1 on
 Ctrl-C stops all of it and says how to go on";
    let lines = drawn(&busy(), 60).join("\n");
    assert_eq!(lines, expected, "\n{lines}");
}

#[test]
fn no_width_and_no_height_is_exceeded_or_panics() {
    let mut board = busy();
    board.add("a-member-with-a-very-long-name-indeed-🦀");
    for n in 6..=24 {
        board.add(&format!("member-{n}"));
    }
    for width in NARROWEST..=200 {
        drawn(&board, width);
        for height in [LOWEST, 13, 20, 60] {
            let lines = render(&board, width, height, Paint { colour: true });
            assert!(lines.len() <= height, "{} lines of {height}", lines.len());
            assert!(
                lines
                    .iter()
                    .all(|line| console::measure_text_width(line) <= width)
            );
        }
    }
}

#[test]
fn a_root_unlike_the_others_is_marked() {
    let mut board = busy();
    board.apply(2, &certified(7, 0x2b, 0, 4.5));
    let lines = drawn(&board, 120);
    assert!(
        lines.iter().any(|line| line.contains("root 2b2b2b2b ✗")),
        "{lines:#?}"
    );
    assert!(
        lines.iter().any(|line| line.contains("more than one root")),
        "{lines:#?}"
    );
}

#[test]
fn colours_come_only_when_asked_for_and_text_cannot_smuggle_any() {
    let mut board = busy();
    let text = "\x1b[31mred\x1b[2J".to_owned();
    board.apply(
        0,
        &Event::Incident {
            kind: "odd".into(),
            text,
        },
    );
    board.rows[0].certified.as_mut().unwrap().root = Root([3; 32]);
    assert!(drawn(&board, 100).iter().all(|line| !line.contains('\x1b')));
    let coloured = render(&board, 100, 40, Paint { colour: true }).join("\n");
    assert!(coloured.contains("\x1b[32m") && !coloured.contains("\x1b[2J"));
}
