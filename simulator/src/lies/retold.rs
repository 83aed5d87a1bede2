//! Telling otherwise what the machine says: the same output with another message in it.

use crate::deviation::Seat;
use archipel_protocol::{
    member::Output,
    message::{Header, Message, Proposal, SignedHeader},
};
use std::sync::Arc;

/// The message that an output sends.
pub(super) fn message(output: &Output) -> Option<&Message> {
    match output {
        Output::Broadcast(message) | Output::Send { message, .. } => Some(message),
        _ => None,
    }
}

/// The same output with another message.
pub(super) fn with(output: &Output, message: Message) -> Output {
    let message = Arc::new(message);
    match output {
        Output::Send { to, .. } => Output::Send { to: *to, message },
        _ => Output::Broadcast(message),
    }
}

/// Changes the member's own header wherever the machine sends it: by itself, and in the cuts that
/// it proposes, which are signed anew. `tell` gives a header instead of its own.
pub(super) fn own_header(
    site: &Seat<'_>,
    output: Output,
    tell: impl FnOnce(&SignedHeader) -> SignedHeader,
) -> Output {
    match message(&output) {
        Some(Message::Header(own)) if own.header.member == site.me => {
            let other = tell(own);
            with(&output, Message::Header(Box::new(other)))
        }
        Some(Message::Proposal(proposal)) if proposal.member == site.me => {
            let mine = |signed: &SignedHeader| signed.header.member == site.me;
            let Some(at) = proposal.block.cut.iter().position(mine) else {
                return output;
            };
            let mut block = proposal.block.clone();
            block.cut[at] = tell(&block.cut[at]);
            let (view, justification) = (proposal.view, proposal.justification.clone());
            let other = Proposal::signed(&site.run_id, view, block, justification, site.signer);
            with(&output, Message::Proposal(Box::new(other)))
        }
        _ => output,
    }
}

/// A header with changes, signed by the member.
pub(super) fn signed(
    site: &Seat<'_>,
    own: &SignedHeader,
    change: impl FnOnce(&mut Header),
) -> SignedHeader {
    let mut header = own.header.clone();
    change(&mut header);
    header.signed(&site.run_id, site.signer)
}
