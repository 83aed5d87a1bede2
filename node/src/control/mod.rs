//! How an operator talks to a running node: a Unix socket in its folder, one JSON line a request
//! and one an answer.
//!
//! Whoever may open the socket may do everything the operator may: it is open to its owner alone.

mod client;
mod server;
pub mod status;

pub use client::{ControlError, ask};
pub use server::serve;
pub use status::{MemberLine, STATUS_FILE, Status};

use archipel_protocol::{
    charter::is_name,
    ids::{Digest, MemberId},
    ledger::{Act, Status as SeatStatus},
    member::{Member, Request as Wish},
};
use libp2p::Multiaddr;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

/// The socket's name in a member's folder.
pub const SOCKET: &str = "control.sock";
/// The longest request or answer, in bytes.
const MAX_LINE_BYTES: u64 = 1 << 20;

/// What an operator wants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// What the node is doing.
    Status,
    /// Leave the federation.
    Leave,
    /// Return to it.
    Return,
    /// Propose an amendment, and consent to it.
    Propose(Proposal),
    /// Consent to an amendment.
    Vote(Digest),
    /// The open amendments.
    Amendments,
}

/// A change of membership to propose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Proposal {
    /// Admit a member.
    Admit {
        /// Its key.
        id: MemberId,
        /// Its name.
        name: String,
        /// Where it can be reached.
        addresses: Vec<Multiaddr>,
    },
    /// Remove a member, by its name.
    Remove(String),
    /// Suspend a member, by its name.
    Suspend(String),
}

/// What a node answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// What it is doing.
    Status(Box<Status>),
    /// It will do it; a block must carry it.
    Asked,
    /// The amendment proposed.
    Proposed(Digest),
    /// The open amendments.
    Amendments(Vec<Open>),
    /// It will not, and why.
    Error(String),
}

/// An open amendment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Open {
    /// Its identity.
    pub amendment: Digest,
    /// What it does, for people.
    pub does: String,
    /// Consents so far.
    pub consents: usize,
    /// Consents needed.
    pub needed: usize,
}

/// A request on its way to the node's loop.
pub struct Call {
    /// What is wanted.
    pub request: Request,
    /// Where the answer goes.
    pub reply: oneshot::Sender<Answer>,
}

impl Proposal {
    /// The addresses that come with it.
    pub fn addresses(&self) -> Vec<(MemberId, Multiaddr)> {
        match self {
            Self::Admit { id, addresses, .. } => {
                addresses.iter().map(|a| (*id, a.clone())).collect()
            }
            Self::Remove(_) | Self::Suspend(_) => Vec::new(),
        }
    }

    fn act(&self, member: &Member) -> Result<Act, String> {
        let named = |name: &String| {
            let seats = member.membership().seats();
            let seat = seats.iter().find(|seat| seat.name == *name);
            seat.map(|seat| seat.id).ok_or_else(|| {
                let names: Vec<&str> = seats.iter().map(|seat| seat.name.as_str()).collect();
                format!(
                    "expected a member's name, found {name:?}: there are {}",
                    names.join(", ")
                )
            })
        };
        Ok(match self {
            Self::Admit { id, name, .. } if is_name(name) => Act::Admit {
                id: *id,
                name: name.clone(),
            },
            Self::Admit { name, .. } => {
                return Err(format!(
                    "expected a name of 1 to 64 characters of a-z 0-9 -, found {name:?}"
                ));
            }
            Self::Remove(name) => Act::Remove { id: named(name)? },
            Self::Suspend(name) => Act::Suspend { id: named(name)? },
        })
    }
}

impl Request {
    /// What the member is asked for, or why it is not.
    ///
    /// # Errors
    /// A name or an amendment that is not known, or a member that has no vote.
    pub fn wish(&self, me: &MemberId, member: &Member) -> Result<Wish, String> {
        let wish = match self {
            Self::Leave => seated((me, member), SeatStatus::Voting).map(|()| Wish::Leave)?,
            Self::Return => seated((me, member), SeatStatus::Left).map(|()| Wish::Return)?,
            Self::Propose(proposal) => Wish::Propose(proposal.act(member)?),
            Self::Vote(digest) => {
                let open = member.amendments();
                if !open.iter().any(|(known, ..)| known == digest) {
                    return Err(format!(
                        "amendment {digest} is not open here: see `archipel charter amendments`"
                    ));
                }
                Wish::Consent(*digest)
            }
            Self::Status | Self::Amendments => {
                return Err("this is answered without the member".to_owned());
            }
        };
        Ok(wish)
    }

    /// What came of a wish that the member was told.
    pub fn outcome(&self, member: &Member) -> Answer {
        let Self::Propose(proposal) = self else {
            return Answer::Asked;
        };
        let wanted = proposal.act(member);
        let open = member.amendments().into_iter();
        let found = open.rev().find(|(_, act, ..)| wanted.as_ref() == Ok(act));
        match found {
            Some((digest, ..)) => Answer::Proposed(digest),
            None => Answer::Error(
                "the amendment was refused: the node's log says why (a member that has no vote \
                 cannot propose, and four proposals may be open at once)"
                    .to_owned(),
            ),
        }
    }
}

impl Answer {
    /// The amendments that a member knows to be open.
    pub fn amendments(member: &Member) -> Self {
        let open = member.amendments().into_iter();
        let name = |id: &MemberId| {
            let seat = member.membership().seat(id);
            seat.map_or_else(|| id.to_string(), |seat| seat.name.clone())
        };
        Self::Amendments(
            open.map(|(amendment, act, consents, needed)| Open {
                amendment,
                does: describe(&act, &name),
                consents,
                needed,
            })
            .collect(),
        )
    }
}

/// Whether this member's seat is what its wish needs.
fn seated((me, member): (&MemberId, &Member), expected: SeatStatus) -> Result<(), String> {
    let membership = member.membership();
    let found = membership.seat(me).map(|seat| seat.status);
    if found == Some(expected) {
        return Ok(());
    }
    let shown = |status: SeatStatus| format!("{status:?}").to_lowercase();
    Err(format!(
        "expected a seat that is {}, found {} in epoch {}: a change takes effect with the round \
         after the block that carries it; `archipel status` shows the seats",
        shown(expected),
        found.map_or("none".to_owned(), shown),
        membership.epoch()
    ))
}

/// What an amendment does, for people; `name` has the name of a member.
pub fn describe(act: &Act, name: &dyn Fn(&MemberId) -> String) -> String {
    match act {
        Act::Admit { id, name } => format!("admit {name} ({id})"),
        Act::Remove { id } => format!("remove {}", name(id)),
        Act::Suspend { id } => format!("suspend {}", name(id)),
    }
}
