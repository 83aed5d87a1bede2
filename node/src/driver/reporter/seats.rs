//! Who is in a cut and who missed it, whose seat changed, what is to be voted on.

use super::{MAX_MISSED, MissedLine, Reporter, count, events, words};
use crate::control::describe;
use archipel_protocol::{
    ids::{Digest, MemberId, Round, View},
    ledger::{Act, Membership, Status as Seat},
    member::{Member, Standing},
};
use std::collections::BTreeMap;

impl Reporter {
    /// A cut is final: tells who is in it, and who was waited for and is not.
    pub(super) fn agreed(
        &mut self,
        (round, view): (Round, View),
        included: &[MemberId],
        proposer: &MemberId,
        member: &Member,
    ) {
        for id in member.membership().voters() {
            let (counted, cuts) = self.counted.entry(id).or_default();
            *counted += u64::from(included.contains(&id));
            *cuts += 1;
        }
        let missed = member.missed().into_iter();
        let missed: Vec<events::Missed> = missed.map(|one| self.missed(one)).collect();
        for events::Missed { name, why } in &missed {
            tracing::info!("round {round}: {name} is not in the cut: {why}");
            if self.status.missed.len() == MAX_MISSED {
                self.status.missed.remove(0);
            }
            let (name, why) = (name.clone(), why.clone());
            self.status.missed.push(MissedLine { round, name, why });
        }
        let included = included.iter().map(|id| self.name(id)).collect();
        let proposer = self.name(proposer);
        self.say(&events::Event::Agreed {
            round,
            view,
            included,
            proposer,
            missed,
        });
    }

    fn missed(&self, (id, standing): (MemberId, Standing)) -> events::Missed {
        let is_me = id == self.status.member;
        let connected = is_me || self.waits.is_connected(&id);
        let observes = is_me && self.telling.observes;
        let why = match observes {
            true => "this node observes: it trains nothing",
            false => words::missed(standing, is_me, connected),
        };
        events::Missed {
            name: self.name(&id),
            why: why.to_owned(),
        }
    }

    /// The membership of the present epoch: names, and whose seat is another.
    pub fn membership(&mut self, membership: &Membership) {
        let before = std::mem::take(&mut self.seats);
        self.learn(membership);
        let epoch = membership.epoch();
        let mut changed = false;
        for seat in membership.seats() {
            let was = before.get(&seat.id).copied();
            if was == Some(seat.status) {
                continue;
            }
            changed = true;
            let who = (seat.name.as_str(), seat.id == self.status.member);
            tracing::info!("{}", words::seat_change(who, (was, seat.status), epoch));
            let name = seat.name.clone();
            if seat.status == Seat::Voting {
                let name = name.clone();
                self.say(&events::Event::Joined { name, epoch });
            }
            let seat = words::seat(seat.status).to_owned();
            self.say(&events::Event::Seat { name, seat, epoch });
        }
        if changed {
            let (voters, quorum) = (membership.voters().len(), membership.quorum());
            let tolerance = words::tolerance(membership);
            tracing::info!(
                "epoch {epoch}: {voters} members vote, {quorum} votes decide; {tolerance}"
            );
        }
    }

    pub(super) fn learn(&mut self, membership: &Membership) {
        let seats = membership.seats();
        self.names
            .extend(seats.iter().map(|seat| (seat.id, seat.name.clone())));
        let statuses: BTreeMap<_, _> = seats.iter().map(|seat| (seat.id, seat.status)).collect();
        self.seats = statuses;
    }

    /// An amendment is open: tells what it does, and how to agree to it.
    pub(super) fn amendment(
        &mut self,
        digest: &Digest,
        act: &Act,
        (consents, needed): (usize, usize),
    ) {
        let does = describe(act, &|id| self.name(id));
        let dir = self.telling.dir.display();
        let short = digest.short();
        match consents {
            // Its proposer's consent comes right behind it.
            0 => {}
            _ if consents >= needed => tracing::info!(
                "amendment {short}: {does}; {consents} of {needed} members agree, which is \
                 enough: the next block carries it"
            ),
            _ => tracing::info!(
                "amendment {short}: {does}; {consents} of {needed} members agree. To agree: \
                 `archipel charter vote --dir {dir} {short}`"
            ),
        }
        self.say(&events::Event::Amendment {
            amendment: *digest,
            does,
            consents: count(consents),
            needed: count(needed),
        });
    }
}
