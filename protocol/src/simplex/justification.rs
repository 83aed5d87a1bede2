//! Why a block may be proposed in a view: the certificates of the views below it.
//!
//! J1: every lower view is nullified; any valid block may be proposed. J2: a lower view is
//! notarized and all views between are nullified; then the notarized block may, whatever else is
//! thought of it. Nothing else may be proposed.
//!
//! A round can take more views than one message has certificates for. So a proposal carries those
//! of the highest views, and is judged by what its voter knows, of which they are a part.

use super::Simplex;
use crate::{
    ids::{Digest, View},
    message::{Certificate, VoteKind},
};

/// What the certificates known here say of a block proposed in a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// All lower views are nullified (J1): it may be proposed if it is valid.
    Free,
    /// It was notarized in a lower view, and the views between are nullified (J2): it is valid.
    Forced,
    /// Nothing yet: this view is not known to be nullified, nor to have notarized the block.
    Missing(View),
}

impl Simplex {
    /// The certificates that allow a block to be proposed in `view`, from the view below it down,
    /// or the highest view of which one is missing. The last may be a notarization: then its block
    /// is the one to propose.
    ///
    /// # Errors
    /// The view of the missing certificate.
    pub fn justification(&self, view: View) -> Result<Vec<&Certificate>, View> {
        let mut certificates = Vec::new();
        for lower in (0..view.0).rev().map(View) {
            let state = self.views.get(&lower).ok_or(lower)?;
            if let Some(notarization) = &state.notarization {
                certificates.push(notarization);
                return Ok(certificates);
            }
            certificates.push(state.nullification.as_ref().ok_or(lower)?);
        }
        Ok(certificates)
    }

    /// True where certificates are of the form of a justification of `view`, or of its beginning:
    /// of consecutive views downwards, at least one for a later view than the first, only the last
    /// of them a notarization. Signatures are checked by the caller.
    pub fn is_justification(&self, view: View, certificates: &[Certificate]) -> bool {
        let count = certificates.len();
        let expected = (0..view.0).rev().map(View);
        let in_order = certificates.iter().zip(expected).enumerate();
        let formed = in_order.filter(|(index, (certificate, expected))| {
            let ballot = &certificate.ballot;
            let kind = match ballot.kind {
                VoteKind::Nullify => true,
                VoteKind::Notarize => index + 1 == count,
                VoteKind::Finalize => false,
            };
            kind && (ballot.epoch, ballot.round, ballot.view) == (self.epoch, self.round, *expected)
        });
        formed.count() == count && (count > 0) == (view.0 > 0)
    }

    /// What is known here in support of a block proposed in `view`.
    pub fn support(&self, view: View, digest: &Digest) -> Support {
        for lower in (0..view.0).rev().map(View) {
            let Some(state) = self.views.get(&lower) else {
                return Support::Missing(lower);
            };
            let notarized = state.notarization.as_ref();
            if notarized.is_some_and(|known| known.ballot.digest == *digest) {
                return Support::Forced;
            }
            if state.nullification.is_none() {
                return Support::Missing(lower);
            }
        }
        Support::Free
    }

    /// Up to `most` certificates of `view` and the views below it, the highest first.
    pub fn certificates_down_from(&self, view: View, most: usize) -> Vec<Certificate> {
        let states = self.views.range(..=view).rev();
        let known = states.flat_map(|(_, state)| [&state.notarization, &state.nullification]);
        known.flatten().take(most).cloned().collect()
    }
}
