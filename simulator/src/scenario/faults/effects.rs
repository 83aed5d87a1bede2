//! Faults of members: processes, clocks, disks, versions, lies.

use super::{CORRELATE_KEYS, Reader};
use crate::{
    scenario::{
        Duration, FaultDetail,
        behaviours::BEHAVIOURS,
        error::Problem,
        groups::MAX_FACTOR,
        reading::{Field, Read},
    },
    schedule::Effect,
};

/// Largest deviation of a clock: a fifth.
const MAX_PPM: i64 = 200_000;
/// The most crashes of a loop.
const MAX_CRASHES: u64 = 10_000;

impl Reader<'_, '_> {
    /// Kinds that do one thing to each target, and those that draw.
    pub(super) fn on_members(&self) -> Read<(Vec<u32>, FaultDetail)> {
        let targets = self.targets()?;
        let detail = match self.kind.name {
            "churn" => self.churn()?,
            "leave-all-but-k" => self.leave_all_but(&targets)?,
            "crash-loop" => {
                let times = self
                    .table
                    .need("times", "times = 5")?
                    .whole(1, MAX_CRASHES)?;
                FaultDetail::CrashLoop {
                    times: u32::try_from(times).expect("the range fits"),
                    up_us: self.time_us("up")?,
                    down_us: self.time_us("down")?,
                }
            }
            "rolling-upgrade" => FaultDetail::RollingUpgrade {
                every_us: self.time_us("every")?,
                down_us: self.time_us("down")?,
            },
            _ => {
                let effects = targets.iter().map(|member| self.of_member(*member));
                FaultDetail::Direct(effects.collect::<Read<_>>()?)
            }
        };
        Ok((targets, detail))
    }

    fn of_member(&self, member: u32) -> Read<Effect> {
        Ok(match self.kind.name {
            "bandwidth" => {
                let rate = self.table.need("rate", "rate = \"10Mbit\"")?.rate()?;
                let (up, down) = (Some(rate), Some(rate));
                Effect::Bandwidth { member, up, down }
            }
            "asymmetric-bandwidth" => self.asymmetric(member)?,
            "crash" => Effect::Down { member },
            "pause" => Effect::Pause { member },
            "slow" => Effect::Slow {
                member,
                factor: self.factor(1.0)?,
            },
            "join-storm" => Effect::Join { member },
            "skew" => Effect::ClockSkew {
                member,
                by_us: signed_time_us(&self.table.need("by", "by = \"-5m\"")?)?,
            },
            "drift" => Effect::ClockDrift {
                member,
                ppm: self.ppm()?,
            },
            "step-back" => Effect::ClockStepBack {
                member,
                by_us: self.time_us("by")?,
            },
            "torn-write" => Effect::TornWrite { member },
            "lost-fsync" => Effect::LostFsync { member },
            "bitrot" => Effect::Bitrot { member },
            "full" => Effect::DiskFull { member },
            "rollback" => Effect::Rollback {
                member,
                by_us: self.time_us("by")?,
            },
            "mixed-config" => Effect::MixedConfig {
                member,
                factor: self.factor(0.01)?,
            },
            "byzantine" => self.byzantine(member)?,
            "leave" => Effect::Leave { member },
            "expel" => Effect::Expel { member },
            "bit-flip" => Effect::BitFlip { member },
            other => unreachable!("{other} is no kind of fault of members"),
        })
    }

    fn asymmetric(&self, member: u32) -> Read<Effect> {
        let rate = |key| self.table.field(key).map(|field| field.rate()).transpose();
        let (up, down) = (rate("up")?, rate("down")?);
        if up.is_none() && down.is_none() {
            let (key, example) = ("up", "up = \"10Mbit\", down, or both");
            let place = format!("[[fault]] of kind {}", self.kind.name);
            return self.table.refuse(Problem::Missing {
                place,
                key,
                example,
            });
        }
        Ok(Effect::Bandwidth { member, up, down })
    }

    fn factor(&self, low: f64) -> Read<f64> {
        self.table
            .need("factor", "factor = 20.0")?
            .real(low, MAX_FACTOR)
    }

    fn ppm(&self) -> Read<i64> {
        let field = self.table.need("ppm", "ppm = 200")?;
        let found = field.signed()?;
        match (-MAX_PPM..=MAX_PPM).contains(&found) {
            true => Ok(found),
            false => field.outside(-MAX_PPM, MAX_PPM, found),
        }
    }

