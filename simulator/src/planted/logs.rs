//! Mistakes with what is written down: S2, S8.

use crate::deviation::{Deviation, Seat};
use archipel_protocol::member::{Durable, Output};

/// Records between two mistakes.
const EVERY: u32 = 7;

fn is_record(output: &Output) -> bool {
    matches!(output, Output::Record { .. })
}

/// Loses a record of its log now and then.
#[derive(Default)]
pub(super) struct Dropped(u32);

impl Deviation for Dropped {
    fn output(&mut self, _site: &mut Seat<'_>, output: Output, pass: &mut Vec<Output>) {
        self.0 += u32::from(is_record(&output));
        if !is_record(&output) || !self.0.is_multiple_of(EVERY) {
            pass.push(output);
        }
    }
}

/// Changes a record on its way to the disk.
#[derive(Default)]
pub(super) struct Rewritten(u32);

impl Deviation for Rewritten {
    fn output(&mut self, _site: &mut Seat<'_>, mut output: Output, pass: &mut Vec<Output>) {
        if let Output::Record { bytes, .. } = &mut output {
            self.0 += 1;
            let last = bytes.last_mut().filter(|_| self.0.is_multiple_of(EVERY));
            last.into_iter().for_each(|byte| *byte ^= 1);
        }
        pass.push(output);
    }
}

/// Writes a record twice.
#[derive(Default)]
pub(super) struct Repeated(u32);

impl Deviation for Repeated {
    fn output(&mut self, _site: &mut Seat<'_>, output: Output, pass: &mut Vec<Output>) {
        self.0 += u32::from(is_record(&output));
        if is_record(&output) && self.0.is_multiple_of(EVERY) {
            pass.push(output.clone());
        }
        pass.push(output);
    }
}

/// Does not write down where it is.
pub(super) struct CertifiedNotLogged;

impl Deviation for CertifiedNotLogged {
    fn output(&mut self, site: &mut Seat<'_>, output: Output, pass: &mut Vec<Output>) {
        let late = site.round.0 > 0;
        match output {
            Output::Persist(entry) if late && matches!(*entry, Durable::Certified(_)) => {}
            other => pass.push(other),
        }
    }
}

/// Cuts the end of its log off when it starts.
pub(super) struct TailLost;

impl Deviation for TailLost {
    fn restore(&mut self, log: &mut Vec<Durable>) {
        let certified = |entry: &Durable| matches!(entry, Durable::Certified(_));
        let ends: Vec<usize> = (0..log.len()).filter(|at| certified(&log[*at])).collect();
        if let [.., before, _] = ends[..] {
            log.truncate(before + 1);
        }
    }
}
