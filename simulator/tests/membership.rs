//! Joining, leaving, removal and return; repair and rollback; what members refuse.

use archipel_protocol::{
    ids::{BlobHash, MemberId, Round},
    ledger::{Act, Status},
    member::{Durable, Event, Input, Request},
    message::{Evidence, Message},
};
use archipel_simulator::{
    schedule::{Effect, Schedule, When, Window},
    seen::Payload,
    site::Keys,
    world::World,
};
use invented::{Cuts, Quality::Lossless, SECOND, announced, no_violation, round_of, start_all};
use std::sync::Arc;

mod invented;

fn world(seed: u64, rounds: u64) -> World {
    let mut world = sized(seed, 4, rounds);
    start_all(&mut world);
    world
}

/// A world whose checker lets honest members be voted out: the tests do that by hand.
fn sized(seed: u64, members: usize, rounds: u64) -> World {
    let mut scenario = invented::scenario(seed, members, rounds, Lossless);
    scenario.check.off = vec!["S10".to_owned()];
    invented::still(scenario)
}

fn reach(world: &mut World, round: u64) {
    assert!(
        world.run_until(600 * SECOND, |w| w.all_reached(round)),
        "round {round} is reached"
    );
    no_violation(world, "round {round}");
}

fn incidents(world: &World, site: usize, wanted: &str) -> usize {
    let of_site = world.events.iter().filter(|(_, who, _)| *who == site);
    of_site
        .filter(|(_, _, event)| matches!(event, Event::Incident { kind, .. } if *kind == wanted))
        .count()
}

fn refusals(world: &World, site: usize, from: MemberId, part: &str) -> usize {
    let of_site = world.events.iter().filter(|(_, who, _)| *who == site);
    of_site
        .filter(|(_, _, event)| match event {
            Event::Refused {
                from: found,
                reason,
            } => *found == from && reason.contains(part),
            _ => false,
        })
        .count()
}

/// Proposes at member 0, lets all others consent, and waits until it is in force.
fn amend(world: &mut World, act: Act) {
    let epoch = world.sites[0]
        .machine
        .as_ref()
        .expect("runs")
        .membership()
        .epoch();
    world.request(0, Request::Propose(act.clone()));
    let open = |w: &World, site: usize| {
        let machine = w.sites[site].machine.as_ref()?;
        let mut amendments = machine.amendments().into_iter();
        amendments.find(|open| open.1 == act).map(|open| open.0)
    };
    for site in 1..4 {
        if world.sites[site].machine.is_none() {
            continue;
        }
        assert!(
            world.run_until(10 * SECOND, |w| open(w, site).is_some()),
            "it reaches {site}"
        );
        let digest = open(world, site).expect("just seen");
        world.request(site, Request::Consent(digest));
    }
    let in_force = |w: &World| {
        w.sites[0]
            .machine
            .as_ref()
            .is_some_and(|m| m.membership().epoch() == epoch.next())
    };
    assert!(
        world.run_until(120 * SECOND, in_force),
        "the amendment takes effect"
    );
}

fn in_cut(world: &World, round: u64, id: &MemberId) -> bool {
    world
        .invariants
        .cut(0, Round(round))
        .is_some_and(|cut| cut.contains(id))
}

#[test]
fn an_admitted_member_trains_in_the_next_round_and_ends_on_the_common_root() {
    let mut world = sized(21, 5, 16);
    (0..4).for_each(|site| world.start(site));
    reach(&mut world, 2);
    let id = world.sites[4].id;
    // Out of the federation before it ever ran: its disk is empty when it is admitted.
    amend(&mut world, Act::Remove { id });
    amend(
        &mut world,
        Act::Admit {
            id,
            name: "member-5".to_owned(),
        },
    );
    let next = round_of(&world, 0);
    world.start(4);
    reach(&mut world, 16);
    assert!(
        in_cut(&world, next, &id),
        "its update of round {next} counts"
    );
    let root = world.root(0);
    assert!((0..5).all(|site| world.root(site) == root));
    let first = world.sites[4].disk.main.len();
    assert_eq!(first % 4, 0, "four records a round");
}

