//! Announces another member's update as its own.
//!
//! It keeps its own work back until it has seen somebody's header of the round, and announces that
//! payload, with that loss and those hashes, under its own name and nonce. Nobody notices during
//! the run, and the update is counted for both; whoever replays the work convicts it. Where it
//! hears of nobody's update it announces none.

use crate::deviation::{Deviation, Seat};
use archipel_protocol::{
    ids::Round,
    member::{Input, Trained},
    message::{Header, Message},
};

/// Announces what others did.
#[derive(Default)]
pub struct CopyCat {
    /// Its own work, kept back.
    own: Option<Box<Trained>>,
    /// The first header of somebody else in the newest round that it heard of.
    seen: Option<Header>,
}

impl CopyCat {
    /// The copy, once both parts are here.
    fn copy(&mut self) -> Option<Box<Trained>> {
        let round: Round = self.own.as_ref()?.round;
        let of = self.seen.as_ref().filter(|header| header.round == round)?;
        let mut copy = self.own.take()?;
        (copy.payload, copy.payload_bytes) = (of.payload, of.payload_bytes);
        (copy.loss_micro, copy.work_root) = (of.loss_micro, of.work_root);
        copy.residual = (of.residual_before, of.residual_after);
        copy.optimizer = (of.optimizer_before, of.optimizer_after);
        Some(copy)
    }
}

impl Deviation for CopyCat {
    fn input(&mut self, site: &mut Seat<'_>, input: Input, pass: &mut Vec<Input>) {
        match input {
            Input::Trained(trained) => self.own = Some(trained),
            Input::Message { from, message } => {
                if let Message::Header(signed) = &*message {
                    let header = &signed.header;
                    let newer = self.seen.as_ref().is_none_or(|s| s.round < header.round);
                    if newer && header.member != site.me {
                        self.seen = Some(header.clone());
                    }
                }
                pass.push(Input::Message { from, message });
            }
            other => pass.push(other),
        }
        pass.extend(self.copy().map(Input::Trained));
    }
}
