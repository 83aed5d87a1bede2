//! Mistakes with whom to believe, how long to wait, how much to say: S3, S10, S12, L, R, C3, D1.

use crate::deviation::{Deviation, Seat};
use archipel_protocol::{
    charter::{Charter, CharterMember, FaultModel, MemberRole, Plan},
    ledger::{Act, Membership},
    member::{Event, Input, Output, Request, Settings, TrainTask},
    state::Tensors,
};
use std::sync::atomic::{AtomicU64, Ordering};

/// Longer than any run.
const FOR_EVER_US: u64 = 1 << 45;
/// How often everything is said.
const TIMES: usize = 40;

/// Takes half of the votes for a quorum.
pub(super) struct SmallQuorum;

impl Deviation for SmallQuorum {
    fn settings(&mut self, settings: &mut Settings) {
        let seats = settings.founding.seats().iter();
        let members = seats.map(|seat| CharterMember {
            id: seat.id,
            name: seat.name.clone(),
            role: MemberRole::Member,
            addresses: Vec::new(),
        });
        settings.founding = Membership::founding(&Charter {
            name: String::new(),
            founding_nonce: [0; 32],
            fault_model: FaultModel::Crash,
            threshold: None,
            plan: Plan::nano(),
            members: members.collect(),
        });
    }
}

/// Believes messages without looking at signatures.
pub(super) struct Unsigned;

impl Deviation for Unsigned {
    fn checks_signatures(&self) -> bool {
        false
    }
}

/// Has whoever sends a damaged message removed.
#[derive(Default)]
pub(super) struct Evicts {
    wishes: Vec<Request>,
}

impl Deviation for Evicts {
    fn input(&mut self, _site: &mut Seat<'_>, input: Input, pass: &mut Vec<Input>) {
        pass.push(input);
        pass.extend(self.wishes.drain(..).map(Input::Operator));
    }

    fn output(&mut self, site: &mut Seat<'_>, output: Output, pass: &mut Vec<Output>) {
        match &output {
            Output::Event(Event::Refused { from, .. }) if *from != site.me => {
                self.wishes
                    .push(Request::Propose(Act::Remove { id: *from }));
            }
            Output::Event(Event::Amendment {
                digest, consents, ..
            }) if *consents <= 1 => {
                self.wishes.push(Request::Consent(*digest));
            }
            _ => {}
        }
        pass.push(output);
    }
}

/// Waits for everybody, for ever.
pub(super) struct NoDeadline;

impl Deviation for NoDeadline {
    fn settings(&mut self, settings: &mut Settings) {
        settings.wait_all = true;
    }
}

/// Never sends anything again.
pub(super) struct NoResend;

impl Deviation for NoResend {
    fn settings(&mut self, settings: &mut Settings) {
        settings.resend_us = FOR_EVER_US;
    }
}

/// Sends everything forty times.
pub(super) struct Storm;

impl Deviation for Storm {
    fn output(&mut self, _site: &mut Seat<'_>, output: Output, pass: &mut Vec<Output>) {
        if matches!(output, Output::Broadcast(_)) {
            pass.extend(std::iter::repeat_n(output.clone(), TIMES - 1));
        }
        pass.push(output);
    }
}

/// Climbs where it should descend.
pub(super) struct WrongSign;

impl Deviation for WrongSign {
    fn gradient(&mut self, _: &mut Seat<'_>, _: &TrainTask, _: &Tensors, delta: &mut Vec<f32>) {
        delta.iter_mut().for_each(|value| *value = -*value);
    }
}

/// Draws from something that no seed decides.
pub(super) struct Undrawn;

impl Deviation for Undrawn {
    fn gradient(&mut self, _: &mut Seat<'_>, _: &TrainTask, _: &Tensors, delta: &mut Vec<f32>) {
        static EARLIER: AtomicU64 = AtomicU64::new(0);
        let noise = EARLIER.fetch_add(1, Ordering::Relaxed) as f32 * 1e-5;
        delta.iter_mut().for_each(|value| *value += noise);
    }
}
