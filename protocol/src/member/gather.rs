//! Entering a round, and gathering its updates: headers in, payloads fetched, holds out.

use super::{
    Event, FetchFault, FetchTask, Member, Output, Phase,
    certifier::Certifier,
    collection::{Collection, Payload},
    work::{FoldStage, Work},
};
use crate::{
    ids::{BlobHash, Digest, MemberId, Round, Timestamp},
    message::{
        Evidence, Header, Holds, MAX_HOLDS, MAX_NUMERICS_BYTES, Message, Present, SignedHeader,
    },
    record::AbsentReason,
    simplex::Simplex,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Each batch of holds of a round is gathered this many times as long as the one before.
const HOLD_BATCH_GROWTH: u64 = 4;

/// Why a header was refused. Each says what was expected and what came.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// Not a voter of the epoch.
    #[error("{member} has no vote in this epoch")]
    Stranger {
        /// Who.
        member: MemberId,
    },
    /// Trained from another state.
    #[error("stale base: round {round} starts from {expected}, the update from {found}")]
    WrongBase {
        /// The round.
        round: Round,
        /// The certified root.
        expected: crate::ids::Root,
        /// The root in the header.
        found: crate::ids::Root,
    },
    /// Another epoch.
    #[error("expected epoch {expected}, found {found}")]
    Epoch {
        /// The epoch of the round.
        expected: crate::ids::Epoch,
        /// The epoch in the header.
        found: crate::ids::Epoch,
    },
    /// Another codec.
    #[error("the plan's codec is {expected}, found {found}")]
    Codec {
        /// The plan's.
        expected: u8,
        /// The header's.
        found: u8,
    },
    /// A payload that is empty or too large.
    #[error("a payload has 1 to {limit} bytes, the header says {found}")]
    PayloadSize {
        /// The plan's limit.
        limit: u64,
        /// The header's length.
        found: u64,
    },
    /// More or fewer steps or tokens than the plan asks for.
    #[error(
        "the plan asks for {expected} steps of {each} tokens ({least} of who starts anew or is \
         slow), found {found} and {tokens}"
    )]
    Steps {
        /// The fewest that it allows.
        least: u64,
        /// The plan's steps.
        expected: u64,
        /// Tokens of one step.
        each: u64,
        /// The header's steps.
        found: u64,
        /// The header's tokens.
        tokens: u64,
    },
    /// Another numerics class.
    #[error("the plan's numerics class is {expected}, found {found}")]
    Numerics {
        /// The plan's.
        expected: String,
        /// The header's.
        found: String,
    },
    /// Not signed by the member it names.
    #[error("the signature does not hold")]
    Signature,
}

impl Member {
    /// Enters the round that starts from the held, certified state.
    pub(super) fn enter_round(&mut self) {
        let certificate = self
            .certified
            .clone()
            .expect("a round starts from a certified state");
        let round = certificate.round;
        let on_time = self.is_on_time(round);
        self.forget_round(round);
        self.record_absences(round, AbsentReason::Synced);
        if round.0 >= self.settings.rounds {
            return self.finish(round);
        }
        if !self.is_voter() {
            self.phase = Phase::Follow;
            return self.tell_phase("follow");
        }
        let membership = self.chain.current().clone();
        let held = self.held.as_ref().expect("a certified state is held");
        let (voters, quorum) = (membership.voters(), membership.quorum());
        let epoch = membership.epoch();
        self.deadline.begin_round();
        self.pace.begin_round(membership.faults());
        let id = (epoch, round);
        let may_sign = self.muted.is_none_or(|through| round > through);
        let run_id = &self.settings.run_id;
        self.certifier = Some(Certifier::new(epoch, round.next(), voters.clone(), quorum));
        self.work = Some(Work {
            epoch,
            round,
            base: certificate.root,
            certificate,
            active: held.manifest.activity.active(&membership),
            started: self.now,
            on_time,
            deadline_us: (!self.settings.wait_all).then(|| self.deadline.length_us()),
            collection: Collection::default(),
            simplex: Simplex::new(run_id, id, voters.clone(), quorum, may_sign),
            proposals: BTreeMap::new(),
            blocks: BTreeMap::new(),
            view_ends: None,
            holds_passed_in: None,
            proposed: BTreeSet::new(),
            final_block: None,
            final_ids: Vec::new(),
            fold: FoldStage::Waiting,
            fold_attempt: 0,
            presents: BTreeMap::new(),
            repeat_at: None,
            flush_holds_at: None,
            hold_batch_us: self.settings.hold_batch_us,
            changes_since: None,
            phase: "train",
            voters,
            quorum,
        });
        self.phase = Phase::Round;
        self.progressed();
        self.resume_round(round);
        self.announce_presence();
        // While rounds follow each other quickly nothing else says again what was lost.
        self.say_motions_again();
        self.train_if_due();
        self.replay_ahead();
    }

