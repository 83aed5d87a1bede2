//! What is told of keys that were refused: here at the gate, or by a member's node.

use super::Machine;
use crate::net::{Answer, RefusedKey, short};
use archipel_protocol::{
    ids::MemberId,
    ledger::{Membership, Status},
};
use libp2p::Multiaddr;

impl Machine {
    /// What is told of a key that this node refused.
    pub(super) fn refused(&self, refused: &RefusedKey) -> String {
        let me = self.parts.net.me();
        refused_here(refused, &me, self.parts.member.membership())
    }

    /// What is told when a member's node closes the door.
    pub(super) fn shut_out(
        &self,
        (member, address): (&MemberId, &Multiaddr),
        answer: &Answer,
        times: u32,
    ) -> String {
        let name = self.parts.reporter.name(member);
        let me = self.parts.net.me();
        let what = match answer {
            Answer::KeyRefused => refused_there(&me, self.parts.member.membership()),
            answer => format!("{answer}: compare the charters"),
        };
        format!(
            "{name} at {}: {what} ({})",
            short(address),
            count(times.into())
        )
    }
}

fn refused_here(refused: &RefusedKey, me: &MemberId, membership: &Membership) -> String {
    let (epoch, times) = (membership.epoch().0, count(refused.times));
    let address = short(&refused.address);
    let Some(key) = refused.member else {
        return format!("refused a node at {address}: its key is of no kind that members have");
    };
    let seat = membership.seat(&key);
    let who = match seat {
        _ if key == *me => {
            return format!(
                "refused a node at {address} with this site's own key ({times}): does a second \
                 node run with it? Stop one: two nodes with one key lose rounds, and may be \
                 convicted of contradicting each other"
            );
        }
        Some(seat) if seat.status == Status::Removed => {
            format!(
                "with the key of {}, which is removed in epoch {epoch}",
                seat.name
            )
        }
        Some(seat) => format!("with the key of {}, not admitted here yet", seat.name),
        None => format!(
            "with key {}, which is no member's in epoch {epoch}",
            key.short()
        ),
    };
    format!("refused a node at {address} {who} ({times})")
}

fn refused_there(me: &MemberId, membership: &Membership) -> String {
    let epoch = membership.epoch().0;
    let key = me.short();
    match membership.seat(me).map(|seat| seat.status) {
        None => format!(
            "its node refused this site's key {key}: it is no member's in epoch {epoch}. A member \
             proposes to admit it (`archipel charter propose admit`), and the others consent"
        ),
        Some(Status::Removed) => {
            format!("its node refused this site's key {key}: it is removed in epoch {epoch}")
        }
        Some(_) => format!(
            "its node refused this site's key {key}, though it is a member's in epoch {epoch} \
             here: were you removed meanwhile, or has it another charter?"
        ),
    }
}

fn count(times: u64) -> String {
    match times {
        1 => "once".to_owned(),
        times => format!("{times} times"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use archipel_protocol::{ids::Epoch, ledger::Seat};

    const ME: MemberId = MemberId([1; 32]);
    const GONE: MemberId = MemberId([2; 32]);
    const STRANGER: MemberId = MemberId([3; 32]);

    /// An epoch in which this site votes and another one is removed.
    fn membership() -> Membership {
        let seat = |id, name: &str, status| Seat {
            id,
            name: name.to_owned(),
            status,
        };
        let seats = [
            seat(ME, "gent", Status::Voting),
            seat(GONE, "porto", Status::Removed),
        ];
        let text = serde_json::json!({
            "epoch": Epoch(3), "seats": seats, "fault_model": "crash", "threshold": null,
        });
        serde_json::from_value(text).expect("a membership is plain data")
    }

    fn refusal(member: Option<MemberId>, times: u64) -> RefusedKey {
        RefusedKey {
            member,
            address: "/ip4/10.1.2.3/udp/4001/quic-v1"
                .parse()
                .expect("an address"),
            times,
            last: std::time::Instant::now(),
        }
    }

    #[test]
    fn who_was_refused_here_is_told_apart() {
        let cases = [
            (Some(ME), 2, "with this site's own key (2 times)"),
            (
                Some(GONE),
                1,
                "with the key of porto, which is removed in epoch 3 (once)",
            ),
            (
                Some(STRANGER),
                12,
                "which is no member's in epoch 3 (12 times)",
            ),
            (None, 1, "of no kind that members have"),
        ];
        for (member, times, expected) in cases {
            let text = refused_here(&refusal(member, times), &ME, &membership());
            assert!(text.contains("a node at 10.1.2.3 udp/4001"), "{text}");
            assert!(text.contains(expected), "{text}");
        }
    }

    #[test]
    fn who_is_refused_there_is_told_what_to_do() {
        let cases = [
            (STRANGER, "A member proposes to admit it"),
            (GONE, "it is removed in epoch 3"),
            (ME, "another charter?"),
        ];
        for (me, expected) in cases {
            let text = refused_there(&me, &membership());
            assert!(
                text.contains(&me.short()) && text.contains(expected),
                "{text}"
            );
        }
    }
}
