//! S9: nobody honest contradicts itself, or says what is not durable yet.
//!
//! What an honest member signs and sends has a *place*: the header of a round, the first vote of a
//! view, the last vote of a view (nullify or finalize), the root of a round and attempt, the
//! proposal of a view. Two different statements in one place exclude each other, in whichever life
//! of the member they were made: crashes, torn writes and upgrades excuse nothing. A header, vote,
//! root or proposal leaves only after the write-ahead log has it.
//!
//! **Where the disk lost what it had acknowledged** (a lost fsync, a folder restored from a backup)
//! the member cannot know its own past. It asks at its start, and must respect what it is told: a
//! statement counts against it again once one of the answers it waits for contained it. So a
//! contradiction is a violation exactly if the forgotten statement was in an answer to the question
//! of that very start, one of the first f + 1 of distinct voters, handed over before it went on.
//! Answers that come later may be passed over by the protocol, and are passed over here. While its
//! disk loses what it acknowledges, whether a statement was durable before it left is not judged.
//!
//! Statements more than 16 rounds old are forgotten: no honest member answers for rounds so old.

use super::{
    Invariant,
    interest::{Interest, kind},
    name::{Blame, Name},
    scene::{House, Scene},
    slots::Slots,
};
use crate::seen::Seen;
use archipel_protocol::{
    ids::Round,
    member::{Durable, Event},
    message::{Ask, Message, Proposal, Recalled, RootVote, SignedHeader, Vote, VoteKind},
};

/// Rounds whose statements are kept.
const KEPT_ROUNDS: u64 = 16;

/// What a statement is about; two in one place exclude each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Header,
    FirstVote(u32),
    LastVote(u32),
    Root(u32),
    Proposal(u32),
}

/// A statement: what it is about, and what tells it from others in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Statement {
    round: Round,
    place: Place,
    print: u64,
}

/// What became of one.
#[derive(Clone, Copy, Debug)]
struct Known {
    statement: Statement,
    durable: bool,
    sent: bool,
    /// The disk may have lost it, and nobody has reminded its author.
    lost: bool,
}

/// What one member said.
#[derive(Clone, Debug, Default)]
struct Author {
    known: Vec<Known>,
    newest: Round,
    /// The question of its present start, until it goes on.
    asked: Option<Round>,
    answered: Slots,
}

fn head(bytes: &[u8]) -> u64 {
    let mut head = [0; 8];
    head.copy_from_slice(&bytes[..8]);
    u64::from_le_bytes(head)
}

impl Statement {
    fn header(signed: &SignedHeader) -> Self {
        Self {
            round: signed.header.round,
            place: Place::Header,
            print: head(&signed.signature.0),
        }
    }

    fn vote(vote: &Vote) -> Self {
        let ballot = &vote.ballot;
        let (place, print) = match ballot.kind {
            VoteKind::Notarize => (Place::FirstVote(ballot.view.0), head(&ballot.digest.0)),
            VoteKind::Finalize => (Place::LastVote(ballot.view.0), head(&ballot.digest.0)),
            VoteKind::Nullify => (Place::LastVote(ballot.view.0), 0),
        };
        Self {
            round: ballot.round,
            place,
            print,
        }
    }

    fn root(vote: &RootVote) -> Self {
        Self {
            round: vote.round,
            place: Place::Root(vote.attempt),
            print: head(&vote.root.0),
        }
    }

    fn proposal(proposal: &Proposal) -> Self {
        Self {
            round: proposal.block.round,
            place: Place::Proposal(proposal.view.0),
            print: head(&proposal.signature.0),
        }
    }

    /// What a message of this member states itself; nothing where it passes on another's words.
    fn of(scene: &Scene<'_>, message: &Message) -> Option<Self> {
        let (member, statement) = match message {
            Message::Header(signed) => (signed.header.member, Self::header(signed)),
            Message::Vote(vote) => (vote.member, Self::vote(vote)),
            Message::Root(vote) => (vote.member, Self::root(vote)),
            Message::Proposal(proposal) => (proposal.member, Self::proposal(proposal)),
            _ => return None,
        };
        (member == scene.key()).then_some(statement)
    }

    fn of_entry(entry: &Durable) -> Option<Self> {
        match entry {
            Durable::Header { header, .. } => Some(Self::header(header)),
            Durable::Vote(vote) => Some(Self::vote(vote)),
            Durable::Root(vote) => Some(Self::root(vote)),
            Durable::Proposal(proposal) => Some(Self::proposal(proposal)),
            _ => None,
        }
    }

    fn text(&self) -> String {
        let round = self.round;
        match self.place {
            Place::Header => format!("the header of round {round}"),
            Place::FirstVote(view) => format!("the vote to notarize in view {view} of {round}"),
            Place::LastVote(view) => format!("the last vote in view {view} of round {round}"),
            Place::Root(attempt) => format!("the root of round {round}, attempt {attempt}"),
            Place::Proposal(view) => format!("the proposal of view {view} of round {round}"),
        }
    }
}

