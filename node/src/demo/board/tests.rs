use super::*;
use archipel_protocol::ids::{Epoch, View};

pub(in crate::demo) fn certified(round: u64, root: u8, sent: u64, bits: f64) -> Event {
    Event::Certified {
        round: Round(round),
        root: Root([root; 32]),
        members_in_cut: 4,
        bits_per_byte: Some(bits),
        tokens: 4096,
        bytes_sent: sent,
        bytes_received: sent,
        payload_bytes: 100_000,
        dense_bytes: 3_200_000,
        round_ms: 900,
    }
}

pub(in crate::demo) fn board() -> Board {
    let names: Vec<String> = (1..=4).map(|n| format!("member-{n}")).collect();
    Board::new(&names, Round(0), Round(20))
}

#[test]
fn bytes_sent_survive_a_restart() {
    let mut board = board();
    board.apply(0, &certified(1, 1, 1_000, 5.0));
    board.killed(0);
    board.started(0);
    assert_eq!(board.rows[0].sent_bytes(), 1_000);
    board.apply(0, &certified(2, 2, 300, 5.0));
    board.apply(1, &certified(2, 2, 50, 5.0));
    assert_eq!(
        (board.rows[0].sent_bytes(), board.sent_bytes()),
        (1_300, 1_350)
    );
}

#[test]
fn unlike_roots_are_never_silent() {
    let mut board = board();
    assert_eq!(board.apply(0, &certified(1, 1, 0, 5.0)), None);
    assert_eq!(board.apply(1, &certified(1, 1, 0, 5.0)), None);
    let note = board.apply(2, &certified(1, 9, 0, 5.0)).unwrap();
    assert_eq!(
        (note.kind, board.states[&Round(1)].agrees()),
        (NoteKind::Bad, false)
    );
    // A repaired root is reported again and settles it.
    board.apply(2, &certified(1, 1, 0, 5.0));
    assert!(board.states[&Round(1)].agrees());
}

#[test]
fn the_rest_is_judged_by_the_last_rounds() {
    let mut board = board();
    assert_eq!(board.remaining(), None);
    for round in 1..=10 {
        board.elapsed = Duration::from_secs(round * 10);
        board.apply(0, &certified(round, 1, 0, 5.0));
    }
    assert_eq!(board.remaining(), Some(Duration::from_secs(100)));
    board.elapsed += Duration::from_secs(4);
    assert_eq!(board.remaining(), Some(Duration::from_secs(96)));
}

#[test]
fn only_the_last_three_notes_are_kept_and_repeats_are_one() {
    let mut board = board();
    for epoch in [1, 1, 2, 3, 4] {
        let event = Event::Joined {
            name: "member-5".into(),
            epoch: Epoch(epoch),
        };
        board.apply(0, &event);
    }
    let texts: Vec<&str> = board.notes.iter().map(|note| note.text.as_str()).collect();
    assert_eq!(texts.len(), 3);
    assert!(texts[0].ends_with("epoch 2 on"), "{texts:?}");
}

#[test]
fn a_row_follows_its_member_through_a_round() {
    let mut board = board();
    let round = Round(3);
    board.apply(
        0,
        &Event::Progress {
            round,
            step: 7,
            steps: 20,
            loss_nats: 2.0,
        },
    );
    assert_eq!(
        (board.rows[0].phase, board.rows[0].steps),
        (Phase::Train, Some((7, 20)))
    );
    board.apply(
        0,
        &Event::Holding {
            round,
            held: 3,
            active: 4,
        },
    );
    board.apply(
        0,
        &Event::Phase {
            round,
            phase: Phase::Hold,
            step: None,
            steps: None,
        },
    );
    assert_eq!(
        (board.rows[0].steps, board.rows[0].held),
        (None, Some((3, 4)))
    );
    let included = vec!["member-1".into()];
    let proposer = "member-1".into();
    board.apply(
        0,
        &Event::Agreed {
            round,
            view: View(1),
            included,
            proposer,
            missed: Vec::new(),
        },
    );
    board.apply(0, &certified(4, 1, 10, 3.0));
    assert_eq!(board.rows[0].certified.unwrap().round, Round(4));
    assert_eq!(board.rows[0].compression(), Some(32.0));
    board.apply(
        0,
        &Event::Phase {
            round: Round(4),
            phase: Phase::Train,
            step: None,
            steps: None,
        },
    );
    assert_eq!(board.rows[0].held, None, "a new round holds nothing yet");
}