    /// True where this member enters a round with the others: at the beginning, or out of the
    /// round before. Where members train ahead of their base the first round is shorter than those
    /// behind it, and says nothing of them.
    fn is_on_time(&self, round: Round) -> bool {
        match self.phase {
            Phase::Founding => round.0 == 0 && self.settings.delay == 0,
            Phase::Round => self.work.as_ref().is_some_and(|w| w.round.next() == round),
            _ => false,
        }
    }

    /// Clears what belonged to the round before.
    fn forget_round(&mut self, round: Round) {
        if let Some(work) = self.work.take() {
            self.previous = work.dated();
        }
        self.next = None;
        self.signed = None;
        self.certifier = None;
        self.sync = None;
        self.own.prune(round);
        self.told.clear();
        self.memory.prune(round);
    }

    fn finish(&mut self, round: Round) {
        let root = self.root().expect("a finished run has a last state");
        if self.phase != Phase::Done {
            self.phase = Phase::Done;
            self.record_side(&crate::record::Body::End { root });
            self.event(Event::Finished { round, root });
        }
    }

    /// A member that nobody waits for says that it is here.
    fn announce_presence(&mut self) {
        let Some(work) = &self.work else { return };
        if work.active.contains(&self.me) || !self.may_sign() {
            return;
        }
        let (epoch, round) = (work.epoch, work.round);
        let run_id = self.settings.run_id;
        let present = Present::signed(&run_id, epoch, round, self.signer.as_ref());
        self.on_present(&present);
        self.broadcast(Message::Present(present));
    }

    pub(super) fn on_present(&mut self, present: &Present) {
        let Some(work) = &mut self.work else { return };
        let current = (present.epoch, present.round) == (work.epoch, work.round);
        let wanted = current && work.voters.contains(&present.member);
        if !wanted || work.presents.contains_key(&present.member) {
            return;
        }
        if present.verify(&self.settings.run_id, self.verifier.as_ref()) {
            work.presents.insert(present.member, present.clone());
        } else {
            self.refuse(
                present.member,
                "presence: the signature does not hold".to_owned(),
            );
        }
    }

    /// Checks a header of the present round against the plan and the base.
    pub(super) fn check_header(
        &self,
        signed: &SignedHeader,
        id: &Digest,
    ) -> Result<(), HeaderError> {
        let work = self
            .work
            .as_ref()
            .expect("headers are checked within a round");
        let (header, settings) = (&signed.header, &self.settings);
        if !work.voters.contains(&header.member) {
            return Err(HeaderError::Stranger {
                member: header.member,
            });
        }
        if header.epoch != work.epoch {
            return Err(HeaderError::Epoch {
                expected: work.epoch,
                found: header.epoch,
            });
        }
        if header.base != work.base {
            let (round, expected, found) = (work.round, work.base, header.base);
            return Err(HeaderError::WrongBase {
                round,
                expected,
                found,
            });
        }
        if header.codec != settings.codec {
            return Err(HeaderError::Codec {
                expected: settings.codec,
                found: header.codec,
            });
        }
        let limit = settings.max_payload_bytes;
        if header.payload_bytes == 0 || header.payload_bytes > limit {
            return Err(HeaderError::PayloadSize {
                limit,
                found: header.payload_bytes,
            });
        }
        let (expected, each) = (settings.steps, settings.tokens_per_step);
        let (found, tokens) = (header.steps, header.tokens);
        let least = settings.least_steps();
        if !settings.takes_steps(work.round, found) || found.checked_mul(each) != Some(tokens) {
            return Err(HeaderError::Steps {
                least,
                expected,
                each,
                found,
                tokens,
            });
        }
        if header.numerics.len() > MAX_NUMERICS_BYTES || header.numerics != settings.numerics {
            let cut = header.numerics.floor_char_boundary(MAX_NUMERICS_BYTES);
            let (expected, found) = (settings.numerics.clone(), header.numerics[..cut].to_owned());
            return Err(HeaderError::Numerics { expected, found });
        }
        if !signed.verify_as(id, self.verifier.as_ref()) {
            return Err(HeaderError::Signature);
        }
        Ok(())
    }

