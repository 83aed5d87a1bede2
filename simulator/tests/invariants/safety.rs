//! S1 to S12.

use super::{
    OTHER, fires,
    history::{History, spec},
    is_silent, proof_against,
};
use archipel_protocol::{
    crypto::Signature,
    ids::{Digest, Epoch, MemberId, Round},
    ledger::{Act, Amendment, Change},
    member::Durable,
    message::{Ask, Message, Recalled, Vote, VoteKind},
    record::{Body, Chain, Log},
};
use archipel_simulator::{
    schedule::Effect,
    seen::{Payload, Seen},
};

#[test]
fn s1_two_members_certify_two_roots() {
    let mut history = History::new();
    history.play();
    (0..4).for_each(|member| history.sign_root(member, Round(2), history.root));
    history.certify(0, Round(2), history.root);
    history.certify(1, Round(2), OTHER);
    fires(&history, "S1");

    let mut near = History::with(&[1], &spec());
    near.play();
    (0..4).for_each(|member| near.sign_root(member, Round(2), near.root));
    near.certify(0, Round(2), near.root);
    near.certify(1, Round(2), OTHER);
    is_silent(&near);
}

#[test]
fn s2_a_round_comes_twice() {
    let mut history = History::new();
    history.play_rounds(2);
    history.certify(2, Round(2), history.root);
    fires(&history, "S2");

    let mut near = History::new();
    near.play_rounds(2);
    near.see(2, Seen::Crashed);
    near.see(2, Seen::RolledBack);
    near.see(2, Seen::Started { main: 0, side: 0 });
    near.certify(2, Round(2), near.root);
    is_silent(&near);
}

#[test]
fn s2_a_round_is_decided_twice() {
    let mut history = History::new();
    history.exchange();
    let block = history.block(&[0, 1, 2, 3]);
    history.agree(&block);
    history.decide(3, &history.block(&[0, 1, 2]));
    fires(&history, "S2");
}

#[test]
fn s3_a_counted_update_was_never_announced() {
    let mut history = History::new();
    history.exchange();
    let mut block = history.block(&[0, 1, 2, 3]);
    block.cut[2].signature = Signature([5; 64]);
    history.agree(&block);
    fires(&history, "S3");

    // A liar's header may travel inside a proposal alone.
    let mut near = History::with(&[2], &spec());
    near.exchange();
    let mut block = near.block(&[0, 1, 2, 3]);
    block.cut[2].signature = Signature([5; 64]);
    near.agree(&block);
    is_silent(&near);
}

#[test]
fn s3_a_counted_update_is_from_another_base() {
    let mut history = History::with(&[2], &spec());
    history.exchange();
    let mut block = history.block(&[0, 1, 2, 3]);
    let mut header = block.cut[2].header.clone();
    header.base = OTHER;
    block.cut[2] = history.sign(header);
    history.agree(&block);
    fires(&history, "S3");
}

#[test]
fn s3_a_payload_is_not_what_its_hash_says() {
    let mut history = History::new();
    history.announce(1);
    let Payload {
        hash, mut bytes, ..
    } = history.payload(1);
    bytes[3] ^= 1;
    history.see(0, Seen::Held(&Payload::new(hash, bytes)));
    fires(&history, "S3");
}

/// All but member 0 hold the update of member 3, and tell members 0 to 2, at `at`.
fn held_in_time(history: &mut History, at: u64) {
    (0..4).for_each(|member| history.announce(member));
    history.wait(at);
    (0..4).for_each(|holder| history.hold(holder, &[0, 1, 2, 3], &[0, 1, 2]));
}

