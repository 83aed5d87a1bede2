//! Says everything, and says it late: by `strength` seconds, 3 where none are given.
//!
//! Honest members cannot tell it from one behind a slow link. They wait for its updates until the
//! deadline, decide without it, and learn from its late headers how late it is, up to the plan's
//! ceiling; a proposal of its own may come after the view was given up.

use crate::deviation::{Deviation, Seat};
use archipel_protocol::message::Message;

/// Seconds where the scenario gives none.
const SECONDS: f64 = 3.0;

/// Speaks late.
pub struct Late;

impl Deviation for Late {
    fn later_us(&mut self, site: &mut Seat<'_>, _message: &Message) -> u64 {
        (site.strength.unwrap_or(SECONDS).max(0.0) * 1e6) as u64
    }
}
