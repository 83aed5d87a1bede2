//! R1 to R5: an honest member takes no more than its share, whatever others do to it.
//!
//! **R1** memory and **R2** messages waiting, at any moment. **R3** bytes written and **R4** bytes
//! sent (messages, times their receivers; bulk not counted), from one certified round to the next.
//! A round may last long through no fault of the member, and what is outstanding is sent again
//! while it lasts, so each of the plan's longest deadlines that a round lasts counts as a round.
//! **R5** messages sent (times their receivers) in any second of virtual time. Each is told once a
//! member.

use super::{
    Invariant,
    interest::Interest,
    name::{Blame, Name},
    scene::{House, Scene},
};
use crate::{
    scenario::Limits,
    seen::{Parcel, Seen},
};
use archipel_protocol::{ids::Timestamp, member::Event};

/// Microseconds in a second.
const SECOND: u64 = 1_000_000;

/// What one member took.
#[derive(Clone, Copy, Debug, Default)]
struct Use {
    /// When its round began.
    begun: Timestamp,
    written: u64,
    written_before: u64,
    sent: u64,
    second: u64,
    messages: u64,
    told: [bool; 5],
}

/// What the members of one federation took.
#[derive(Debug)]
pub(super) struct Resources {
    limits: Limits,
    uses: Vec<Use>,
    others: u64,
    round_us: u64,
}

impl Resources {
    /// Before anybody took anything.
    pub fn new(house: &House, limits: Limits) -> Self {
        let members = house.given.members.len();
        let ceiling = house.given.plan.timing.deadline_ceiling_ms;
        Self {
            limits,
            uses: vec![Use::default(); members],
            others: (members as u64).saturating_sub(1),
            round_us: ceiling.saturating_mul(1000).max(1),
        }
    }

    fn on_sent(
        &mut self,
        scene: Scene<'_>,
        (parcel, to): (&Parcel, Option<u32>),
        blame: &mut Blame,
    ) {
        let copies = if to.is_some() { 1 } else { self.others };
        let used = &mut self.uses[scene.slot];
        used.sent += copies * u64::from(parcel.bytes);
        let second = scene.moment.now.0 / SECOND;
        if second != used.second {
            (used.second, used.messages) = (second, 0);
        }
        used.messages += copies;
        if used.messages > self.limits.messages_second {
            let (found, limit) = (used.messages, self.limits.messages_second);
            self.tell(
                scene,
                Name::R5,
                (found, limit),
                "messages in one second",
                blame,
            );
        }
        if self.uses[scene.slot].sent > self.limits.bytes_round {
            let (found, limit) = (
                self.uses[scene.slot].sent,
                self.allowed(scene, self.limits.bytes_round),
            );
            if found > limit {
                self.tell(
                    scene,
                    Name::R4,
                    (found, limit),
                    "bytes sent in one round",
                    blame,
                );
            }
        }
    }

    /// A limit of one round, times the rounds that this one's length stands for.
    fn allowed(&self, scene: Scene<'_>, limit: u64) -> u64 {
        let lasted = scene.moment.now.since(self.uses[scene.slot].begun);
        limit.saturating_mul(1 + lasted / self.round_us)
    }

    fn on_resources(
        &mut self,
        scene: Scene<'_>,
        (queue, memory, written): (u64, u64, u64),
        blame: &mut Blame,
    ) {
        let limits = self.limits;
        if memory > limits.memory_bytes {
            self.tell(
                scene,
                Name::R1,
                (memory, limits.memory_bytes),
                "bytes of memory",
                blame,
            );
        }
        if queue > limits.queue {
            self.tell(
                scene,
                Name::R2,
                (queue, limits.queue),
                "messages waiting",
                blame,
            );
        }
        self.uses[scene.slot].written = written;
        let found = written.saturating_sub(self.uses[scene.slot].written_before);
        let limit = self.allowed(scene, limits.disk_bytes_round);
        if found > limit {
            self.tell(
                scene,
                Name::R3,
                (found, limit),
                "bytes written in one round",
                blame,
            );
        }
    }

    fn tell(
        &mut self,
        scene: Scene<'_>,
        name: Name,
        (found, limit): (u64, u64),
        what: &str,
        blame: &mut Blame,
    ) {
        let told = &mut self.uses[scene.slot].told[name as usize - Name::R1 as usize];
        if !std::mem::replace(told, true) {
            let round = scene.facts.members[scene.slot].round.unwrap_or_default();
            blame.fire(
                name,
                &scene,
                round,
                format!("{found} {what}, at most {limit}"),
            );
        }
    }
}

impl Invariant for Resources {
    fn interest(&self) -> Interest {
        Interest::ALL_SENT
            .or(Interest::RESOURCES)
            .or(Interest::TOLD)
    }

    fn see(&mut self, scene: Scene<'_>, seen: &Seen<'_>, blame: &mut Blame) {
        if !scene.honest {
            return;
        }
        match seen {
            Seen::Sent { parcel, to } => self.on_sent(scene, (parcel, *to), blame),
            Seen::Resources {
                queue,
                memory,
                written,
            } => self.on_resources(scene, (*queue, *memory, *written), blame),
            Seen::Told(Event::Certified { .. }) => {
                let used = &mut self.uses[scene.slot];
                (used.begun, used.sent) = (scene.moment.now, 0);
                used.written_before = used.written;
            }
            _ => {}
        }
    }
}
