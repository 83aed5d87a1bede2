//! What happens in a run, in words: the lines of traces and slices.

use crate::{schedule::Effect, seen::Seen};
use archipel_protocol::{
    member::{Durable, Event, FoldTask, Folded},
    message::{Ask, Ballot, Message},
    suspicion::{Trend, signs},
};

/// What kind of line an event is, and what it says; none for what nobody would read.
pub(super) fn line(seen: &Seen<'_>) -> Option<(&'static str, String)> {
    Some(match seen {
        Seen::Sent { parcel, .. } => ("sent", message(&parcel.message)),
        Seen::Delivered { parcel } => ("delivered", message(&parcel.message)),
        Seen::Told(event) => ("told", told(event)?),
        Seen::Persisted(entry) => ("durable", durable(entry)),
        Seen::Trained(payload) => ("trained", format!("payload {}", payload.hash.short())),
        Seen::Held(payload) => ("holds", format!("payload {}", payload.hash.short())),
        Seen::Folded {
            task, root, folded, ..
        } => {
            let (round, count) = (task.round.0, task.updates.len());
            let text = format!("{count} updates of round {round} to root {}", root.short());
            ("folded", text + &strange(task, folded))
        }
        Seen::Started { main, side } => ("started", format!("with {main} + {side} records")),
        Seen::Crashed => ("crashed", "power cut".to_owned()),
        Seen::RolledBack => ("rolled back", "its disk is an older one".to_owned()),
        Seen::Fault { effect, begins, .. } => {
            let verb = if *begins { "begins" } else { "ends" };
            ("fault", format!("{} {verb}", effect_name(effect)))
        }
        Seen::Healed => ("healed", "faults are over".to_owned()),
        Seen::Loss { round, loss } => ("loss", format!("round {}: {loss}", round.0)),
        Seen::Recorded { .. } | Seen::Bulk { .. } | Seen::Resources { .. } => return None,
    })
}

/// The updates that show a sign in this cut alone, and how they look.
fn strange(task: &FoldTask, folded: &Folded) -> String {
    let untold = vec![Trend::default(); folded.sights.len()];
    let shown = signs(&folded.sights, &untold);
    let seen = task.updates.iter().zip(&folded.sights).zip(shown);
    seen.filter(|(_, signs)| *signs > 0)
        .map(|((update, sight), _)| format!("; strange: {} ({sight})", update.member.short()))
        .collect()
}

fn ballot(ballot: &Ballot) -> String {
    let kind = format!("{:?}", ballot.kind).to_lowercase();
    let (round, view) = (ballot.round.0, ballot.view.0);
    match ballot.digest.0 == [0; 32] {
        true => format!("{kind}, round {round} view {view}"),
        false => format!(
            "{kind}, round {round} view {view} block {}",
            ballot.digest.short()
        ),
    }
}

fn message(message: &Message) -> String {
    match message {
        Message::Header(signed) => {
            let header = &signed.header;
            let payload = header.payload.short();
            format!("update of round {}: payload {payload}", header.round.0)
        }
        Message::Holds(holds) => {
            let count = holds.headers.len();
            format!("holds {count} more payloads of round {}", holds.round.0)
        }
        Message::Proposal(proposal) => {
            let (block, view) = (&proposal.block, proposal.view.0);
            let count = block.cut.len();
            format!(
                "proposal, round {} view {view}: a cut of {count}",
                block.round.0
            )
        }
        Message::Vote(vote) => format!("vote: {}", ballot(&vote.ballot)),
        Message::Certificate(certificate) => format!("quorum: {}", ballot(&certificate.ballot)),
        Message::Root(vote) => {
            let (round, attempt) = (vote.round.0, vote.attempt);
            let root = vote.root.short();
            format!("root vote, round {round} attempt {attempt}: {root}")
        }
        Message::State(state) => {
            format!(
                "certified state of round {}: {}",
                state.round.0,
                state.root.short()
            )
        }
        Message::Present(present) => format!("present in round {}", present.round.0),
        Message::Motion(_) => "motion about membership".to_owned(),
        Message::Evidence(_) => "evidence of misbehaviour".to_owned(),
        Message::Ask(ask) => asked(ask),
        Message::Final(last) => format!("final block of round {}", last.block.round.0),
        Message::Block(block) => format!("block of round {}", block.round.0),
        Message::Manifest(_) => "manifest of a state".to_owned(),
        Message::Recalled(recalled) => {
            let count = recalled.headers.len() + recalled.votes.len() + recalled.roots.len();
            format!(
                "recalls {count} statements since round {}",
                recalled.since.0
            )
        }
    }
}

fn asked(ask: &Ask) -> String {
    match ask {
        Ask::Tip => "asks for the newest state".to_owned(),
        Ask::Link(epoch) => format!("asks for the block that closed epoch {}", epoch.0),
        Ask::Final(round) => format!("asks for the final block of round {}", round.0),
        Ask::Block(round, digest) => {
            format!("asks for block {} of round {}", digest.short(), round.0)
        }
        Ask::Manifest(root) => format!("asks for the manifest of {}", root.short()),
        Ask::Recall(round) => format!("asks what it signed since round {}", round.0),
        Ask::Views(round, view) => format!(
            "asks for the certificates of view {} of round {} and below",
            view.0, round.0
        ),
    }
}

fn told(event: &Event) -> Option<String> {
    Some(match event {
        Event::Phase { round, phase } => format!("round {}: {phase}", round.0),
        Event::Agreed {
            round,
            view,
            included,
            ..
        } => {
            let count = included.len();
            format!(
                "agreed on a cut of {count} in round {} view {}",
                round.0, view.0
            )
        }
        Event::Certified { round, root, .. } => {
            format!(
                "holds the certified state of round {}: {}",
                round.0,
                root.short()
            )
        }
        Event::Membership { epoch, allowed } => {
            format!("epoch {} has {} members", epoch.0, allowed.len())
        }
        Event::Refused { reason, .. } => format!("refused: {reason}"),
        Event::Incident { kind, text } => format!("incident, {kind}: {text}"),
        Event::Signing { allowed, why } => match allowed {
            true => format!("may sign: {why}"),
            false => format!("may not sign: {why}"),
        },
        Event::Finished { round, .. } => format!("finished with round {}", round.0),
        Event::Amendment {
            consents, needed, ..
        } => {
            format!("amendment has {consents} of {needed} consents")
        }
        Event::Announced { .. } | Event::Holding { .. } => return None,
    })
}

fn durable(entry: &Durable) -> String {
    match entry {
        Durable::Header { header, .. } => format!("own update of round {}", header.header.round.0),
        Durable::Proposal(proposal) => format!("own proposal of round {}", proposal.block.round.0),
        Durable::Block(block) => format!("block of round {}", block.round.0),
        Durable::Vote(vote) => format!("own vote: {}", ballot(&vote.ballot)),
        Durable::Root(vote) => format!("own root vote of round {}", vote.round.0),
        Durable::Final(last) => format!("final block of round {}", last.block.round.0),
        Durable::State { root, .. } => format!("state {}", root.short()),
        Durable::Certified(state) => format!("certificate of round {}", state.round.0),
        Durable::Muted(round) => format!("silent until round {}", round.0),
    }
}

/// The kind of an effect, as schedules write it.
fn effect_name(effect: &Effect) -> String {
    let value = serde_json::to_value(effect).expect("effects are plain data");
    let name = value.as_object().and_then(|object| object.keys().next());
    name.cloned().unwrap_or_default()
}
