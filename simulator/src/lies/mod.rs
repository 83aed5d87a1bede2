//! Members that lie, each lie in a file named for it.

mod withhold;

use crate::deviation::Deviation;
use withhold::Withhold;

/// A lie by its name in scenarios.
pub fn lie(name: &str) -> Option<Box<dyn Deviation>> {
    match name {
        "withhold" => Some(Box::new(Withhold)),
        _ => None,
    }
}

/// The names of all lies that can be told in `mode = "protocol"`.
pub const NAMES: &[&str] = &["withhold"];
