//! Never proposes a block when the view is its own.
//!
//! Honest members wait for the view's timer, give the view up, and decide in a later one. Nothing
//! is refused: its proposal might have been lost. Its own updates are counted.

use super::retold;
use crate::deviation::{Deviation, Seat};
use archipel_protocol::{member::Output, message::Message};

/// Keeps its proposals to itself.
pub struct SilentProposer;

impl Deviation for SilentProposer {
    fn output(&mut self, _site: &mut Seat<'_>, output: Output, pass: &mut Vec<Output>) {
        if !matches!(retold::message(&output), Some(Message::Proposal(_))) {
            pass.push(output);
        }
    }
}
