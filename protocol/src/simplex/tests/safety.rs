//! Random schedules of three honest members and one liar that may say anything to anyone.
//!
//! The adversary also owns the network: it orders, repeats and withholds the honest votes, and
//! proposes every block, as far as it finds the certificates that justify it.

use super::*;
use crate::random::Stream;
use std::collections::BTreeSet;

const HONEST: usize = 3;
const LIAR: u8 = 3;
const VIEWS: u32 = 4;
const ACTIONS: usize = 400;

struct World {
    members: Vec<Simplex>,
    /// Every vote an honest member cast.
    cast: BTreeSet<(u8, Ballot)>,
    stream: Stream,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_be_bytes());
        Self {
            members: (0..HONEST).map(|_| machine()).collect(),
            cast: BTreeSet::new(),
            stream: Stream::new(key),
        }
    }

    fn pick(&mut self, n: usize) -> usize {
        self.stream.below(n as u64) as usize
    }

    fn digest(&mut self) -> Digest {
        [A, B][self.pick(2)]
    }

    fn any_ballot(&mut self) -> Ballot {
        let view = self.stream.below(u64::from(VIEWS)) as u32;
        let digest = self.digest();
        [
            notarize(view, digest),
            nullify(view),
            finalize(view, digest),
        ][self.pick(3)]
    }

    /// The certificate that honest votes and the liar's make, where they are enough.
    fn formed(&self, ballot: Ballot) -> Option<Certificate> {
        let honest = (0..HONEST as u8).filter(|by| self.cast.contains(&(*by, ballot)));
        let signers: Vec<u8> = honest.chain([LIAR]).collect();
        let seal = |by: &u8| Seal {
            voter: u16::from(*by),
            signature: Signature([*by; 64]),
        };
        (signers.len() >= 3).then(|| Certificate {
            ballot,
            seals: signers.iter().map(seal).collect(),
        })
    }

    /// Certificates that justify `digest` in `view`, if the adversary can have them.
    fn justified(&self, view: u32, digest: Digest) -> Option<Vec<Certificate>> {
        let mut certificates = Vec::new();
        for lower in (0..view).rev() {
            if let Some(notarization) = self.formed(notarize(lower, digest)) {
                certificates.push(notarization);
                return Some(certificates);
            }
            certificates.push(self.formed(nullify(lower))?);
        }
        Some(certificates)
    }

    fn act(&mut self) {
        let to = self.pick(HONEST);
        match self.pick(16) {
            0 => self.members[to].give_up(),
            1..=2 => {
                let lie = self.any_ballot();
                self.members[to].vote(vote(LIAR, lie));
            }
            3..=4 => {
                let ballot = self.any_ballot();
                if let Some(certificate) = self.formed(ballot) {
                    self.members[to].certificate(certificate);
                }
            }
            5..=8 => {
                let (view, digest) = (self.members[to].view(), self.digest());
                if let Some(certificates) = self.justified(view.0, digest) {
                    let carried = self.pick(certificates.len() + 1);
                    self.propose(to, view, digest, &certificates[..carried]);
                }
            }
            _ if self.cast.is_empty() => {}
            _ => {
                let nth = self.pick(self.cast.len());
                let (by, ballot) = *self.cast.iter().nth(nth).expect("below the length");
                self.members[to].vote(vote(by, ballot));
            }
        }
        self.collect();
    }

    /// Hands a proposal to a member, with as much of its justification as it carries.
    fn propose(&mut self, to: usize, view: View, digest: Digest, carried: &[Certificate]) {
        let member = &mut self.members[to];
        for certificate in carried {
            member.certificate(certificate.clone());
        }
        if !matches!(member.support(view, &digest), Support::Missing(_)) {
            member.approve(view, digest);
        }
    }

    /// Takes the votes that honest members want to cast; each counts its own at once.
    fn collect(&mut self) {
        for by in 0..HONEST as u8 {
            while let Some(effect) = self.members[usize::from(by)].poll_effect() {
                if let Effect::Vote(ballot) = effect {
                    assert!(self.cast.insert((by, ballot)), "no vote is cast twice");
                    self.members[usize::from(by)].vote(vote(by, ballot));
                }
            }
        }
    }

    /// Blocks with a finalization, whether or not anyone has seen it.
    fn finalized(&self) -> BTreeSet<Digest> {
        let ballots = self.cast.iter().map(|(_, ballot)| *ballot);
        let finalize = ballots.filter(|b| b.kind == VoteKind::Finalize);
        let formed = finalize.filter(|b| self.formed(*b).is_some());
        let decided = self.members.iter().filter_map(Simplex::decided);
        formed
            .chain(decided.map(|certificate| certificate.ballot))
            .map(|ballot| ballot.digest)
            .collect()
    }

    /// What no honest member ever does.
    fn check_votes(&self) {
        for (by, ballot) in &self.cast {
            let other = |kind, digest| Ballot {
                kind,
                digest,
                ..*ballot
            };
            match ballot.kind {
                VoteKind::Notarize => {
                    let rival = if ballot.digest == A { B } else { A };
                    assert!(!self.cast.contains(&(*by, other(VoteKind::Notarize, rival))));
                }
                VoteKind::Finalize => {
                    let null = other(VoteKind::Nullify, Digest::default());
                    assert!(!self.cast.contains(&(*by, null)));
                }
                VoteKind::Nullify => {}
            }
        }
    }
}

#[test]
fn no_schedule_finalizes_two_blocks() {
    let (mut decided, mut in_later_views) = ([0u32; 2], 0);
    for seed in 0..5000 {
        let mut world = World::new(seed);
        for _ in 0..ACTIONS {
            world.act();
        }
        world.check_votes();
        let finalized = world.finalized();
        assert!(finalized.len() <= 1, "seed {seed} finalized two blocks");
        decided[0] += u32::from(finalized.contains(&A));
        decided[1] += u32::from(finalized.contains(&B));
        let certificates = world.members.iter().filter_map(Simplex::decided);
        in_later_views += certificates.filter(|c| c.ballot.view > View(0)).count();
    }
    assert!(
        decided.iter().all(|n| *n > 400),
        "schedules decide: {decided:?}"
    );
    assert!(in_later_views > 400, "later views too: {in_later_views}");
}
