//! The words in which a node says what it waits for, who missed a cut, and who has which seat.

use crate::control::status::{Reach, TrainingLine};
use archipel_protocol::{
    charter::FaultModel,
    ids::Epoch,
    ledger::{Membership, Status as Seat},
    member::{Need, Standing, Waiting},
};

/// Names that a line lists before it counts the rest.
const NAMED: usize = 4;

/// The word for a need in a line of JSON; none if nobody else is waited for.
pub(super) fn need(need: Need) -> Option<&'static str> {
    Some(match need {
        Need::Recall => "recall",
        Need::Updates => "updates",
        Need::Proposal => "proposal",
        Need::Votes => "votes",
        Need::Block => "block",
        Need::Payloads => "payloads",
        Need::Roots => "roots",
        Need::State => "state",
        Need::Training | Need::Fold | Need::Seat | Need::Nothing => return None,
    })
}

/// What a node does while it waits for nobody.
pub(super) fn own_work(need: Need, training: Option<&TrainingLine>) -> Option<String> {
    match (need, training) {
        (Need::Training, Some(line)) => Some(format!(
            "training: step {} of {}, loss {:.3} nats per token",
            line.step, line.steps, line.loss_nats
        )),
        (Need::Training, None) => Some("preparing to train".to_owned()),
        (Need::Fold, _) => Some("folding the cut into the next state".to_owned()),
        _ => None,
    }
}

/// For whom a node waits, and for `ends_in_ms` at most. `whom` has a name for each member.
pub(super) fn waiting(waiting: &Waiting, whom: &[String], ends_in_ms: Option<u64>) -> String {
    let list = list(whom);
    let s = if whom.len() == 1 { "" } else { "s" };
    let (here, needed) = (waiting.here, waiting.needed);
    let text = match waiting.need {
        Need::Recall => format!(
            "asking {list} what this member may have forgotten: {here} of {needed} answers are here"
        ),
        Need::Updates => format!("waiting for the update{s} of {list}"),
        Need::Proposal => format!("waiting for {list} to propose the cut"),
        Need::Votes => {
            format!("waiting for the vote{s} of {list}: {here} of {needed} are here")
        }
        Need::Block => "waiting for the block that was decided".to_owned(),
        Need::Payloads => {
            format!("waiting for the payload{s} of {list}: {here} of {needed} are here")
        }
        Need::Roots => format!(
            "waiting for {list} to sign the next state: {here} of {needed} signatures are here"
        ),
        Need::State => format!("fetching a certified state from {list}"),
        Need::Training | Need::Fold | Need::Seat | Need::Nothing => String::new(),
    };
    let end = match (waiting.need, ends_in_ms, waiting.view) {
        (Need::Updates, None, _) => "; no deadline: the plan waits for all".to_owned(),
        (Need::Updates, Some(ms), _) => format!("; deadline in {}", seconds(ms)),
        (_, Some(ms), Some(view)) => format!("; view {view} ends in {}", seconds(ms)),
        _ => String::new(),
    };
    text + &end
}

/// Who is connected, and that it is too few.
pub(super) fn short(reach: &Reach, quorum: usize) -> String {
    let (connected, voters) = (reach.connected, reach.voters);
    let lacking = quorum - connected.min(quorum);
    format!(
        "{connected} of {voters} voting members are here, {quorum} are needed: nothing is \
         certified until {lacking} more of {} can be reached",
        list(&reach.missing)
    )
}

/// Why a member that was waited for is not in the cut, as seen from here.
pub(super) fn missed(standing: Standing, is_me: bool, connected: bool) -> &'static str {
    match standing {
        Standing::Silent if is_me => "this node was not ready with its update",
        Standing::Silent if !connected => "it is not connected",
        Standing::Silent => "no update of it came in time",
        Standing::Announced => "its update was announced, and its payload did not come in time",
        Standing::Held => "its update came too late for the proposer",
        Standing::Invalid => "its payload is not valid",
        Standing::Twice => "it announced two updates",
    }
}

/// The word for how far an update is.
pub(super) fn standing(standing: Standing) -> &'static str {
    match standing {
        Standing::Silent => "none",
        Standing::Announced => "announced",
        Standing::Held => "held",
        Standing::Invalid => "invalid",
        Standing::Twice => "twice",
    }
}

/// The word for a seat.
pub(super) fn seat(seat: Seat) -> &'static str {
    match seat {
        Seat::Voting => "voting",
        Seat::Suspended => "suspended",
        Seat::Left => "left",
        Seat::Removed => "removed",
    }
}

