//! A certificate is passed on where somebody may lack it, and nowhere else.

use super::*;

/// Lets the timers up to `until` fire, and counts the certificates that are passed on.
fn passed_until(member: &mut Member, until: u64) -> usize {
    let mut passed = 0;
    while let Some((at, _)) = member.poll_timeout().filter(|(at, _)| at.0 <= until) {
        member.handle(at, Input::Timeout);
        let outputs = drain(member);
        let states = outputs.iter().filter(
            |output| matches!(output, Output::Broadcast(m) if matches!(**m, Message::State(_))),
        );
        passed += states.count();
    }
    passed
}

#[test]
fn a_certificate_is_passed_on_once_where_a_vote_is_missing() {
    let founding = root_of(&founding());
    let forged = RootVote {
        signature: Signature([7; 64]),
        ..root_vote(4, 0, founding)
    };
    let attempt = RootVote::signed(&RUN, (EPOCH, Round(0)), 1, founding, None, &signer(4));
    for (why, last, expected) in [
        ("all votes came", Some(root_vote(4, 0, founding)), 0),
        ("all votes came, one repaired", Some(attempt), 0),
        ("one is missing", None, 1),
        ("one is forged", Some(forged), 1),
        (
            "one is for another root",
            Some(root_vote(4, 0, Root([9; 32]))),
            1,
        ),
        (
            "one is for another state",
            Some(root_vote(4, 1, founding)),
            1,
        ),
        ("one came twice", Some(root_vote(3, 0, founding)), 1),
    ] {
        let mut member = in_round_0();
        if let Some(vote) = last {
            tell(&mut member, 4, Message::Root(vote));
        }
        let half_delta = settings().delta_us / 2;
        assert_eq!(passed_until(&mut member, half_delta), expected, "{why}");
        let before_reminders = settings().resend_us;
        assert_eq!(passed_until(&mut member, before_reminders), 0, "{why}");
    }
}

#[test]
fn whoever_is_not_heard_of_in_a_round_is_reminded_of_its_base() {
    let late = settings().resend_us * 8;
    let mut silent = in_round_0();
    assert!(passed_until(&mut silent, late) > 1, "4 said nothing");
    let mut voted = in_round_0();
    let vote = root_vote(4, 0, root_of(&founding()));
    tell(&mut voted, 4, Message::Root(vote));
    assert_eq!(passed_until(&mut voted, late), 0, "4 voted late");
    let mut trained = in_round_0();
    tell(&mut trained, 4, header_message(4));
    assert!(passed_until(&mut trained, late) <= 1, "4 trains in it");
}
