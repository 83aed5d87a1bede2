//! Faults of links: between two sides, or all links of some members.

use super::Reader;
use crate::{
    scenario::{
        FaultDetail,
        error::Problem,
        reading::{Field, Read},
    },
    schedule::{Effect, Links, expand},
};
use std::collections::BTreeSet;

/// The most sides of a partition.
const MAX_SIDES: u64 = 64;

/// Which way of a link is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    Both,
    Forward,
    Back,
}

impl Direction {
    fn links(self, one: &[u32], other: &[u32]) -> Links {
        let (from, to) = match self {
            Self::Both | Self::Forward => (one, other),
            Self::Back => (other, one),
        };
        Links {
            from: from.to_vec(),
            to: to.to_vec(),
            both: self == Self::Both && from != to,
        }
    }
}

impl Reader<'_, '_> {
    /// Kinds that do one thing to each link.
    pub(super) fn on_links(&self) -> Read<(Vec<u32>, FaultDetail)> {
        let (targets, links) = self.links()?;
        let effects = links.into_iter().map(|links| self.effect(links));
        Ok((targets, FaultDetail::Direct(effects.collect::<Read<_>>()?)))
    }

    fn effect(&self, links: Links) -> Read<Effect> {
        Ok(match self.kind.name {
            "latency" => Effect::Latency {
                links,
                add_us: self.time_us("add")?,
            },
            "jitter-burst" => Effect::Jitter {
                links,
                up_to_us: self.time_us("up_to")?,
            },
            "loss" => Effect::Loss {
                links,
                probability: self.probability("probability")?,
            },
            "burst-loss" => Effect::BurstLoss {
                links,
                enter: self.probability("enter")?,
                leave: self.probability("leave")?,
                probability: match self.table.field("probability") {
                    None => 1.0,
                    Some(field) => field.share()?,
                },
            },
            "duplicate" => Effect::Duplicate {
                links,
                probability: self.probability("probability")?,
            },
            "reorder" => Effect::Reorder {
                links,
                probability: self.probability("probability")?,
                by_us: self.time_us("by")?,
            },
            "corrupt" => Effect::Corrupt {
                links,
                probability: self.probability("probability")?,
            },
            "reset" => Effect::Reset { links },
            "blackhole" | "half-open" | "partition" | "isolate" => Effect::Cut { links },
            other => unreachable!("{other} is no kind of fault of links"),
        })
    }

    /// Cuts links one by one.
    pub(super) fn swizzle(&self) -> Read<(Vec<u32>, FaultDetail)> {
        let (targets, mut links) = self.links()?;
        let links = match (links.pop(), links.is_empty()) {
            (Some(links), true) => links,
            _ => {
                let field = self.table.need("sides", "sides = [[\"eu\"], [\"us\"]]")?;
                return field.contradicts("swizzle takes two sides: name two, or targets");
            }
        };
        let size = self.members.specs.len() as u32;
        let pairs = expand::pairs(&links, size, 0).len().max(1) as u64;
        let lasts = self.for_us.unwrap_or_default();
        let every_us = match self.table.field("every") {
            // A third of the time for cutting, a third for restoring.
            None => lasts / (3 * pairs),
            Some(field) => field.some_time_us()?,
        };
        if every_us == 0 || every_us.saturating_mul(2 * pairs) > lasts {
            let key = "fault.for".to_owned();
            let why = format!(
                "cutting {pairs} links one by one and restoring them takes longer: \
                 lengthen `for`, or shorten `every`"
            );
            return self.table.refuse(Problem::Contradiction { key, why });
        }
        Ok((targets, FaultDetail::Swizzle { links, every_us }))
    }

    /// Kinds that send messages through a third member.
    pub(super) fn relayed(&self) -> Read<(Vec<u32>, FaultDetail)> {
        let field = self.table.need("through", "through = \"eu-1\"")?;
        let relays = self.members.resolve(&field)?;
        let size = self.members.specs.len() as u32;
        if relays.windows(2).any(|two| two[0] / size == two[1] / size) {
            return field.contradicts("expected one member: name it, not a group");
        }
        let (targets, pairs) = match self.kind.name {
            "bridge" => self.sides()?,
            _ => match self.ends()? {
                Some(ends) => ends,
                None => {
                    let targets = self.targets()?;
                    let others = self.others(&targets);
                    let links = self.direction()?.links(&targets, &others);
                    (targets, vec![links])
                }
            },
        };
        if let Some(relay) = relays.iter().find(|relay| targets.contains(relay)) {
            let member = self.members.name_of(*relay);
            let key = field.key.clone();
            return field.refuse(Problem::Overlap { key, member });
        }
        let mut effects = Vec::new();
        for (links, relay) in pairs
            .iter()
            .flat_map(|p| relays.iter().map(move |r| (p, *r)))
        {
            let near = |at: &&u32| **at / size == relay / size && **at != relay;
            let links = Links {
                from: links.from.iter().filter(near).copied().collect(),
                to: links.to.iter().filter(near).copied().collect(),
                both: links.both,
            };
            let through = relay;
            effects.push(Effect::Relay { links, through });
        }
        Ok((targets, FaultDetail::Direct(effects)))
    }