#[test]
fn a_removed_member_is_silent_and_trains_in_the_next_round_once_readmitted() {
    let mut world = world(22, 16);
    reach(&mut world, 2);
    let id = world.sites[3].id;
    amend(&mut world, Act::Remove { id });
    let removed = round_of(&world, 0);
    let three = |w: &World, round: u64| (0..3).all(|site| round_of(w, site) >= round);
    assert!(world.run_until(120 * SECOND, |w| three(w, removed + 3)));
    assert!((removed..removed + 3).all(|round| !in_cut(&world, round, &id)));
    amend(
        &mut world,
        Act::Admit {
            id,
            name: "member-4".to_owned(),
        },
    );
    let next = round_of(&world, 0);
    reach(&mut world, 16);
    assert!(in_cut(&world, next, &id), "it trains in round {next}");
}

#[test]
fn a_member_that_leaves_and_returns_at_once_trains_in_the_next_round() {
    let mut world = world(23, 12);
    reach(&mut world, 2);
    let id = world.sites[2].id;
    world.request(2, Request::Leave);
    let left = |w: &World| {
        let seat =
            |m: &archipel_protocol::member::Member| m.membership().seat(&id).map(|s| s.status);
        w.sites[2].machine.as_ref().and_then(seat) == Some(Status::Left)
    };
    assert!(world.run_until(60 * SECOND, left), "it left");
    let round = round_of(&world, 2);
    world.request(2, Request::Return);
    assert!(world.run_until(60 * SECOND, |w| !left(w)), "it returned");
    let next = round_of(&world, 0);
    assert!(next <= round + 2, "left at {round}, back at {next}");
    reach(&mut world, 12);
    assert!(in_cut(&world, next, &id), "it trains in round {next}");
}

/// True where a member knows that it has left.
fn has_left(world: &World, site: usize) -> bool {
    let id = world.sites[site].id;
    let machine = world.sites[site].machine.as_ref();
    let seat = machine.and_then(|m| m.membership().seat(&id).map(|seat| seat.status));
    seat == Some(Status::Left)
}

#[test]
fn a_member_that_left_follows_cheaply_through_epochs_and_returns_much_later() {
    let mut world = sized(29, 5, 30);
    start_all(&mut world);
    assert!(world.run_until(60 * SECOND, |w| w.all_reached(2)));
    let (id, left) = (world.sites[4].id, 4);
    world.request(left, Request::Leave);
    assert!(world.run_until(60 * SECOND, |w| has_left(w, 4)), "it left");
    // Another epoch opens and closes while it only follows.
    world.request(3, Request::Leave);
    assert!(world.run_until(120 * SECOND, |w| has_left(w, 3)));
    world.request(3, Request::Return);
    assert!(world.run_until(120 * SECOND, |w| !has_left(w, 3)));
    assert!(
        world.run_until(600 * SECOND, |w| w.all_reached(16)),
        "whoever follows knows how far the others are"
    );
    assert!(has_left(&world, 4));
    assert!(round_of(&world, left) < 10, "it fetches no states");
    world.request(left, Request::Return);
    assert!(
        world.run_until(120 * SECOND, |w| !has_left(w, 4)),
        "it returned"
    );
    let back = round_of(&world, 0);
    assert!(world.run_until(600 * SECOND, |w| w.all_reached(30)));
    no_violation(&world, "left and returned");
    let trains = (back..back + 3).any(|round| in_cut(&world, round, &id));
    assert!(trains, "it trains again from round {back} on");
}

#[test]
fn a_return_that_nobody_heard_is_said_again() {
    let mut world = sized(31, 5, 20);
    start_all(&mut world);
    assert!(world.run_until(60 * SECOND, |w| w.all_reached(2)));
    world.request(4, Request::Leave);
    assert!(world.run_until(60 * SECOND, |w| has_left(w, 4)));
    let mut cuts = Cuts::default();
    (0..4).for_each(|other| cuts.set(&mut world, 4, other, true));
    world.request(4, Request::Return);
    world.run_until(5 * SECOND, |_| false);
    assert!(has_left(&world, 4), "nobody heard it");
    (0..4).for_each(|other| cuts.set(&mut world, 4, other, false));
    assert!(
        world.run_until(120 * SECOND, |w| !has_left(w, 4)),
        "it returned"
    );
    no_violation(&world, "returned after a cut");
}