#[test]
fn s4_a_member_votes_without_an_update_that_a_quorum_held() {
    let mut history = History::new();
    held_in_time(&mut history, 100_000);
    history.wait(600_000);
    let block = history.block(&[0, 1, 2]);
    history.propose(0, &block);
    history.notarize(1, &block);
    fires(&history, "S4");

    // Less than Δ (500 ms) before the proposal, or before the deadline, is too late to demand it.
    for (held, waited) in [(100_000, 400_000), (1_600_000, 1_000_000)] {
        let mut near = History::new();
        held_in_time(&mut near, held);
        near.wait(waited);
        let block = near.block(&[0, 1, 2]);
        near.propose(0, &block);
        near.notarize(1, &block);
        is_silent(&near);
    }
}

#[test]
fn s4_knows_what_a_member_cannot_know() {
    // Member 3 heard of no holds but its own.
    let mut history = History::new();
    held_in_time(&mut history, 100_000);
    history.wait(600_000);
    let block = history.block(&[0, 1]);
    history.propose(0, &block);
    history.notarize(3, &block);
    is_silent(&history);

    // Member 1 was started again and forgot what it heard.
    let mut history = History::new();
    held_in_time(&mut history, 100_000);
    history.see(1, Seen::Crashed);
    history.see(1, Seen::Started { main: 0, side: 0 });
    history.wait(600_000);
    let block = history.block(&[0, 1, 2]);
    history.propose(0, &block);
    history.notarize(1, &block);
    is_silent(&history);
}

#[test]
fn s5_a_cut_counts_a_member_twice() {
    let mut history = History::new();
    history.exchange();
    let block = history.block(&[0, 1, 1, 2, 3]);
    history.agree(&block);
    fires(&history, "S5");
}

#[test]
fn s6_a_fold_is_wrong_in_one_bit() {
    for flipped_by_the_scenario in [false, true] {
        let mut history = History::new();
        history.exchange();
        let block = history.block(&[0, 1, 2, 3]);
        history.agree(&block);
        let effect = Effect::BitFlip { member: 2 };
        if flipped_by_the_scenario {
            history.fault(2, &effect, true);
        }
        let mut folding = history.folding(&block);
        let bits = folding.tensors.parameters[5].to_bits() ^ 1;
        folding.tensors.parameters[5] = f32::from_bits(bits);
        history.show_fold(2, &folding);
        match flipped_by_the_scenario {
            false => fires(&history, "S6"),
            true => is_silent(&history),
        }
        // Once is forgiven, twice is not.
        history.show_fold(2, &folding);
        fires(&history, "S6");
    }
}

#[test]
fn s6_an_update_of_the_cut_is_not_folded() {
    let mut history = History::new();
    history.exchange();
    let block = history.block(&[0, 1, 2, 3]);
    history.agree(&block);
    let folding = history.folding(&block);
    let (mut task, mut payloads) = (folding.task, folding.payloads);
    task.updates.pop();
    payloads.pop();
    let short = history.fold(task, folding.base, payloads);
    history.show_fold(0, &short);
    fires(&history, "S6");
}

#[test]
fn s6_the_certified_root_is_not_what_follows() {
    let mut history = History::new();
    history.exchange();
    let block = history.block(&[0, 1, 2, 3]);
    history.agree(&block);
    let mut folding = history.folding(&block);
    history.show_fold(0, &folding);
    folding.root = OTHER;
    history.next(folding);
    fires(&history, "S6");
}

#[test]
fn s7_two_members_fold_to_two_states() {
    let mut history = History::new();
    history.exchange();
    let block = history.block(&[0, 1, 2, 3]);
    history.agree(&block);
    let folding = history.folding(&block);
    history.show_fold(0, &folding);
    let mut base = folding.base.clone();
    base.parameters[0] += 1.0;
    let other = history.fold(folding.task, base, folding.payloads);
    let mut near = History::new();
    near.exchange();
    near.agree(&block);
    near.show_fold(0, &near.folding(&block));
    near.fault(1, &Effect::Bitrot { member: 1 }, true);
    near.show_fold(1, &other);
    is_silent(&near);

    history.show_fold(1, &other);
    fires(&history, "S7");
}