    /// Takes a header of the present round.
    pub(super) fn on_header(&mut self, signed: &SignedHeader, message: &Arc<Message>) {
        let id = signed.header.id(&self.settings.run_id);
        let Some(work) = &self.work else { return };
        if work.collection.entry(&id).is_some() {
            return;
        }
        if work.simplex.decided().is_some() {
            let dated = work.dated();
            return self.date_late(message, &signed.header, (0, dated));
        }
        let member = signed.header.member;
        if work.collection.is_full(&member) {
            return;
        }
        if let Err(error) = self.check_header(signed, &id) {
            return self.refuse(member, format!("header: {error}"));
        }
        self.accept_header(signed, id, message);
    }

    /// Keeps a checked header and fetches its payload. `message` is the one that carries it.
    pub(super) fn accept_header(
        &mut self,
        signed: &SignedHeader,
        id: Digest,
        message: &Arc<Message>,
    ) {
        let member = signed.header.member;
        let Some(work) = &mut self.work else { return };
        if work.collection.entry(&id).is_some() || work.collection.is_full(&member) {
            return;
        }
        let round = work.round;
        if let Some((_, started)) = work.dated() {
            let steps = signed.header.steps;
            self.pace.another(member, steps, self.now.since(started));
        }
        work.collection
            .insert(id, signed.clone(), Payload::Fetching);
        let two = work.collection.equivocation(&member);
        let two = two.map(|(a, b)| (Box::new(a.clone()), Box::new(b.clone())));
        self.memory.remember(message.clone());
        self.event(Event::Announced { round, member });
        if let Some((a, b)) = two {
            self.note_evidence(Evidence::TwoHeaders(a, b));
        }
        self.fetch(signed, &id);
        self.progressed();
    }

    /// Asks the driver for a payload, from its author and from whoever said it holds it.
    pub(super) fn fetch(&mut self, signed: &SignedHeader, id: &Digest) {
        let Some(work) = &self.work else { return };
        let header = &signed.header;
        let mut holders = vec![header.member];
        let others = work.collection.holders(id).copied();
        holders.extend(others.filter(|m| *m != header.member && *m != self.me));
        self.outputs.push_back(Output::Fetch(FetchTask {
            round: header.round,
            member: header.member,
            payload: header.payload,
            bytes: header.payload_bytes,
            holders,
        }));
    }

    /// A payload is here, or can never be.
    pub(super) fn on_fetched(&mut self, payload: BlobHash, outcome: Result<(), FetchFault>) {
        let Some(work) = &mut self.work else { return };
        let of_payload = |h: &SignedHeader| h.header.payload == payload;
        let known = work
            .collection
            .entries()
            .find(|entry| of_payload(&entry.header));
        let Some(member) = known.map(|entry| entry.header.header.member) else {
            return;
        };
        match outcome {
            Ok(()) => {
                work.collection.set_payload(&payload, Payload::Held);
                if let Some((_, started)) = work.dated() {
                    self.deadline.arrival(0, self.now.since(started));
                }
                work.gather_holds(&self.settings, self.now);
                let held = work.collection.held();
                let (round, active) = (work.round, work.active.len());
                self.event(Event::Holding {
                    round,
                    held,
                    active,
                });
                self.progressed();
            }
            // Nothing is asked again here: the resend timer does, so that a fetch that fails at
            // once cannot spin.
            Err(FetchFault::Unavailable) => {}
            Err(FetchFault::Invalid(reason)) => {
                work.collection.set_payload(&payload, Payload::Invalid);
                self.refuse(member, format!("payload: {reason}"));
            }
        }
    }

