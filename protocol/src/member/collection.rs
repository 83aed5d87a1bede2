//! The updates of one round as this member knows them: announced, fetched, held, and by whom.

use crate::{
    ids::{BlobHash, Digest, MemberId, Timestamp},
    message::{Holds, SignedHeader},
};
use std::collections::{BTreeMap, BTreeSet};

/// Headers of one member that are kept: a second one is evidence, a third one adds nothing.
pub const MAX_HEADERS_A_MEMBER: usize = 2;

/// How far this member is with a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload {
    /// A fetch is under way.
    Fetching,
    /// Fetched, checked and durable.
    Held,
    /// Can never be held: its bytes are not valid.
    Invalid,
}

/// One announced update.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The header.
    pub header: SignedHeader,
    /// Its identity.
    pub id: Digest,
    /// The payload here.
    pub payload: Payload,
    /// When a quorum was known to hold it.
    pub quorum_at: Option<Timestamp>,
}

/// True where holds name an update: their list ascends.
fn names(holds: &Holds, id: &Digest) -> bool {
    holds.headers.binary_search(id).is_ok()
}

/// All updates of one round.
#[derive(Clone, Debug, Default)]
pub struct Collection {
    entries: BTreeMap<Digest, Entry>,
    /// Identities of each member's headers, ascending.
    by_member: BTreeMap<MemberId, Vec<Digest>>,
    /// Who holds what, in the order of identities; of each, whoever said so first comes first.
    holders: Vec<(Digest, Vec<MemberId>)>,
    holds: BTreeMap<MemberId, Vec<Holds>>,
    /// How many identities each member names in its holds.
    named: BTreeMap<MemberId, usize>,
    announced: BTreeSet<Digest>,
    /// Held here, and not said to be.
    unannounced: Vec<Digest>,
    /// Members with a payload here, and members that announced two.
    settled_members: BTreeSet<MemberId>,
    /// Entries whose payload is here.
    held: usize,
    /// Counts everything that a judgement of a block may depend on.
    version: u64,
    /// True where a quorum may have come about since it was last looked for.
    may_have_quorums: bool,
}

impl Collection {
    /// Changes with everything that a judgement of a block may depend on.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The number of updates whose payload is here.
    pub fn held(&self) -> usize {
        self.held
    }

    /// True where each of these members has a payload here, or announced two updates.
    pub fn settles(&self, members: &[MemberId]) -> bool {
        let mut wanted = members.iter();
        self.settled_members.len() >= members.len()
            && wanted.all(|member| self.settled_members.contains(member))
    }

    /// All entries, by identity.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// The entry of a header.
    pub fn entry(&self, id: &Digest) -> Option<&Entry> {
        self.entries.get(id)
    }

    /// The entries of one member.
    pub fn of(&self, member: &MemberId) -> impl Iterator<Item = &Entry> {
        let ids = self.by_member.get(member).map_or(&[][..], Vec::as_slice);
        ids.iter().filter_map(|id| self.entries.get(id))
    }

    /// True where a further header of this member would not be kept.
    pub fn is_full(&self, member: &MemberId) -> bool {
        let ids = self.by_member.get(member);
        ids.is_some_and(|ids| ids.len() >= MAX_HEADERS_A_MEMBER)
    }

    /// Keeps a header that was checked.
    pub fn insert(&mut self, id: Digest, header: SignedHeader, payload: Payload) {
        if self.entries.contains_key(&id) {
            return;
        }
        let member = header.header.member;
        let ids = self.by_member.entry(member).or_default();
        ids.push(id);
        ids.sort();
        if ids.len() > 1 {
            self.settled_members.insert(member);
        }
        self.version += 1;
        self.may_have_quorums = true;
        let entry = Entry {
            header,
            id,
            payload,
            quorum_at: None,
        };
        self.entries.insert(id, entry);
        if payload == Payload::Held {
            self.count_held(id, member);
        }
    }

    fn count_held(&mut self, id: Digest, member: MemberId) {
        self.held += 1;
        self.settled_members.insert(member);
        if !self.announced.contains(&id) {
            self.unannounced.push(id);
        }
    }

