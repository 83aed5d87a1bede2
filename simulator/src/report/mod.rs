//! What is left of a run for people: HTML, JSON, CSV.

mod findings;

pub use findings::{
    Activity, FaultFindings, Findings, LossPoint, MemberFindings, RoundFindings, Span,
    UtilisationPoint, Violation,
};
