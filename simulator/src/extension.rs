//! A rule, a codec or a lie of one's own, in the place of the protocol's.
//!
//! An extension is given to [`crate::world::World::extended`]; everything else stays as it is: the
//! machines, the network, the faults, the report. Two checks cannot stand beside it: S6 works folds
//! out by the plan's own codec and rule, so switch it off with an own codec or rule, and a payload
//! must still have no more bytes than the plan allows.
//!
//! `docs/extending.md` goes through an example; `simulator/examples/own_method.rs` is all of it.

use crate::deviation::Deviation;
use archipel_protocol::layout::Layout;
use std::{fmt::Debug, sync::Arc};

/// How an update becomes bytes, and bytes an update.
pub trait OwnCodec: Debug + Send + Sync {
    /// Encodes a pseudo-gradient with its residual.
    ///
    /// # Shapes
    /// `values` has the layout's length.
    fn encode(&self, layout: &Layout, values: &[f32]) -> Vec<u8>;

    /// Decodes a payload; a member that cannot refuses it with the text.
    ///
    /// # Shapes
    /// The result has the layout's length.
    ///
    /// # Errors
    /// Bytes that are no payload, in words.
    fn decode(&self, layout: &Layout, payload: &[u8]) -> Result<Vec<f32>, String>;
}

/// How the updates of a cut become one aggregate.
pub trait OwnRule: Debug + Send + Sync {
    /// Aggregates the updates, given in member order with the tokens of each.
    ///
    /// # Shapes
    /// Every update has the layout's length, and so has the result.
    fn aggregate(&self, updates: &[(u64, Vec<f32>)]) -> Vec<f32>;
}

/// Makes a lie anew for each member that tells it.
pub type MakeLie = Arc<dyn Fn() -> Box<dyn Deviation> + Send + Sync>;

/// What takes the place of the protocol's own.
#[derive(Clone, Default)]
pub struct Extension {
    /// Instead of the plan's codec.
    pub codec: Option<Arc<dyn OwnCodec>>,
    /// Instead of the plan's rule.
    pub rule: Option<Arc<dyn OwnRule>>,
    /// Lies by the name that a schedule calls them.
    pub lies: Vec<(String, MakeLie)>,
}

impl Extension {
    /// The lie of a name.
    pub fn lie(&self, name: &str) -> Option<Box<dyn Deviation>> {
        let found = self.lies.iter().find(|(known, _)| known == name);
        found.map(|(_, make)| make())
    }
}