    /// Two headers of one member, if there are.
    pub fn equivocation(&self, member: &MemberId) -> Option<(&SignedHeader, &SignedHeader)> {
        let mut headers = self.of(member).map(|entry| &entry.header);
        Some((headers.next()?, headers.next()?))
    }

    /// What became of a payload. One that is held stays held.
    pub fn set_payload(&mut self, payload: &BlobHash, to: Payload) {
        let concerned = |e: &&mut Entry| {
            e.header.header.payload == *payload && e.payload != to && e.payload != Payload::Held
        };
        let mut held = Vec::new();
        for entry in self.entries.values_mut().filter(concerned) {
            entry.payload = to;
            held.push((entry.id, entry.header.header.member));
        }
        self.version += 1;
        if to == Payload::Held {
            held.into_iter()
                .for_each(|(id, member)| self.count_held(id, member));
        }
    }

    /// Keeps a checked hold message in place of those that it repeats; `limit` bounds the number
    /// of identities that one member names. True where it says something new.
    pub fn hold(&mut self, holds: Holds, limit: usize) -> bool {
        let member = holds.member;
        let kept = self.holds.entry(member).or_default();
        let repeats = |earlier: &Holds| earlier.headers.iter().all(|id| names(&holds, id));
        let is_new = |id: &&Digest| !kept.iter().any(|earlier| names(earlier, id));
        let fresh = holds.headers.iter().filter(is_new).count();
        let named = self.named.entry(member).or_default();
        if *named + fresh > limit {
            return false;
        }
        *named += fresh;
        let mut at = 0;
        for id in &holds.headers {
            // Identities ascend in a message and here: mostly, the next is right behind the last.
            if self.holders.get(at).is_none_or(|(known, _)| known != id) {
                at = match self.holders.binary_search_by(|(known, _)| known.cmp(id)) {
                    Ok(found) => found,
                    Err(free) => {
                        self.holders.insert(free, (*id, Vec::new()));
                        free
                    }
                };
            }
            if !kept.iter().any(|earlier| names(earlier, id)) {
                self.holders[at].1.push(member);
            }
            at += 1;
        }
        let news = fresh > 0;
        self.may_have_quorums |= news;
        let before = kept.len();
        kept.retain(|earlier| !repeats(earlier));
        if news || kept.len() < before {
            kept.push(holds);
        }
        news
    }

    /// Marks entries that a quorum holds since `now`.
    pub fn note_quorums(&mut self, quorum: usize, now: Timestamp) {
        if !std::mem::take(&mut self.may_have_quorums) {
            return;
        }
        for (id, _) in self.holders.iter().filter(|(_, by)| by.len() >= quorum) {
            let entry = self.entries.get_mut(id);
            if let Some(entry) = entry.filter(|entry| entry.quorum_at.is_none()) {
                entry.quorum_at = Some(now);
                self.version += 1;
            }
        }
    }

    /// Members that said they hold an update.
    pub fn holders(&self, id: &Digest) -> impl Iterator<Item = &MemberId> {
        let found = self.holders.binary_search_by(|(known, _)| known.cmp(id));
        let by = found.map_or(&[][..], |at| &self.holders[at].1);
        by.iter()
    }

    /// True where the payload is here, or a quorum has it.
    pub fn is_available(&self, id: &Digest) -> bool {
        self.entries
            .get(id)
            .is_some_and(|entry| entry.payload == Payload::Held || entry.quorum_at.is_some())
    }

    /// Payloads held here that this member has not said so of; they count as said from now on.
    pub fn take_unannounced(&mut self) -> Vec<Digest> {
        let mut fresh = std::mem::take(&mut self.unannounced);
        fresh.sort();
        self.announced.extend(&fresh);
        fresh
    }

    /// True where [`Self::take_unannounced`] would give something.
    pub fn has_unannounced(&self) -> bool {
        !self.unannounced.is_empty()
    }

    /// The signed holds of one member.
    pub fn signed_holds(&self, member: &MemberId) -> &[Holds] {
        self.holds.get(member).map_or(&[], Vec::as_slice)
    }

    /// All signed holds.
    pub fn all_holds(&self) -> impl Iterator<Item = &Holds> {
        self.holds.values().flatten()
    }
}
