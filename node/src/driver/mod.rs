//! Runs a member: carries out what the protocol's [`Member`](archipel_protocol::member::Member)
//! decides, and tells it what came of it.
//!
//! One loop owns the member and the store; everything that takes long runs elsewhere and comes
//! back as an input. Outputs are carried out in their order, and before the first one that leaves
//! the machine or starts work, everything persisted before it is synced. A disk that fails ends
//! the node: nothing is sent after it.

mod arrival;
mod ending;
mod files;
mod fitness;
mod machine;
mod ownership;
mod recovery;
mod reporter;
mod retention;
mod serving;
mod signals;
mod site;
mod start;
mod states;
mod tokens;
mod training;
mod wal;
mod workbook;
mod workshop;

pub use files::FileError;
pub use fitness::{Examined, Fit, Part, examine, last_status};
pub use site::{HOLDOUT_FILE, STATES_FOLDER, Site, TRAINING_FOLDER, model_of};
pub use start::{Options, start};
pub use states::{Checked, StateError, States};
pub use tokens::{HeldOut, PlannedTokenizer};

/// The mark of payloads among the store's blobs.
const PAYLOAD: u8 = 1;
