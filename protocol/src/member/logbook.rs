//! Writes the records: four a final round in the main log, everything else in the side log.

use super::{Event, Folded, Member, Output, collection::Payload, work::Work};
use crate::{
    encoding::Canonical,
    ids::{BlobHash, Digest, MemberId, Root, Round},
    message::{FinalBlock, StateCertificate},
    record::{
        AbsentReason, Body, Chain, CommitBody, Done, IntakeBody, IntakeEntry, Log, UpdateBody,
        Verdict, WorkBody,
    },
    suspicion::Sight,
};
use std::collections::BTreeMap;

/// The most characters of an incident's text that are recorded.
const MAX_INCIDENT_BYTES: usize = 1024;

/// Where this member's two logs stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Logbook {
    /// Four records a round.
    pub main: Chain,
    /// Everything else.
    pub side: Chain,
}

impl Logbook {
    /// The first round without all four records, once the log has begun.
    fn through(&self) -> Option<Round> {
        self.main
            .first_round
            .map(|first| Round(first.0 + self.main.next / 4))
    }
}

/// One hash over a list of tensor hashes, zero for none.
fn tensors_digest(hashes: &[BlobHash]) -> Digest {
    if hashes.is_empty() {
        return Digest::default();
    }
    let mut out = Canonical::new("archipel/tensors/v1");
    out.u32(hashes.len() as u32);
    for hash in hashes {
        out.raw(&hash.0);
    }
    out.digest()
}

impl Member {
    fn append(&mut self, log: Log, round: Round, body: &Body) {
        let unix_ms = self.unix_ms();
        let owner = (&self.settings.run_id, &self.me);
        let chain = match log {
            Log::Main => &mut self.logbook.main,
            Log::Side => &mut self.logbook.side,
        };
        let bytes = chain.append(owner, round, unix_ms, body);
        self.outputs.push_back(Output::Record { log, round, bytes });
    }

    /// Records something beside the rounds.
    pub(super) fn record_side(&mut self, body: &Body) {
        let round = self.round().unwrap_or_default();
        self.append(Log::Side, round, body);
    }

    /// Tells the operator of an incident, and records it.
    pub(super) fn incident(&mut self, kind: &'static str, text: String) {
        let end = text.floor_char_boundary(MAX_INCIDENT_BYTES);
        let body = Body::Incident {
            kind: kind.to_owned(),
            text: text[..end].to_owned(),
        };
        self.record_side(&body);
        self.event(Event::Incident { kind, text });
    }

    /// Records the first state this member ever held.
    pub(super) fn record_genesis(&mut self, root: Root) {
        if self.logbook.side.next == 0 {
            let software = concat!("archipel ", env!("CARGO_PKG_VERSION")).to_owned();
            self.record_side(&Body::Genesis { software, root });
        }
    }

    /// Fills the rounds before `round` in which this member did nothing that can be recorded.
    pub(super) fn record_absences(&mut self, round: Round, reason: AbsentReason) {
        let Some(mut next) = self.logbook.through() else {
            return;
        };
        // A crash between two of the four records of a round: the rest of them is absent.
        for kind in (self.logbook.main.next % 4) as usize..4 {
            if next >= round || self.logbook.main.next.is_multiple_of(4) {
                break;
            }
            self.append(Log::Main, next, &absent(kind, AbsentReason::Down));
        }
        next = self.logbook.through().expect("the log has begun");
        while next < round {
            (0..4).for_each(|kind| self.append(Log::Main, next, &absent(kind, reason)));
            next = next.next();
        }
    }

    /// Writes the four records of a round that this member closed itself.
    pub(super) fn record_round(
        &mut self,
        work: &Work,
        folded: &Folded,
        certificate: &StateCertificate,
    ) {
        self.record_absences(work.round, AbsentReason::Down);
        let Some(block) = &work.final_block else {
            return;
        };
        let (work_body, update) = self.own_bodies(work);
        let intake = Body::Intake(Done::Yes(self.intake(work, block, folded)));
        let commit = self.commit(work, block, folded, certificate);
        for body in [work_body, update, intake, commit] {
            self.append(Log::Main, work.round, &body);
        }
    }

