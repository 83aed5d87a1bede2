//! What one member's time went into.

use super::{STATE, faults::FaultyTimes};
use crate::report::{Activity, MemberFindings, Span, Spent};

/// Spans kept of one member; its sums are of all.
const MOST_SPANS: usize = 4096;

/// One member of the first federation.
#[derive(Clone, Debug, Default)]
pub(super) struct Track {
    spans: Vec<Span>,
    cut: bool,
    spent: Spent,
    /// What it does, and since when.
    pub doing: Option<(Activity, u64)>,
    /// Until when it trains, and then encodes.
    pub computing_until: Option<(u64, u64)>,
    /// What it did when it was frozen.
    pub frozen: Option<Activity>,
    pub sending: u32,
    pub bytes: [u64; STATE + 1],
    pub memory_high: u64,
    pub queue_high: u64,
    pub counted: u64,
}

impl Track {
    /// It ends what it did from one moment to another.
    pub fn close(&mut self, doing: Activity, (since, now): (u64, u64), faulty: &FaultyTimes) {
        if doing != Activity::Compute {
            return self.keep(doing, (since, now), faulty);
        }
        // Encoding, and waiting for others after it, begin where the inner steps end, told or not.
        let (trained, encoded) = self.computing_until.take().unwrap_or((now, now));
        let trained = trained.clamp(since, now);
        let encoded = encoded.clamp(trained, now);
        self.keep(Activity::Compute, (since, trained), faulty);
        self.keep(Activity::Encode, (trained, encoded), faulty);
        self.keep(Activity::Wait, (encoded, now), faulty);
    }

    fn keep(&mut self, activity: Activity, (from_us, to_us): (u64, u64), faulty: &FaultyTimes) {
        if from_us == to_us {
            return;
        }
        *self.spent.of(activity) += to_us - from_us;
        if matches!(activity, Activity::Wait | Activity::Send) {
            self.spent.idle_faults_us += faulty.within(from_us, to_us);
        }
        if self.spans.len() >= MOST_SPANS {
            self.cut = true;
            return;
        }
        self.spans.push(Span {
            from_us,
            to_us,
            activity,
        });
    }

    /// What is told of it; bytes are the caller's to fill in.
    pub fn findings(
        &self,
        (name, group): (&str, &str),
        lies: Option<String>,
        now: u64,
        faulty: &FaultyTimes,
    ) -> MemberFindings {
        let mut track = self.clone();
        if let Some((doing, since)) = track.doing {
            track.close(doing, (since, now), faulty);
        }
        MemberFindings {
            name: name.to_owned(),
            group: group.to_owned(),
            lies,
            spans: track.spans,
            spans_cut: track.cut,
            utilisation: track.spent.training_us as f64 / track.spent.up_us().max(1) as f64,
            spent: track.spent,
            memory_high: track.memory_high,
            queue_high: track.queue_high,
            counted: track.counted,
            ..MemberFindings::default()
        }
    }
}
