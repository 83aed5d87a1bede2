use super::*;
use crate::control::status::{AttemptLine, MissedLine, Reach, TrainingLine, WaitingLine};
use archipel_protocol::ids::{MemberId, Round};

/// A node of four, of which two are away.
pub fn two_of_four() -> Status {
    let member = |n: u8, name: &str, connected| MemberLine {
        name: name.to_owned(),
        id: MemberId([n; 32]),
        seat: "voting".to_owned(),
        connected,
        round_trip_ms: connected.then_some(12),
        update: if connected { "held" } else { "none" }.to_owned(),
        counted: 3,
        cuts: 4,
        ..MemberLine::default()
    };
    let mut gent = member(3, "gent", false);
    gent.attempts.push(AttemptLine {
        address: "10.1.2.3 udp/4001".to_owned(),
        answer: "no route to host".to_owned(),
        seconds_ago: 4,
    });
    let text = "waiting for the updates of gent (not connected) and porto (not connected); \
                deadline in 40 s";
    Status {
        running: true,
        name: "lyon".to_owned(),
        member: MemberId([1; 32]),
        phase: "hold".to_owned(),
        round: Round(4),
        rounds: 20,
        quorum: 3,
        faults: 1,
        tolerance: "1 of 4 members may lie or be away".to_owned(),
        waiting: Some(WaitingLine {
            what: "updates".to_owned(),
            members: vec!["gent".to_owned(), "porto".to_owned()],
            here: 2,
            needed: 4,
            ends_in_ms: Some(40_000),
            text: text.to_owned(),
        }),
        reach: Reach {
            connected: 2,
            voters: 4,
            missing: vec!["gent".to_owned(), "porto".to_owned()],
        },
        training: Some(TrainingLine {
            round: Round(4),
            step: 3,
            steps: 10,
            loss_nats: 2.5,
        }),
        missed: vec![MissedLine {
            round: Round(3),
            name: "gent".to_owned(),
            why: "it is not connected".to_owned(),
        }],
        members: vec![
            member(1, "lyon", true),
            member(2, "riga", true),
            gent,
            member(4, "porto", false),
        ],
        ..Status::default()
    }
}

#[test]
fn the_page_says_for_whom_and_until_when_and_why() {
    let page = page(&two_of_four());
    for expected in [
        " round        4 of 20, hold\n",
        " waiting      for the updates of gent (not connected) and porto (not connected);\n",
        "              deadline in 40 s\n",
        " here         2 of 4 voting members: TOO FEW, 3 are needed to certify anything\n",
        " lyon         voting, this node; update here; in 3 of 4 cuts\n",
        " gent         voting, not connected; no update yet; in 3 of 4 cuts\n",
        "              10.1.2.3 udp/4001: no route to host (4 s ago)\n",
        " missed       round 3: gent: it is not connected\n",
    ] {
        assert!(page.contains(expected), "expected {expected:?} in\n{page}");
    }
    let wide = page.lines().filter(|line| line.chars().count() > WIDTH);
    assert_eq!(wide.collect::<Vec<_>>(), Vec::<&str>::new());
}

#[test]
fn training_says_its_step_and_a_stopped_node_waits_for_nobody() {
    let training = Status {
        phase: "train".to_owned(),
        waiting: None,
        ..two_of_four()
    };
    let shown = page(&training);
    let expected = " round        4 of 20, train: step 3 of 10, 2.500 nats per token\n";
    assert!(shown.contains(expected), "{shown}");
    let stopped = Status {
        running: false,
        ..training
    };
    let shown = page(&stopped);
    assert!(
        !shown.contains("TOO FEW") && !shown.contains("update"),
        "{shown}"
    );
}
