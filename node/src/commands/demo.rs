//! `archipel demo`.

use super::LocalFederation;
use crate::demo::{self, DemoArgs};
use std::{process::ExitCode, sync::Arc};

/// `archipel demo`.
///
/// # Errors
/// Where the federation cannot be founded, or a member's process ends before its time.
pub fn demo(args: &DemoArgs) -> anyhow::Result<ExitCode> {
    demo::run(args, Arc::new(LocalFederation))
}
