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

/// All updates of one round.
#[derive(Clone, Debug, Default)]
pub struct Collection {
    entries: BTreeMap<Digest, Entry>,
    holders: BTreeMap<Digest, BTreeSet<MemberId>>,
    holds: BTreeMap<MemberId, Vec<Holds>>,
    announced: BTreeSet<Digest>,
}

impl Collection {
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
        self.entries
            .values()
            .filter(move |entry| entry.header.header.member == *member)
    }

    /// True where a further header of this member would not be kept.
    pub fn is_full(&self, member: &MemberId) -> bool {
        self.of(member).count() >= MAX_HEADERS_A_MEMBER
    }

    /// Keeps a header that was checked.
    pub fn insert(&mut self, id: Digest, header: SignedHeader, payload: Payload) {
        let entry = Entry {
            header,
            id,
            payload,
            quorum_at: None,
        };
        self.entries.entry(id).or_insert(entry);
    }

    /// Two headers of one member, if there are.
    pub fn equivocation(&self, member: &MemberId) -> Option<(&SignedHeader, &SignedHeader)> {
        let mut headers = self.of(member).map(|entry| &entry.header);
        Some((headers.next()?, headers.next()?))
    }

    /// What became of a payload; the entries it belongs to.
    pub fn set_payload(&mut self, payload: &BlobHash, to: Payload) -> Vec<Digest> {
        let of_payload = |e: &&mut Entry| e.header.header.payload == *payload;
        let entries = self.entries.values_mut().filter(of_payload);
        entries
            .map(|entry| {
                entry.payload = to;
                entry.id
            })
            .collect()
    }

    /// Keeps a checked hold message; `limit` bounds the identities kept of one member.
    /// True where it says something new.
    pub fn hold(&mut self, holds: Holds, limit: usize) -> bool {
        let member = holds.member;
        let kept = self.holds.entry(member).or_default();
        let known: usize = kept.iter().map(|h| h.headers.len()).sum();
        if known + holds.headers.len() > limit || kept.contains(&holds) {
            return false;
        }
        let mut news = false;
        for id in &holds.headers {
            news |= self.holders.entry(*id).or_default().insert(member);
        }
        if news {
            kept.push(holds);
        }
        news
    }

    /// Marks entries that a quorum holds since `now`.
    pub fn note_quorums(&mut self, quorum: usize, now: Timestamp) {
        for entry in self.entries.values_mut() {
            let holders = self.holders.get(&entry.id).map_or(0, BTreeSet::len);
            if entry.quorum_at.is_none() && holders >= quorum {
                entry.quorum_at = Some(now);
            }
        }
    }

    /// Members that said they hold an update.
    pub fn holders(&self, id: &Digest) -> impl Iterator<Item = &MemberId> {
        self.holders.get(id).into_iter().flatten()
    }

    /// True where the payload is here, or a quorum has it.
    pub fn is_available(&self, id: &Digest) -> bool {
        self.entries
            .get(id)
            .is_some_and(|entry| entry.payload == Payload::Held || entry.quorum_at.is_some())
    }

    /// True where a payload of this member is here.
    pub fn holds_of(&self, member: &MemberId) -> bool {
        self.of(member).any(|entry| entry.payload == Payload::Held)
    }

    /// Payloads held here that this member has not said so of; they count as said from now on.
    pub fn take_unannounced(&mut self) -> Vec<Digest> {
        let held = self
            .entries
            .values()
            .filter(|e| e.payload == Payload::Held)
            .map(|e| e.id);
        let fresh: Vec<Digest> = held.filter(|id| !self.announced.contains(id)).collect();
        self.announced.extend(&fresh);
        fresh
    }

    /// True where [`Self::take_unannounced`] would give something.
    pub fn has_unannounced(&self) -> bool {
        let mut held = self.entries.values().filter(|e| e.payload == Payload::Held);
        held.any(|entry| !self.announced.contains(&entry.id))
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
