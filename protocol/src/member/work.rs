//! What a member knows of the round it is in.

use super::{Settings, collection::Collection};
use crate::{
    ids::{Digest, Epoch, MemberId, Root, Round, RunId, Timestamp, View},
    message::{Block, FinalBlock, Holds, Present, StateCertificate},
    simplex::{Simplex, Support},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// A block and what follows from its bytes, computed once.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub block: Arc<Block>,
    pub digest: Digest,
    /// Identities of the cut's headers, in the order of the cut.
    pub ids: Vec<Digest>,
    /// Length of its encoding.
    pub bytes: usize,
}

impl Known {
    pub fn new(run_id: &RunId, block: Arc<Block>) -> Arc<Self> {
        let (digest, bytes) = block.measured(run_id);
        let ids = block.cut_ids(run_id);
        Arc::new(Self {
            block,
            digest,
            ids,
            bytes,
        })
    }
}

/// What a judgement of a block depends on, besides the block. Judged again at the same, it comes to
/// the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Circumstances {
    pub support: Support,
    pub collection: u64,
    pub deadline: Option<Timestamp>,
    /// How many deadlines have passed.
    pub passed: u8,
}

/// A proposal and what was thought of it.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    pub member: MemberId,
    pub known: Arc<Known>,
    pub received: Timestamp,
    /// The view of whose certificates its proposer was asked last.
    pub asked: Option<View>,
    /// Found to be of the right form, which no later moment changes.
    pub formed: bool,
    /// Judged too early to decide, in these circumstances.
    pub judged: Option<Circumstances>,
    /// Voted for, or refused for good.
    pub settled: bool,
}

/// How far the fold of this round is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FoldStage {
    /// The block is not final, or payloads are missing.
    Waiting,
    /// The driver folds.
    Running,
    /// The next state is here.
    Done,
}

/// The round a member is in.
#[derive(Clone, Debug)]
pub(super) struct Work {
    pub epoch: Epoch,
    pub round: Round,
    pub base: Root,
    pub certificate: StateCertificate,
    pub voters: Vec<MemberId>,
    pub quorum: usize,
    pub active: Vec<MemberId>,
    pub started: Timestamp,
    /// Entered straight from the round before, with the others: how long updates take to arrive
    /// here says how long they take. Whoever comes later finds them waiting.
    pub on_time: bool,
    /// Length of the deadline; none with `wait_all`.
    pub deadline_us: Option<u64>,
    pub collection: Collection,
    pub simplex: Simplex,
    pub proposals: BTreeMap<View, Pending>,
    pub blocks: BTreeMap<Digest, Arc<Known>>,
    pub view_ends: Option<Timestamp>,
    /// The last view whose end made this member pass on what others hold.
    pub holds_passed_in: Option<View>,
    pub proposed: BTreeSet<View>,
    /// Until when the present view's proposer waits for the block notarized below to be final.
    pub repeat_at: Option<Timestamp>,
    pub final_block: Option<Arc<FinalBlock>>,
    /// Identities of the final cut's headers, in the order of the cut.
    pub final_ids: Vec<Digest>,
    pub fold: FoldStage,
    pub fold_attempt: u32,
    pub presents: BTreeMap<MemberId, Present>,
    pub flush_holds_at: Option<Timestamp>,
    /// How long the next batch of holds is gathered.
    pub hold_batch_us: u64,
    /// When complete changes of membership were first known.
    pub changes_since: Option<Timestamp>,
    pub phase: &'static str,
}

impl Work {
    /// What others need to know, if this member gives a view up because its proposal left a header
    /// out: who holds the headers that a quorum holds and the proposal lacks. Where nothing was
    /// proposed nothing was left out.
    pub fn holds_of_left_out(&self, view: View) -> Vec<Holds> {
        let Some(pending) = self.proposals.get(&view) else {
            return Vec::new();
        };
        let held = self.collection.entries().filter(|e| e.quorum_at.is_some());
        let ids = held.map(|entry| entry.id);
        let ids: Vec<Digest> = ids.filter(|id| !pending.known.ids.contains(id)).collect();
        let about = |holds: &&Holds| holds.headers.iter().any(|id| ids.contains(id));
        self.collection.all_holds().filter(about).cloned().collect()
    }

    pub fn phase(&self) -> &'static str {
        self.phase
    }

    /// The end of the time that updates are waited for.
    ///
    /// With `wait_all` there is none, until a complete change of membership has waited for the
    /// ceiling: otherwise a dead member could never be removed.
    pub fn deadline(&self, settings: &Settings) -> Option<Timestamp> {
        match self.deadline_us {
            Some(length) => Some(self.started.after(length)),
            None => self
                .changes_since
                .map(|at| at.after(settings.deadline_ceiling_us)),
        }
    }

    /// The end of twice that time, after which an empty cut is valid.
    pub fn second_deadline(&self) -> Option<Timestamp> {
        self.deadline_us
            .map(|length| self.started.after(2 * length))
    }

    /// The round and its start, where arrivals can be dated.
    pub fn dated(&self) -> Option<(Round, Timestamp)> {
        self.on_time.then_some((self.round, self.started))
    }

    /// A payload came from elsewhere: sets the time at which its hold is sent.
    ///
    /// A member's own payload waits for company, since its header says already that it is held.
    /// Gathering ends 2Δ before the deadline, so that what others must not leave out is known to
    /// them in time.
    pub fn gather_holds(&mut self, settings: &Settings, now: Timestamp) {
        let least = now.after(settings.hold_batch_us);
        let last = self.deadline(settings).map(|at| {
            let before = at.0.saturating_sub(2 * settings.delta_us);
            Timestamp(before).max(least)
        });
        let wanted = now.after(self.hold_batch_us);
        let at = last.map_or(wanted, |last| wanted.min(last));
        self.flush_holds_at.get_or_insert(at);
    }

    /// True where a payload of every active member is here, or proof that it announced two.
    pub fn has_all_active(&self) -> bool {
        self.collection.settles(&self.active)
    }

    /// True where this view follows on a notarization, so that its proposal can but repeat a block.
    ///
    /// Finalize votes for that block are under way, and within Δ they make the repetition
    /// needless; so its proposer waits that long.
    pub fn repeats(&self) -> bool {
        let view = self.simplex.view();
        let below = self.simplex.notarized_below(view);
        below.is_some_and(|certificate| certificate.ballot.view.next() == view)
    }

    /// What a judgement at this moment depends on.
    pub fn circumstances(
        &self,
        support: Support,
        settings: &Settings,
        now: Timestamp,
    ) -> Circumstances {
        let deadline = self.deadline(settings);
        let passed = [deadline, self.second_deadline()];
        let passed = passed.into_iter().flatten().filter(|at| *at <= now);
        Circumstances {
            support,
            collection: self.collection.version(),
            deadline,
            passed: passed.count() as u8,
        }
    }

    /// The moments at which something is due.
    pub fn timers(&self, settings: &Settings) -> [Option<(Timestamp, &'static str)>; 5] {
        let undecided = self.simplex.decided().is_none();
        let while_undecided = |at: Option<Timestamp>| at.filter(|_| undecided);
        [
            self.flush_holds_at.map(|at| (at, "holds")),
            while_undecided(self.deadline(settings)).map(|at| (at, "deadline")),
            while_undecided(self.second_deadline()).map(|at| (at, "second deadline")),
            while_undecided(self.view_ends).map(|at| (at, "view")),
            while_undecided(self.repeat_at).map(|at| (at, "repeat")),
        ]
    }
}