#[test]
fn a_suspended_member_is_not_waited_for() {
    let mut world = world(24, 8);
    reach(&mut world, 2);
    let id = world.sites[1].id;
    amend(&mut world, Act::Suspend { id });
    let from = round_of(&world, 0);
    let three = |w: &World| [0, 2, 3].iter().all(|site| round_of(w, *site) >= 8);
    assert!(world.run_until(120 * SECOND, three));
    assert!((from..8).all(|round| !in_cut(&world, round, &id)));
    no_violation(&world, "the run");
}

#[test]
fn a_flipped_bit_is_noticed_in_its_round_repaired_and_recorded() {
    let mut world = world(25, 8);
    reach(&mut world, 3);
    invented::flip_next_fold(&mut world, 1);
    let before = world.sites[1].disk.side.len();
    reach(&mut world, 4);
    let repaired = |w: &World| incidents(w, 1, "repair") == 1;
    assert!(world.run_until(SECOND / 2, repaired), "in its round");
    assert_eq!(incidents(&world, 1, "divergence"), 1);
    assert!(
        world.sites[1].disk.side.len() >= before + 2,
        "both stand in the side log"
    );
    reach(&mut world, 8);
    assert!((0..4).all(|site| world.root(site) == world.root(0)));
}

#[test]
fn a_restored_folder_signs_nothing_it_might_have_signed() {
    let mut world = world(26, 10);
    reach(&mut world, 2);
    let (member, by_us) = (0, 60 * SECOND);
    let backup = world.disturb(Effect::Rollback { member, by_us });
    // Let it announce and vote in the round, then put the old folder back.
    assert!(world.run_until(60 * SECOND, |w| announced(w, 0, Round(2)).is_some()));
    world.run_until(200_000, |_| false);
    world.relent(backup);
    reach(&mut world, 6);
    assert_eq!(incidents(&world, 0, "rollback"), 1, "it knows");
    let muted = world.sites[0]
        .disk
        .wal
        .iter()
        .any(|e| matches!(e, Durable::Muted(_)));
    assert!(muted, "and remembers");
    reach(&mut world, 10);
    let id = world.sites[0].id;
    assert!(
        in_cut(&world, 9, &id),
        "it signs again once the forgotten rounds are over"
    );
}

#[test]
fn an_invalid_payload_is_refused_with_its_reason_and_the_run_goes_on() {
    let mut world = world(27, 6);
    reach(&mut world, 2);
    // Member 3 announces a payload whose bytes are no payload: its own disk lies to it.
    assert!(world.run_until(60 * SECOND, |w| announced(w, 3, Round(2)).is_some()));
    let hash: BlobHash = announced(&world, 3, Round(2)).expect("announced");
    let disk = &mut world.sites[3].disk;
    let mut bytes = disk.payloads[&hash].1.bytes.clone();
    let last = bytes.len() - 1;
    bytes[last] ^= 0x55;
    let damaged = Arc::new(Payload::new(hash, bytes));
    disk.payloads.insert(hash, (Round(2), damaged));
    let id = world.sites[3].id;
    let three = |w: &World| (0..3).all(|site| round_of(w, site) >= 6);
    assert!(world.run_until(300 * SECOND, three));
    assert!(
        !in_cut(&world, 2, &id),
        "what does not match its hash is never held"
    );
    no_violation(&world, "the run");
}