    /// The members concerned, and the links that `sides`, `targets` and `direction` mean.
    fn links(&self) -> Read<(Vec<u32>, Vec<Links>)> {
        if let Some(ends) = self.ends()? {
            return Ok(ends);
        }
        let (sides, targets) = (self.table.field("sides"), self.table.field("targets"));
        match (sides, targets) {
            (Some(sides), Some(_)) => sides.contradicts("give sides or targets, not both"),
            (Some(_), None) => self.sides(),
            (None, None) if self.kind.name == "partition" => self.sides(),
            (None, None) if self.kind.name == "isolate" => self.targets().map(|t| (t, vec![])),
            (None, None) => {
                let all = self.members.everybody();
                let links = self.direction()?.links(&all, &all);
                Ok((all, vec![links]))
            }
            (None, Some(field)) => {
                let targets = self.members.resolve(&field)?;
                let others = match self.kind.name {
                    "isolate" => self.others(&targets),
                    _ => self.members.everybody(),
                };
                if others.is_empty() {
                    return field.contradicts("nobody is left to cut them from: name fewer");
                }
                let links = self.direction()?.links(&targets, &others);
                Ok((targets, vec![links]))
            }
        }
    }

    /// The links from each of `from` to each of `to`, where they are given.
    fn ends(&self) -> Read<Option<(Vec<u32>, Vec<Links>)>> {
        let (from, to) = (self.table.field("from"), self.table.field("to"));
        let Some(first) = from.or(to) else {
            return Ok(None);
        };
        if ["sides", "targets"]
            .iter()
            .any(|key| self.table.field(key).is_some())
        {
            return first.contradicts("give from and to, or targets, or sides: one of the three");
        }
        let end = |key| -> Read<Vec<u32>> {
            let field = self
                .table
                .need(key, "from = [\"eu\"] and to = [\"us-1\"]")?;
            // A schedule that was drawn may have links of nobody left; written down, they stay.
            if field.is_list() && field.list("")?.is_empty() {
                return Ok(Vec::new());
            }
            self.members.resolve(&field)
        };
        let (from, to) = (end("from")?, end("to")?);
        let ends: BTreeSet<u32> = from.iter().chain(&to).copied().collect();
        let direction = self.direction()?;
        let mut links = direction.links(&from, &to);
        links.both = direction == Direction::Both;
        Ok(Some((ends.into_iter().collect(), vec![links])))
    }

    /// Everybody who is on a side, and the links between each two sides.
    fn sides(&self) -> Read<(Vec<u32>, Vec<Links>)> {
        let field = self.table.need("sides", "sides = [[\"eu\"], [\"us\"]]")?;
        let sides = self.side_lists(&field)?;
        let mut taken = BTreeSet::new();
        for position in sides.iter().flatten() {
            if !taken.insert(*position) {
                let key = field.key.clone();
                let member = self.members.name_of(*position);
                return field.refuse(Problem::Overlap { key, member });
            }
        }
        let direction = self.direction()?;
        let mut links = Vec::new();
        for (index, one) in sides.iter().enumerate() {
            let later = sides.iter().skip(index + 1);
            links.extend(later.map(|other| direction.links(one, other)));
        }
        Ok((taken.into_iter().collect(), links))
    }

    fn side_lists(&self, field: &Field<'_>) -> Read<Vec<Vec<u32>>> {
        let lists =
            field.list("two or more sides, for example [[\"eu\"], [\"us\", \"asia-1\"]]")?;
        if !(2..=MAX_SIDES).contains(&(lists.len() as u64)) {
            return field.outside("2 sides", MAX_SIDES, lists.len());
        }
        lists
            .iter()
            .map(|side| self.members.resolve(side))
            .collect()
    }

    fn direction(&self) -> Read<Direction> {
        let names = [
            ("both", Direction::Both),
            ("forward", Direction::Forward),
            ("back", Direction::Back),
        ];
        let one_way = self.kind.name == "half-open";
        match self.table.field("direction") {
            None if one_way => Ok(Direction::Forward),
            None => Ok(Direction::Both),
            Some(field) => match field.one_of("direction", &names)? {
                Direction::Both if one_way => field.contradicts(
                    "half-open loses one way only: \"forward\" or \"back\", or take blackhole",
                ),
                direction => Ok(direction),
            },
        }
    }

    /// Everybody but these.
    fn others(&self, targets: &[u32]) -> Vec<u32> {
        let mut all = self.members.everybody();
        all.retain(|position| !targets.contains(position));
        all
    }
}
