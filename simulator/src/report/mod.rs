//! What is left of a run for people: HTML, JSON, CSV, and a text for the terminal.
//!
//! [`Findings`] is all they draw from. [`folder::write`] leaves them in a folder, [`html`],
//! [`json`], [`csv`] and [`summary`] render one form each, [`compare`] sets several runs beside
//! each other, and [`trace`] holds the events of a run.

pub(crate) mod arms;
mod axis;
mod bars;
pub mod compare;
pub mod csv;
mod error;
mod figure;
mod findings;
pub mod folder;
mod gantt;
pub mod html;
pub mod json;
mod loss;
mod outcomes;
mod rounds;
mod rows;
pub mod summary;
mod svg;
pub mod sweep;
mod tables;
mod thin;
mod times;
pub mod trace;
pub(crate) mod units;
mod utilisation;

pub use error::ReportError;
pub use findings::{
    Activity, FaultFindings, Findings, LossPoint, MemberFindings, RoundFindings, Span, Spent,
    UtilisationPoint, Violation,
};
pub use rounds::Percentiles;
