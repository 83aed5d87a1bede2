//! What members' time went into besides training, in words: waiting, with and without faults,
//! encoding, sending, and time down.

use super::{Findings, Spent, units};

/// Least share that is told.
const LEAST: f64 = 0.0005;

/// The mean shares of all members.
struct Shares {
    waiting: f64,
    /// Of `waiting`.
    under_faults: f64,
    sending: f64,
    encoding: f64,
    catching_up: f64,
    /// Of the whole time, the others of the time up.
    down: f64,
}

/// Names of rows and what they say; none where no member ran.
pub(crate) fn rest(findings: &Findings) -> Vec<(&'static str, String)> {
    let Some(shares) = Shares::of(findings) else {
        return Vec::new();
    };
    let share = |(share, of): (f64, &str)| {
        (share >= LEAST).then(|| format!("{of} {}", units::percent(share)))
    };
    let idle = shares.waiting + shares.sending;
    let mut waiting = match shares.sending >= LEAST {
        true => format!(
            "{}, {} of it while sending",
            units::percent(idle),
            units::percent(shares.sending)
        ),
        false => units::percent(idle),
    };
    waiting += &match shares.under_faults >= LEAST {
        true => format!(
            "; {} while a fault lasted",
            units::percent(shares.under_faults)
        ),
        false => String::new(),
    };
    let work = [
        (shares.encoding, "encoding and folding"),
        (shares.catching_up, "catching up"),
    ];
    let mut work: Vec<String> = work.into_iter().filter_map(share).collect();
    if shares.down >= LEAST {
        work.push(format!("down {} of all time", units::percent(shares.down)));
    }
    let mut rows = vec![("waiting", waiting)];
    if !work.is_empty() {
        rows.push(("other time", work.join(", ")));
    }
    rows
}

/// Everything in one sentence.
pub(crate) fn sentence(findings: &Findings) -> String {
    let rows = rest(findings);
    let said = rows.iter().map(|(name, text)| format!("{name}: {text}"));
    said.collect::<Vec<_>>().join("; ")
}

impl Shares {
    fn of(findings: &Findings) -> Option<Self> {
        let ran = findings.members.iter().map(|member| member.spent);
        let ran: Vec<Spent> = ran.filter(|spent| spent.up_us() > 0).collect();
        if ran.is_empty() {
            return None;
        }
        let mean = |part: fn(&Spent) -> u64, whole: fn(&Spent) -> u64| {
            let share = |spent: &Spent| part(spent) as f64 / whole(spent).max(1) as f64;
            ran.iter().map(share).sum::<f64>() / ran.len() as f64
        };
        Some(Self {
            waiting: mean(|s| s.waiting_us, Spent::up_us),
            under_faults: mean(|s| s.idle_faults_us, Spent::up_us),
            sending: mean(|s| s.sending_us, Spent::up_us),
            encoding: mean(|s| s.encoding_us, Spent::up_us),
            catching_up: mean(|s| s.catching_up_us, Spent::up_us),
            down: mean(|s| s.down_us, |s| s.up_us() + s.down_us),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{super::MemberFindings, *};

    #[test]
    fn waiting_beside_faults_is_told_apart_from_work() {
        let spent = Spent {
            training_us: 600,
            encoding_us: 50,
            sending_us: 50,
            waiting_us: 300,
            idle_faults_us: 250,
            down_us: 1_000,
            ..Spent::default()
        };
        let member = MemberFindings {
            spent,
            ..MemberFindings::default()
        };
        let findings = Findings {
            members: vec![member, MemberFindings::default()],
            ..Findings::default()
        };
        let wanted = [
            (
                "waiting",
                "35.0 %, 5.0 % of it while sending; 25.0 % while a fault lasted",
            ),
            (
                "other time",
                "encoding and folding 5.0 %, down 50.0 % of all time",
            ),
        ];
        let wanted = wanted.map(|(name, text)| (name, text.to_owned()));
        assert_eq!(rest(&findings), wanted);
        assert_eq!(rest(&Findings::default()), []);
    }
}
