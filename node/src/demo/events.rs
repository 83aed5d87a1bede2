//! What `archipel run --json` prints: one [`Event`] a line on stdout.
//!
//! Nodes write these lines and the demo reads them, from this one definition. A reader ignores
//! fields it does not know and takes an event it does not know for [`Event::Unknown`], so that a
//! newer node may say more.

use archipel_protocol::ids::{Digest, Epoch, MemberId, Root, Round, RunId, View};
use serde::{Deserialize, Serialize};
use std::fmt;

/// One line of a node's account of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The node is up. The first line of every process.
    Started {
        /// Its key.
        member: MemberId,
        /// Its name in the charter.
        name: String,
        /// The run it takes part in.
        run_id: RunId,
    },
    /// The member entered a phase of a round.
    Phase {
        /// The round it is in.
        round: Round,
        /// What it does now.
        phase: Phase,
        /// Inner steps done, while training.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        step: Option<u64>,
        /// Inner steps of the round, while training.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        steps: Option<u64>,
    },
    /// Inner steps went by.
    Progress {
        /// The round it trains in.
        round: Round,
        /// Inner steps done.
        step: u64,
        /// Inner steps of the round.
        steps: u64,
        /// Training loss of the last step, in nats a token.
        loss_nats: f64,
    },
    /// The member's header of the round is durable and sent.
    Header {
        /// The round of the update.
        round: Round,
    },
    /// The number of payloads the member holds changed.
    Holding {
        /// The round of the payloads.
        round: Round,
        /// Payloads held, its own included.
        held: u32,
        /// Members waited for.
        active: u32,
    },
    /// A cut is final.
    Agreed {
        /// The round of the cut.
        round: Round,
        /// The view in which it became final.
        view: View,
        /// Names of the members in the cut, in member order.
        included: Vec<String>,
        /// Name of the proposer.
        proposer: String,
        /// Members that were waited for and are not in the cut, with the reason as seen from here.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        missed: Vec<Missed>,
    },
    /// The member has waited for others for some seconds, or still does.
    Waiting {
        /// The round it is in.
        round: Round,
        /// What for: recall, updates, proposal, votes, block, payloads, roots or state.
        what: String,
        /// Names of the members whose message is missing.
        members: Vec<String>,
        /// Milliseconds until they are waited for no longer; absent if there is no such end.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ends_in_ms: Option<u64>,
        /// The same, for people.
        text: String,
    },
    /// The number of voting members that are connected fell below what decides, or reached it.
    Reach {
        /// Voting members that are connected, this one included.
        connected: u32,
        /// Voting members of the epoch.
        voters: u32,
        /// Votes that decide.
        quorum: u32,
        /// Names of the voting members that are not connected.
        missing: Vec<String>,
        /// The same, for people, with what the addresses of those members answered.
        text: String,
    },
    /// A member's seat is another than before.
    Seat {
        /// Its name.
        name: String,
        /// The seat now: voting, suspended, left or removed.
        seat: String,
        /// The first epoch with that seat.
        epoch: Epoch,
    },
    /// An amendment is open, or has one more consent.
    Amendment {
        /// Its identity.
        amendment: Digest,
        /// What it does.
        does: String,
        /// Consents so far.
        consents: u32,
        /// Consents needed.
        needed: u32,
    },
    /// A state is certified.
    Certified {
        /// The round of the state: 1 after round 0.
        round: Round,
        /// Its root, as this member computed it.
        root: Root,
        /// Members in the cut it was folded from.
        members_in_cut: u32,
        /// Bits per byte on the held-out text, where this member has evaluated the state already.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        bits_per_byte: Option<f64>,
        /// Tokens this member trained on in the round.
        tokens: u64,
        /// Bytes sent since the process started, over all planes.
        bytes_sent: u64,
        /// Bytes received since the process started, over all planes.
        bytes_received: u64,
        /// Bytes of this member's payload of the round; 0 where it made none.
        payload_bytes: u64,
        /// Bytes of the same update as plain `f32`.
        dense_bytes: u64,
        /// From the certificate of the state before to this one, in milliseconds.
        round_ms: u64,
    },
    /// A state was evaluated on the held-out text.
    Evaluated {
        /// The round of the state; 0 is the untrained one.
        round: Round,
        /// Bits per byte.
        bits_per_byte: f64,
    },
    /// Something went wrong and was dealt with.
    Incident {
        /// What sort of thing, in one word.
        kind: String,
        /// What happened, for people.
        text: String,
    },
    /// A message was refused.
    Refused {
        /// Name or key of the sender.
        from: String,
        /// Why.
        reason: String,
    },
    /// A member was admitted.
    Joined {
        /// Its name.
        name: String,
        /// The first epoch it belongs to.
        epoch: Epoch,
    },
    /// What the node found in its own folder when it started again.
    Recall {
        /// What it found, for people.
        text: String,
    },
    /// The plan's last state is certified. The node serves others until it is told to stop.
    Finished {
        /// The round of the state.
        round: Round,
        /// Its root.
        root: Root,
        /// Bits per byte on the held-out text.
        bits_per_byte: f64,
    },
    /// The node gives up. The process ends with a code other than 0.
    Error {
        /// Why, for people.
        text: String,
    },
    /// An event from a newer node.
    #[serde(other)]
    Unknown,
}

