//! entry.
fn main() {}