/// Records of member 1 in its side log, as the protocol writes them.
fn side_records(history: &History, texts: &[&str]) -> Vec<Vec<u8>> {
    let mut chain = Chain::default();
    let owner = (&history.run_id(), &history.keys[1]);
    let bodies = texts.iter().map(|text| Body::Incident {
        kind: "test".to_owned(),
        text: (*text).to_owned(),
    });
    let genesis = Body::Genesis {
        software: "archipel".to_owned(),
        root: history.root,
    };
    let all = std::iter::once(genesis).chain(bodies);
    all.map(|body| chain.append(owner, Round(0), 1, &body))
        .collect()
}

fn record(history: &mut History, member: u32, bytes: &[u8]) {
    let log = Log::Side;
    history.see(member, Seen::Recorded { log, bytes });
}

#[test]
fn s8_a_record_does_not_continue_the_log() {
    let mut history = History::new();
    let records = side_records(&history, &["a", "b"]);
    let rewritten = side_records(&history, &["c", "b"]);
    record(&mut history, 1, &records[0]);
    record(&mut history, 1, &records[1]);
    is_silent(&history);
    record(&mut history, 1, &rewritten[2]);
    fires(&history, "S8");

    let mut near = History::with(&[1], &spec());
    record(&mut near, 1, b"not a record");
    is_silent(&near);
}

#[test]
fn s8_records_are_gone_after_a_start() {
    for rolled_back in [false, true] {
        let mut history = History::new();
        let records = side_records(&history, &["a", "b"]);
        let rewritten = side_records(&history, &["c", "d"]);
        records
            .iter()
            .for_each(|bytes| record(&mut history, 1, bytes));
        history.see(1, Seen::Crashed);
        if rolled_back {
            history.see(1, Seen::RolledBack);
        }
        history.see(1, Seen::Started { main: 0, side: 1 });
        // What is left is held against what comes then.
        rewritten[1..]
            .iter()
            .for_each(|bytes| record(&mut history, 1, bytes));
        match rolled_back {
            false => fires(&history, "S8"),
            true => is_silent(&history),
        }
        record(&mut history, 1, &records[2]);
        fires(&history, "S8");
    }
}

#[test]
fn s9_a_member_says_two_things_in_one_place() {
    let kinds = [VoteKind::Notarize, VoteKind::Finalize];
    for kind in kinds {
        let mut history = History::new();
        history.vote(1, kind, Digest([1; 32]));
        history.vote(1, kind, Digest([1; 32]));
        is_silent(&history);
        history.see(1, Seen::Crashed);
        history.see(1, Seen::Started { main: 0, side: 0 });
        history.vote(1, kind, Digest([2; 32]));
        fires(&history, "S9");
    }
    let mut history = History::new();
    history.vote(1, VoteKind::Notarize, Digest([1; 32]));
    history.vote(1, VoteKind::Nullify, Digest::default());
    is_silent(&history);
    history.vote(1, VoteKind::Finalize, Digest([1; 32]));
    fires(&history, "S9");
}

#[test]
fn s9_a_member_speaks_before_it_is_durable() {
    let mut history = History::new();
    let vote = history.ballot(1, VoteKind::Notarize, Digest([1; 32]));
    history.send(1, Message::Vote(vote.clone()), &[]);
    fires(&history, "S9");

    let mut near = History::new();
    near.persist(1, Durable::Vote(vote.clone()));
    near.send(1, Message::Vote(vote), &[]);
    is_silent(&near);
}