#[test]
fn damaged_and_foreign_messages_are_refused_and_noted() {
    let mut world = world(28, 4);
    reach(&mut world, 1);
    let from = world.sites[1].id;
    let now_in = round_of(&world, 0);
    assert!(world.run_until(60 * SECOND, |w| announced(w, 1, Round(now_in)).is_some()));
    let header = world.sites[1]
        .disk
        .wal
        .iter()
        .rev()
        .find_map(|entry| match entry {
            Durable::Header { header, .. } => Some(header.clone()),
            _ => None,
        });
    let header = header.expect("announced");
    let forged = |change: &dyn Fn(&mut archipel_protocol::message::SignedHeader)| {
        let mut header = header.clone();
        change(&mut header);
        Arc::new(Message::Header(Box::new(header)))
    };
    let cases = [
        (forged(&|h| h.signature.0[3] ^= 1), "signature"),
        (forged(&|h| h.header.base.0[0] ^= 1), "stale base"),
        (forged(&|h| h.header.payload_bytes = u64::MAX), "bytes"),
        (forged(&|h| h.header.codec = 9), "codec"),
        (forged(&|h| h.header.steps += 1), "steps"),
        (
            forged(&|h| h.header.numerics = "other".to_owned()),
            "numerics",
        ),
        (forged(&|h| h.header.member = MemberId([7; 32])), "no vote"),
    ];
    for (message, part) in cases {
        let Message::Header(signed) = &*message else {
            unreachable!("built above")
        };
        let author = signed.header.member;
        let input = Input::Message {
            from,
            message: message.clone(),
        };
        world.feed(2, input);
        assert_eq!(refusals(&world, 2, author, part), 1, "{part}");
    }
    for (bytes, part) in [
        (vec![9, 1, 0], "version"),
        (vec![1, 99], "kind"),
        (vec![1], "2 bytes"),
    ] {
        world.feed(2, Input::Bytes { from, bytes });
        assert_eq!(refusals(&world, 2, from, part), 1, "{part}");
    }
    reach(&mut world, 4);
}

#[test]
fn two_headers_of_one_member_are_evidence_and_the_run_goes_on() {
    // It is known to lie, so that nothing is promised of it; what it says twice, the test says.
    let schedule = Schedule {
        windows: vec![Window {
            fault: "liar".to_owned(),
            at: When::At(u64::MAX),
            for_us: None,
            effect: Effect::Byzantine {
                member: 3,
                behaviour: "withhold".to_owned(),
                strength: None,
            },
        }],
    };
    let scenario = invented::scenario(29, 4, 6, Lossless);
    let mut world = invented::with_schedule(scenario, schedule);
    start_all(&mut world);
    reach(&mut world, 2);
    assert!(world.run_until(60 * SECOND, |w| announced(w, 3, Round(2)).is_some()));
    let liar = world.sites[3].id;
    let own = world.sites[3]
        .disk
        .wal
        .iter()
        .rev()
        .find_map(|entry| match entry {
            Durable::Header { header, .. } => Some(header.clone()),
            _ => None,
        });
    let own = own.expect("announced");
    let mut other = own.header.clone();
    other.payload.0[0] ^= 1;
    let signer = archipel_protocol::crypto::Ed25519Signer::new(&Keys::secret(29, 3));
    let other = other.signed(&world.federations[0].run_id, &signer);
    let message = Arc::new(Message::Header(Box::new(other.clone())));
    world.run_until(50_000, |_| false);
    world.feed(
        1,
        Input::Message {
            from: liar,
            message,
        },
    );
    reach(&mut world, 6);
    for site in 0..3 {
        assert_eq!(
            incidents(&world, site, "equivocation"),
            1,
            "member {site} knows, once"
        );
    }
    let equal = |w: &World| (0..4).all(|site| w.root(site) == w.root(0));
    assert!(world.run_until(SECOND, equal), "the liar's machine too");

    // The same proof once more, told the other way round: nobody records it again.
    let proof = Evidence::TwoHeaders(Box::new(other), Box::new(own));
    let message = Arc::new(Message::Evidence(Box::new(proof)));
    world.feed(
        0,
        Input::Message {
            from: liar,
            message,
        },
    );
    assert_eq!(incidents(&world, 0, "equivocation"), 1);
}