/// What became of a seat, for people. `before` is nothing if there was none.
pub(super) fn seat_change(
    (name, is_me): (&str, bool),
    (before, after): (Option<Seat>, Seat),
    epoch: Epoch,
) -> String {
    let who = match is_me {
        true => format!("{name} (this member)"),
        false => name.to_owned(),
    };
    match (before, after) {
        (None | Some(Seat::Removed), Seat::Voting) => {
            format!("{who} is admitted: it votes from epoch {epoch} on")
        }
        (_, Seat::Voting) => format!("{who} votes again, from epoch {epoch} on"),
        (_, Seat::Suspended) => format!(
            "{who} is suspended from epoch {epoch} on: it has no vote, and nobody waits for it"
        ),
        (_, Seat::Left) => format!(
            "{who} has left, from epoch {epoch} on; its seat stays, and `archipel leave --return` \
             in its folder takes it back"
        ),
        (_, Seat::Removed) => {
            format!("{who} was removed, from epoch {epoch} on: the others refuse its connections")
        }
    }
}

/// What an epoch tolerates.
pub(super) fn tolerance(membership: &Membership) -> String {
    let (voters, faults) = (membership.voters().len(), membership.faults());
    match membership.fault_model() {
        FaultModel::Byzantine if faults == 0 => {
            format!("{voters} members tolerate nobody who lies or is away: four or more would")
        }
        FaultModel::Byzantine => format!("{faults} of {voters} members may lie or be away"),
        FaultModel::Crash => {
            format!("{faults} of {voters} members may be away; a member that lies is not tolerated")
        }
    }
}

/// A time in whole seconds, minutes or hours.
pub(super) fn seconds(ms: u64) -> String {
    match ms.div_ceil(1000) {
        s if s < 120 => format!("{s} s"),
        s if s < 7200 => format!("{} min", s / 60),
        s => format!("{} h {} min", s / 3600, s / 60 % 60),
    }
}

/// `gent`, `gent and porto`, `gent, porto and riga`, or the first few and how many more.
pub(super) fn list(names: &[String]) -> String {
    match names {
        [] => "nobody".to_owned(),
        [one] => one.clone(),
        _ if names.len() > NAMED => {
            let rest = names.len() - NAMED + 1;
            format!("{} and {rest} more", names[..NAMED - 1].join(", "))
        }
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use archipel_protocol::ids::View;

    fn named(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_line_says_for_whom_and_until_when() {
        let of = |need, here, needed, view: Option<u32>| Waiting {
            need,
            members: Vec::new(),
            here,
            needed,
            until: None,
            view: view.map(View),
        };
        let two = named(&["gent", "porto"]);
        let table = [
            (
                of(Need::Updates, 2, 4, None),
                &two[..],
                Some(39_400),
                "waiting for the updates of gent and porto; deadline in 40 s",
            ),
            (
                of(Need::Updates, 3, 4, None),
                &two[..1],
                None,
                "waiting for the update of gent; no deadline: the plan waits for all",
            ),
            (
                of(Need::Votes, 2, 3, Some(1)),
                &two[..],
                Some(9_000),
                "waiting for the votes of gent and porto: 2 of 3 are here; view 1 ends in 9 s",
            ),
            (
                of(Need::Proposal, 0, 0, Some(0)),
                &two[1..],
                None,
                "waiting for porto to propose the cut",
            ),
            (
                of(Need::Roots, 1, 3, None),
                &two[..],
                None,
                "waiting for gent and porto to sign the next state: 1 of 3 signatures are here",
            ),
        ];
        for (wait, whom, ends, expected) in table {
            assert_eq!(waiting(&wait, whom, ends), expected);
        }
    }

    #[test]
    fn too_few_members_are_counted_and_named() {
        let reach = Reach {
            connected: 2,
            voters: 4,
            missing: named(&["gent", "porto"]),
        };
        assert_eq!(
            short(&reach, 3),
            "2 of 4 voting members are here, 3 are needed: nothing is certified until 1 more of \
             gent and porto can be reached"
        );
    }

    #[test]
    fn long_lists_are_counted_and_times_are_rounded() {
        let names = named(&["a", "b", "c", "d", "e", "f"]);
        assert_eq!(list(&names), "a, b, c and 3 more");
        assert_eq!(list(&names[..4]), "a, b, c and d");
        assert_eq!(
            [400, 119_000, 120_000, 43_260_000].map(seconds),
            ["1 s", "119 s", "2 min", "12 h 1 min"]
        );
    }

    #[test]
    fn a_seat_that_changes_is_told() {
        let epoch = Epoch(2);
        let admitted = seat_change(("lima", false), (None, Seat::Voting), epoch);
        assert_eq!(admitted, "lima is admitted: it votes from epoch 2 on");
        let change = (Some(Seat::Voting), Seat::Suspended);
        let suspended = seat_change(("gent", true), change, epoch);
        assert!(
            suspended.starts_with("gent (this member) is suspended from epoch 2"),
            "{suspended}"
        );
    }
}