/// A member that a cut lacks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missed {
    /// Its name.
    pub name: String,
    /// Why, as seen from the member that tells.
    pub why: String,
}

/// An event with the time at which it was told, as it stands on a line.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    event: &'a Event,
    unix_ms: u64,
}

/// Where in the life of a round a member is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Fetches what it missed.
    #[default]
    Sync,
    /// Takes inner steps.
    Train,
    /// Encodes its update.
    Encode,
    /// Sends its header.
    Announce,
    /// Fetches and holds the others' payloads.
    Hold,
    /// Votes on the cut.
    Agree,
    /// Folds the cut into the next state.
    Fold,
    /// Collects the certificate of the next state.
    Certify,
    /// Has finished the run.
    Done,
    /// A phase of a newer node.
    #[serde(other)]
    Unknown,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Sync => "sync",
            Self::Train => "train",
            Self::Encode => "encode",
            Self::Announce => "announce",
            Self::Hold => "hold",
            Self::Agree => "agree",
            Self::Fold => "fold",
            Self::Certify => "certify",
            Self::Done => "done",
            Self::Unknown => "…",
        })
    }
}

impl Event {
    /// The line to print, without its line end: the event, and when it was told, in milliseconds
    /// since 1970.
    ///
    /// A number that is not finite becomes `null`: JSON has no word for it.
    pub fn line(&self, unix_ms: u64) -> String {
        let line = Line {
            event: self,
            unix_ms,
        };
        serde_json::to_string(&line).expect("an event holds only strings, numbers and lists")
    }

    /// Reads a line.
    ///
    /// # Errors
    /// Where the line is not JSON, or lacks a field its event has.
    pub fn parse(line: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(line)
    }

    /// The round a member is seen to work in by this event.
    pub fn working_in(&self) -> Option<Round> {
        match self {
            Self::Phase { round, .. } | Self::Progress { round, .. } => Some(*round),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_reads_back_from_its_line() {
        let root = Root([7; 32]);
        let events = [
            Event::Started {
                member: MemberId([1; 32]),
                name: "member-1".into(),
                run_id: RunId([2; 32]),
            },
            Event::Phase {
                round: Round(3),
                phase: Phase::Hold,
                step: None,
                steps: None,
            },
            Event::Progress {
                round: Round(3),
                step: 5,
                steps: 20,
                loss_nats: 2.5,
            },
            Event::Header { round: Round(3) },
            Event::Agreed {
                round: Round(3),
                view: View(1),
                included: vec!["member-1".into()],
                proposer: "member-2".into(),
                missed: vec![Missed {
                    name: "member-3".into(),
                    why: "still training".into(),
                }],
            },
            Event::Waiting {
                round: Round(3),
                what: "updates".into(),
                members: vec!["member-3".into()],
                ends_in_ms: Some(4_000),
                text: "waiting for the update of member-3; deadline in 4 s".into(),
            },
            Event::Seat {
                name: "member-4".into(),
                seat: "suspended".into(),
                epoch: Epoch(1),
            },
            Event::Joined {
                name: "member-5".into(),
                epoch: Epoch(1),
            },
            Event::Finished {
                round: Round(4),
                root,
                bits_per_byte: 3.25,
            },
        ];
        for event in events {
            assert_eq!(
                Event::parse(event.line(1_764_531_000_123).as_bytes()).unwrap(),
                event
            );
        }
    }

    #[test]
    fn the_line_is_tagged_and_absent_fields_are_left_out() {
        let event = Event::Phase {
            round: Round(3),
            phase: Phase::Train,
            step: Some(1),
            steps: None,
        };
        assert_eq!(
            event.line(1_764_531_000_123),
            r#"{"event":"phase","round":3,"phase":"train","step":1,"unix_ms":1764531000123}"#
        );
    }

    #[test]
    fn a_newer_node_may_say_more() {
        let table = [
            (r#"{"event":"telepathy","round":3}"#, Event::Unknown),
            (
                r#"{"event":"header","round":3,"mood":"good"}"#,
                Event::Header { round: Round(3) },
            ),
            (
                r#"{"event":"phase","round":3,"phase":"dream"}"#,
                Event::Phase {
                    round: Round(3),
                    phase: Phase::Unknown,
                    step: None,
                    steps: None,
                },
            ),
        ];
        for (line, event) in table {
            assert_eq!(Event::parse(line.as_bytes()).unwrap(), event, "{line}");
        }
    }

    #[test]
    fn what_is_no_event_is_refused() {
        for line in [
            "",
            "hello",
            "{}",
            r#"{"event":"header"}"#,
            r#"{"event":"header","round":-1}"#,
        ] {
            assert!(Event::parse(line.as_bytes()).is_err(), "{line}");
        }
    }
}