/// Member 1 votes, is set back, asks, is answered by others, and votes otherwise.
fn set_back(answers: &[(u32, bool)]) -> History {
    let mut history = History::new();
    let vote = history.ballot(1, VoteKind::Notarize, Digest([1; 32]));
    history.vote(1, VoteKind::Notarize, Digest([1; 32]));
    history.see(1, Seen::Crashed);
    history.see(1, Seen::RolledBack);
    history.see(1, Seen::Started { main: 0, side: 0 });
    history.send(1, Message::Ask(Ask::Recall(Round(0))), &[]);
    for (from, knows) in answers {
        let votes: Vec<Vote> = knows.then(|| vote.clone()).into_iter().collect();
        let (headers, roots) = (Vec::new(), Vec::new());
        let since = Round(0);
        let answer = Recalled {
            since,
            headers,
            votes,
            roots,
        };
        history.send(*from, Message::Recalled(Box::new(answer)), &[1]);
    }
    history.vote(1, VoteKind::Notarize, Digest([2; 32]));
    history
}

#[test]
fn s9_a_member_that_was_set_back_is_held_to_what_it_was_told() {
    fires(&set_back(&[(2, false), (0, true)]), "S9");
    // Nobody who answered in time knew.
    is_silent(&set_back(&[(2, false), (0, false)]));
    // f + 1 = 2 had answered before.
    is_silent(&set_back(&[(2, false), (0, false), (3, true)]));
}

fn removal(member: MemberId) -> Change {
    let amendment = Amendment {
        epoch: Epoch(0),
        proposer: MemberId([1; 32]),
        act: Act::Remove { id: member },
        signature: Signature([0; 64]),
    };
    let consents = Vec::new();
    Change::Amend {
        amendment,
        consents,
    }
}

#[test]
fn s10_an_honest_member_is_accused() {
    let mut history = History::new();
    let proof = Box::new(proof_against(&history, 3));
    history.send(0, Message::Evidence(proof.clone()), &[1, 2, 3]);
    fires(&history, "S10");

    let mut near = History::with(&[3], &spec());
    near.send(0, Message::Evidence(proof), &[1, 2, 3]);
    is_silent(&near);
}

#[test]
fn s10_an_honest_member_is_voted_out() {
    for expelled in [false, true] {
        let mut history = History::new();
        if expelled {
            history.fault(3, &Effect::Expel { member: 3 }, true);
        }
        history.exchange();
        let mut block = history.block(&[0, 1, 2, 3]);
        block.changes.push(removal(history.keys[3]));
        history.agree(&block);
        match expelled {
            false => fires(&history, "S10"),
            true => is_silent(&history),
        }
    }
}

#[test]
fn s11_a_header_claims_tokens_of_other_rounds() {
    let mut history = History::with(&[2], &spec());
    history.exchange();
    let mut block = history.block(&[0, 1, 2, 3]);
    let mut header = block.cut[2].header.clone();
    header.tokens *= 2;
    block.cut[2] = history.sign(header);
    history.agree(&block);
    fires(&history, "S11");
}

#[test]
fn s11_the_schedule_runs_ahead() {
    let mut history = History::new();
    history.exchange();
    let block = history.block(&[0, 1, 2, 3]);
    history.agree(&block);
    let folding = history.folding(&block);
    let mut task = folding.task;
    task.schedule += 1;
    let other = history.fold(task, folding.base, folding.payloads);
    history.show_fold(0, &other);
    fires(&history, "S11");
}

#[test]
fn s12_a_minority_certifies() {
    for (liars, signers, found) in [
        (&[][..], 2, true),
        (&[][..], 3, false),
        (&[3][..], 1, true),
        (&[3][..], 2, false),
    ] {
        let mut history = History::with(liars, &spec());
        (0..signers).for_each(|member| history.sign_root(member, Round(1), OTHER));
        history.certify(0, Round(1), OTHER);
        match found {
            true => fires(&history, "S12"),
            false => is_silent(&history),
        }
    }
}

#[test]
fn s12_a_minority_decides() {
    for (voters, found) in [(2, true), (3, false)] {
        let mut history = History::new();
        history.exchange();
        let block = history.block(&[0, 1, 2, 3]);
        (0..voters).for_each(|member| history.finalize(member, &block));
        history.decide(0, &block);
        match found {
            true => fires(&history, "S12"),
            false => is_silent(&history),
        }
    }
}
