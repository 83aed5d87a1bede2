//! What must hold of every run, checked from the outside: from what members said and sent.

use archipel_protocol::{
    ids::{MemberId, Root, Round},
    member::Event,
    message::{Message, VoteKind},
};
use std::collections::{BTreeMap, BTreeSet};

/// Collects what was seen, and what must not have been.
#[derive(Clone, Debug, Default)]
pub struct Checks {
    roots: BTreeMap<Round, Root>,
    cuts: BTreeMap<Round, Vec<MemberId>>,
    signed: BTreeMap<(MemberId, String), String>,
    /// What was violated, in words.
    pub violations: Vec<String>,
    /// Members that are meant to lie; nothing they sign is checked.
    pub liars: BTreeSet<MemberId>,
}

impl Checks {
    fn violated(&mut self, text: String) {
        self.violations.push(text);
    }

    /// Notes an event of a member.
    pub fn event(&mut self, member: usize, event: &Event) {
        match event {
            // S1: no two members certify different roots for one round.
            Event::Certified { round, root, .. } => {
                let first = *self.roots.entry(*round).or_insert(*root);
                if first != *root {
                    self.violated(format!("S1: {member} certified {root}, others {first}"));
                }
            }
            // S2, S5: one cut a round, each member in it once.
            Event::Agreed {
                round, included, ..
            } => {
                let mut once = included.clone();
                once.sort();
                once.dedup();
                if once.len() != included.len() {
                    self.violated(format!("S5: round {round} counts a member twice"));
                }
                let first = self.cuts.entry(*round).or_insert_with(|| included.clone());
                if first != included {
                    self.violated(format!("S2: round {round} was decided twice"));
                }
            }
            _ => {}
        }
    }

    /// Notes a message that left a member: S9, an honest member never contradicts itself.
    pub fn sent(&mut self, member: MemberId, message: &Message) {
        if self.liars.contains(&member) {
            return;
        }
        let statement = match message {
            Message::Header(signed) if signed.header.member == member => Some((
                format!("header {}", signed.header.round),
                format!("{:?}", signed.header),
            )),
            Message::Root(vote) if vote.member == member => Some((
                format!("root {} attempt {}", vote.round, vote.attempt),
                vote.root.to_string(),
            )),
            Message::Vote(vote) if vote.member == member => {
                let ballot = &vote.ballot;
                let place = format!("round {} view {}", ballot.round, ballot.view);
                Some(match ballot.kind {
                    VoteKind::Notarize => (format!("notarize {place}"), ballot.digest.to_string()),
                    kind => (format!("last vote {place}"), format!("{kind:?}")),
                })
            }
            _ => None,
        };
        let Some((place, content)) = statement else {
            return;
        };
        let first = self
            .signed
            .entry((member, place.clone()))
            .or_insert_with(|| content.clone())
            .clone();
        if first != content {
            self.violated(format!("S9: {member:?} contradicts itself: {place}"));
        }
    }

    /// The root that was certified for a round.
    pub fn root(&self, round: Round) -> Option<Root> {
        self.roots.get(&round).copied()
    }

    /// Members of the cut of a round.
    pub fn cut(&self, round: Round) -> Option<&[MemberId]> {
        self.cuts.get(&round).map(Vec::as_slice)
    }

    /// The highest certified round.
    pub fn highest(&self) -> Option<Round> {
        self.roots.keys().next_back().copied()
    }
}