    fn byzantine(&self, member: u32) -> Read<Effect> {
        let field = self.table.need("behaviour", "behaviour = \"withhold\"")?;
        let found = field.text("the name of a lie in quotes")?;
        let Some(behaviour) = BEHAVIOURS.iter().find(|known| known.name == found) else {
            return field.unknown(
                "behaviour",
                found,
                BEHAVIOURS.iter().map(|known| known.name),
            );
        };
        if let Some(why) = behaviour.missing {
            return field.contradicts(format!("{found} cannot be told: {why}"));
        }
        let strength = match (self.table.field("strength"), behaviour.strength) {
            (None, _) => None,
            (Some(field), Some(_)) => Some(field.real(behaviour.least, MAX_FACTOR)?),
            (Some(field), None) => {
                return field.contradicts(format!("{found} has no measure: remove it"));
            }
        };
        Ok(Effect::Byzantine {
            member,
            behaviour: found.to_owned(),
            strength,
        })
    }

    fn leave_all_but(&self, targets: &[u32]) -> Read<FaultDetail> {
        let of_each = targets.len() as u64 / u64::from(self.members.federations);
        let field = self.table.need("k", "k = 4")?;
        let keep = field.whole(0, u64::MAX >> 1)?;
        if keep == 0 {
            return field.contradicts("somebody has to stay: raise it");
        }
        if keep >= of_each {
            return field.contradicts(format!(
                "nobody of {of_each} would leave: lower it, or name more targets"
            ));
        }
        let keep = u32::try_from(keep).expect("fewer than the targets");
        Ok(FaultDetail::LeaveAllBut { keep })
    }

    fn churn(&self) -> Read<FaultDetail> {
        let up = duration(&self.table.need("up", "up = \"exp:1.2h\"")?)?;
        let down = duration(&self.table.need("down", "down = \"exp:23m\"")?)?;
        let (mut correlated, mut within_us) = (0.0, 0);
        if let Some(table) = self.table.table("correlate")? {
            table.only(&CORRELATE_KEYS)?;
            correlated = table.need("probability", "probability = 0.92")?.share()?;
            within_us = table.need("within", "within = \"3m\"")?.some_time_us()?;
        }
        Ok(FaultDetail::Churn {
            up,
            down,
            correlated,
            within_us,
        })
    }
}

/// `"20m"`, `"exp:1.2h"`, `"uniform:10m..20m"`.
fn duration(field: &Field<'_>) -> Read<Duration> {
    use crate::scenario::{reading::cut, units};
    const EXPECTED: &str = "a time (\"20m\"), its mean (\"exp:1.2h\") or its range \
         (\"uniform:10m..20m\"), not zero";
    let text = field.text(EXPECTED)?;
    let time = |text: &str| match units::time_us(text) {
        Ok(0) => Err("zero would do nothing"),
        other => other,
    };
    let read = || -> Result<Duration, &'static str> {
        if let Some(mean) = text.strip_prefix("exp:") {
            return Ok(Duration::Exponential(time(mean)?));
        }
        let Some(range) = text.strip_prefix("uniform:") else {
            return Ok(Duration::Fixed(time(text)?));
        };
        let (low, high) = range.split_once("..").ok_or("the .. is missing")?;
        let (low, high) = (time(low)?, time(high)?);
        if low > high {
            return Err("it ends before it begins");
        }
        Ok(Duration::Uniform(low, high))
    };
    read().or_else(|hint| {
        field.refuse(Problem::Unit {
            key: field.key.clone(),
            expected: EXPECTED,
            found: cut(text),
            hint,
        })
    })
}

/// A time that may be negative.
fn signed_time_us(field: &Field<'_>) -> Read<i64> {
    use crate::scenario::{reading::cut, units};
    const EXPECTED: &str = "a time that may be negative, not zero, for example \"-5m\"";
    let text = field.text(EXPECTED)?;
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text),
    };
    let hint = match units::time_us(rest) {
        Ok(0) => "zero would do nothing",
        Ok(us) => return Ok(sign * i64::try_from(us).expect("ten years fit")),
        Err(hint) => hint,
    };
    field.refuse(Problem::Unit {
        key: field.key.clone(),
        expected: EXPECTED,
        found: cut(text),
        hint,
    })
}