    fn own_bodies(&self, work: &Work) -> (Body, Body) {
        let Some((signed, flop)) = self.own.headers.get(&work.round) else {
            let reason = match work.voters.contains(&self.me) {
                true => AbsentReason::Late,
                false => AbsentReason::Suspended,
            };
            return (
                Body::Work(Done::Absent(reason)),
                Body::Update(Done::Absent(reason)),
            );
        };
        let (header, flop) = (signed.header.clone(), *flop);
        let work = WorkBody {
            header: header.clone(),
            flop,
            device: self.settings.device.clone(),
            software: self.settings.software,
        };
        let id = header.id(&self.settings.run_id);
        let update = UpdateBody {
            id,
            header,
            signature: signed.signature,
        };
        (
            Body::Work(Done::Yes(work)),
            Body::Update(Done::Yes(Box::new(update))),
        )
    }

    fn intake(&self, work: &Work, block: &FinalBlock, folded: &Folded) -> IntakeBody {
        let sights: BTreeMap<MemberId, Sight> = block
            .block
            .cut
            .iter()
            .map(|signed| signed.header.member)
            .zip(folded.sights.iter().copied())
            .collect();
        let mut entries: Vec<IntakeEntry> = work
            .collection
            .entries()
            .map(|entry| {
                let member = entry.header.header.member;
                let in_cut = block.block.cut.contains(&entry.header);
                let verdict = match entry.payload {
                    _ if in_cut => Verdict::Accepted,
                    _ if work.collection.equivocation(&member).is_some() => Verdict::Equivocated,
                    Payload::Held => Verdict::Accepted,
                    Payload::Fetching => Verdict::Unavailable,
                    Payload::Invalid => Verdict::Invalid,
                };
                IntakeEntry {
                    member,
                    id: entry.id,
                    verdict,
                    sight: sights.get(&member).copied().filter(|_| in_cut),
                }
            })
            .collect();
        entries.sort_by_key(|entry| (entry.member, entry.id));
        let position = |id: &Digest| entries.iter().position(|e| e.id == *id).map(|p| p as u16);
        let holds = work.collection.all_holds().filter_map(|holds| {
            let positions: Option<Vec<u16>> = holds.headers.iter().map(position).collect();
            Some((holds.member, positions?, holds.signature))
        });
        // One batch a member at the most: that bounds the record.
        let mut last: Option<MemberId> = None;
        let holds = holds
            .filter(|(member, ..)| last.replace(*member) != Some(*member))
            .collect();
        IntakeBody { entries, holds }
    }

    fn commit(
        &self,
        work: &Work,
        block: &FinalBlock,
        folded: &Folded,
        of: &StateCertificate,
    ) -> Body {
        let run_id = &self.settings.run_id;
        let mut headers = work.final_ids.clone();
        headers.sort();
        Body::Commit(Done::Yes(Box::new(CommitBody {
            folded: true,
            rule: self.settings.rule,
            cut: block.block.cut_digest_of(run_id, &headers),
            headers,
            finalization: block.certificate.clone(),
            weights: folded.weights.clone(),
            aggregate: folded.aggregate,
            outer: tensors_digest(&folded.manifest.momentum),
            memory: tensors_digest(&folded.manifest.aggregate),
            root: of.root,
            certificate: of.clone(),
            side_size: self.logbook.side.next,
            side_root: self.logbook.side.root(),
        })))
    }
}

fn absent(kind: usize, reason: AbsentReason) -> Body {
    match kind {
        0 => Body::Work(Done::Absent(reason)),
        1 => Body::Update(Done::Absent(reason)),
        2 => Body::Intake(Done::Absent(reason)),
        _ => Body::Commit(Done::Absent(reason)),
    }
}