    /// Sends the batch of holds when its time has come, or when nothing more is waited for.
    pub(super) fn flush_holds(&mut self) {
        let Some(work) = self
            .work
            .as_ref()
            .filter(|w| w.collection.has_unannounced())
        else {
            return;
        };
        if work.flush_holds_at.is_some_and(|at| at <= self.now) || work.has_all_active() {
            self.send_holds();
        }
    }

    /// Says which payloads are held here that were not said to be.
    pub(super) fn send_holds(&mut self) {
        let may_sign = self.may_sign();
        let Some(work) = &mut self.work else { return };
        if !may_sign || !work.collection.has_unannounced() {
            return;
        }
        work.flush_holds_at = None;
        work.hold_batch_us = work.hold_batch_us.saturating_mul(HOLD_BATCH_GROWTH);
        let fresh = work.collection.take_unannounced();
        let (epoch, round) = (work.epoch, work.round);
        for batch in fresh.chunks(MAX_HOLDS) {
            let signer = self.signer.as_ref();
            let run_id = &self.settings.run_id;
            let holds = Holds::signed(run_id, epoch, round, batch.to_vec(), signer);
            if let Some(work) = &mut self.work {
                work.collection.hold(holds.clone(), usize::MAX);
            }
            self.broadcast(Message::Holds(holds));
        }
    }

    /// Signs all this member holds once more in one message, where it took several: what has to be
    /// said again is then said, and passed on by others, in few.
    pub(super) fn merge_holds(&mut self) {
        self.send_holds();
        let may_sign = self.may_sign();
        let Some(work) = &mut self.work else { return };
        let said = work.collection.signed_holds(&self.me);
        let mut ids: Vec<Digest> = said.iter().flat_map(|h| &h.headers).copied().collect();
        if said.len() < 2 || ids.len() > MAX_HOLDS || !may_sign {
            return;
        }
        ids.sort();
        let (run_id, signer) = (&self.settings.run_id, self.signer.as_ref());
        let merged = Holds::signed(run_id, work.epoch, work.round, ids, signer);
        work.collection.hold(merged, usize::MAX);
    }

    /// Takes another member's holds.
    pub(super) fn on_holds(&mut self, holds: &Holds) {
        let Some(work) = &mut self.work else { return };
        if work.simplex.decided().is_some() || !work.voters.contains(&holds.member) {
            return;
        }
        if work.collection.signed_holds(&holds.member).contains(holds) {
            return;
        }
        if !holds.verify(&self.settings.run_id, self.verifier.as_ref()) {
            return self.refuse(
                holds.member,
                "holds: not in order, or not signed".to_owned(),
            );
        }
        let limit = 2 * work.voters.len();
        work.collection.hold(holds.clone(), limit);
        work.collection.note_quorums(work.quorum, self.now);
    }

    /// Takes a header that came after its round was over.
    pub(super) fn on_late_header(&mut self, signed: &SignedHeader, message: &Arc<Message>) {
        let of_round = |(round, _): &(Round, Timestamp)| *round == signed.header.round;
        let dated = self.previous.filter(of_round);
        self.date_late(message, &signed.header, (1, dated));
    }

    /// Remembers a header that came too late to count, and dates the first of its author: rounds
    /// may have to wait longer.
    fn date_late(
        &mut self,
        message: &Arc<Message>,
        header: &Header,
        (rounds_ago, dated): (usize, Option<(Round, Timestamp)>),
    ) {
        let voter = self.chain.current().voters().contains(&header.member);
        let first = self.memory.is_new(&header.member, header.round);
        let authentic = self.remember_late(message);
        if let Some((_, started)) = dated.filter(|_| authentic && voter && first) {
            self.deadline.arrival(rounds_ago, self.now.since(started));
        }
    }
}