impl Author {
    fn entry(&mut self, statement: Statement) -> &mut Known {
        if statement.round > self.newest {
            self.newest = statement.round;
            let oldest = self.newest.0.saturating_sub(KEPT_ROUNDS);
            self.known.retain(|known| known.statement.round.0 >= oldest);
        }
        let at = self
            .known
            .iter()
            .rposition(|known| known.statement == statement);
        let at = at.unwrap_or_else(|| {
            self.known.push(Known {
                statement,
                durable: false,
                sent: false,
                lost: false,
            });
            self.known.len() - 1
        });
        &mut self.known[at]
    }

    fn say(&mut self, scene: Scene<'_>, statement: Statement, blame: &mut Blame) {
        let known = self.entry(statement);
        let (first, durable) = (!known.sent, known.durable);
        (known.sent, known.lost) = (true, false);
        if !first {
            return;
        }
        let round = statement.round;
        if !durable && !scene.facts.members[scene.slot].losing {
            let text = format!("sends {} before it is durable", statement.text());
            blame.fire(Name::S9, &scene, round, text);
        }
        let excluded = |known: &Known| {
            known.sent
                && !known.lost
                && (known.statement.round, known.statement.place) == (round, statement.place)
                && known.statement.print != statement.print
        };
        if self.known.iter().any(excluded) {
            let text = format!("contradicts itself: {} is a second one", statement.text());
            blame.fire(Name::S9, &scene, round, text);
        }
    }

    fn start(&mut self, forgot: bool) {
        self.asked = None;
        self.answered = Slots::default();
        if forgot {
            self.forget();
        }
    }

    fn forget(&mut self) {
        for known in &mut self.known {
            known.lost = true;
        }
    }

    fn remind(&mut self, scene: Scene<'_>, from: usize, answer: &Recalled) {
        let electorate = scene.facts.electorate(answer.since);
        let heard = self.asked == Some(answer.since)
            && electorate.voters.contains(from)
            && self.answered.len() < electorate.recall;
        if !heard {
            return;
        }
        self.answered.insert(from);
        let me = scene.key();
        let headers = answer
            .headers
            .iter()
            .filter(|signed| signed.header.member == me);
        let votes = answer.votes.iter().filter(|vote| vote.member == me);
        let roots = answer.roots.iter().filter(|vote| vote.member == me);
        let told = headers
            .map(Statement::header)
            .chain(votes.map(Statement::vote));
        for statement in told.chain(roots.map(Statement::root)) {
            for known in self
                .known
                .iter_mut()
                .filter(|known| known.statement == statement)
            {
                known.lost = false;
            }
        }
    }
}

/// What the members of one federation said.
#[derive(Debug)]
pub(super) struct Words {
    authors: Vec<Author>,
}

impl Words {
    /// Before anybody spoke.
    pub fn new(house: &House) -> Self {
        Self {
            authors: vec![Author::default(); house.given.members.len()],
        }
    }
}

impl Invariant for Words {
    fn interest(&self) -> Interest {
        let sent = [
            kind::HEADER,
            kind::PROPOSAL,
            kind::VOTE,
            kind::ROOT,
            kind::ASK,
        ];
        let sent = sent.map(Interest::sent).into_iter();
        let others = [
            Interest::delivered(kind::RECALLED),
            Interest::PERSISTED,
            Interest::TOLD,
            Interest::STARTED,
            Interest::ROLLED_BACK,
        ];
        sent.chain(others).fold(Interest::TOLD, Interest::or)
    }

    fn see(&mut self, scene: Scene<'_>, seen: &Seen<'_>, blame: &mut Blame) {
        if !scene.honest {
            return;
        }
        let author = &mut self.authors[scene.slot];
        match seen {
            Seen::Sent { parcel, .. } => match &*parcel.message {
                Message::Ask(Ask::Recall(since)) => author.asked = Some(*since),
                message => {
                    if let Some(statement) = Statement::of(&scene, message) {
                        author.say(scene, statement, blame);
                    }
                }
            },
            Seen::Persisted(entry) => {
                if let Some(statement) = Statement::of_entry(entry) {
                    author.entry(statement).durable = true;
                }
            }
            Seen::Delivered { parcel } => {
                if let Message::Recalled(answer) = &*parcel.message
                    && let Some(from) = scene.house.slot_of(&parcel.author)
                {
                    author.remind(scene, from, answer);
                }
            }
            Seen::Told(Event::Signing { .. }) => author.asked = None,
            Seen::Started { .. } => author.start(scene.facts.members[scene.slot].losing),
            Seen::RolledBack => author.forget(),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_of_old_rounds_are_forgotten() {
        let mut author = Author::default();
        for round in 0..1000 {
            let place = Place::Header;
            let (round, print) = (Round(round), 1);
            author
                .entry(Statement {
                    round,
                    place,
                    print,
                })
                .durable = true;
        }
        assert!(
            author.known.len() as u64 <= KEPT_ROUNDS + 1,
            "{}",
            author.known.len()
        );
    }
}
