//! The epoch chain takes what a quorum of the epoch before finalized, and nothing else.

use super::*;
use crate::{
    ids::{Digest, View},
    message::{Ballot, Certificate, CertificateError, FinalBlock, Seal, Vote, VoteKind},
};

fn ballot_of(block: &Block) -> Ballot {
    Ballot {
        kind: VoteKind::Finalize,
        epoch: block.epoch,
        round: block.round,
        view: View(0),
        digest: block.digest(&RUN),
    }
}

/// Signed by these members, whose positions are those of the founders.
fn sealed(ballot: Ballot, by: &[u8]) -> Certificate {
    let seal = |n: &u8| Seal {
        voter: u16::from(*n) - 1,
        signature: Vote::signed(&RUN, ballot, &signer(*n)).signature,
    };
    Certificate {
        ballot,
        seals: by.iter().map(seal).collect(),
    }
}

fn finalized(block: Block, by: &[u8]) -> FinalBlock {
    let certificate = sealed(ballot_of(&block), by);
    FinalBlock { block, certificate }
}

fn admitting(epoch: u32, n: u8) -> Block {
    let name = format!("member-{n}");
    let change = amend(Epoch(epoch), admit(n, &name), &[1, 2, 3]);
    block(Epoch(epoch), &[1, 2, 3], vec![change])
}

#[test]
fn each_epoch_is_finalized_by_the_one_before() {
    let mut chain = EpochChain::new(four());
    assert_eq!((chain.current(), chain.link(Epoch(0))), (&four(), None));
    let first = finalized(admitting(0, 5), &[1, 2, 3]);
    assert_eq!(chain.verify_final(&RUN, &first, &Ed25519Verifier), Ok(()));
    assert_eq!(chain.extend(first.clone()), Ok(()));
    assert_eq!(chain.current().epoch(), Epoch(1));
    assert_eq!(chain.current().voters().len(), 5);
    assert_eq!(chain.link(Epoch(0)), Some(&first));

    let second = admitting(1, 6);
    let three = finalized(second.clone(), &[1, 2, 3]);
    let count = CertificateError::Count {
        quorum: 4,
        voters: 5,
        found: 3,
    };
    let verify =
        |chain: &EpochChain, block: &FinalBlock| chain.verify_final(&RUN, block, &Ed25519Verifier);
    assert_eq!(verify(&chain, &three), Err(LinkError::Certificate(count)));
    let four = finalized(second, &[1, 2, 3, 5]);
    assert_eq!(verify(&chain, &four), Ok(()));
    assert_eq!(chain.extend(four), Ok(()));
    assert_eq!(chain.current().voters().len(), 6);
    assert_eq!(verify(&chain, &first), Ok(()), "old epochs stay provable");
    assert_eq!(
        chain.membership(Epoch(0)).map(|m| m.voters().len()),
        Some(4)
    );
    assert_eq!(chain.membership(Epoch(3)), None);
}

#[test]
fn what_does_not_finalize_the_block_is_refused() {
    let block = admitting(0, 5);
    let ballot = ballot_of(&block);
    let not_about_it = [
        (
            "a notarization",
            Ballot {
                kind: VoteKind::Notarize,
                ..ballot
            },
        ),
        (
            "another block",
            Ballot {
                digest: Digest([9; 32]),
                ..ballot
            },
        ),
        (
            "another round",
            Ballot {
                round: Round(1),
                ..ballot
            },
        ),
        (
            "another epoch",
            Ballot {
                epoch: Epoch(1),
                ..ballot
            },
        ),
    ];
    let chain = EpochChain::new(four());
    let verify = |certificate| {
        let block = FinalBlock {
            block: block.clone(),
            certificate,
        };
        chain.verify_final(&RUN, &block, &Ed25519Verifier)
    };
    assert_eq!(verify(sealed(ballot, &[1, 2, 3])), Ok(()));
    for (why, ballot) in not_about_it {
        let found = verify(sealed(ballot, &[1, 2, 3]));
        assert_eq!(found, Err(LinkError::Ballot), "{why}");
    }
    let mut forged = sealed(ballot, &[1, 2, 3]);
    forged.seals[1].signature = forged.seals[0].signature;
    let error = CertificateError::Signature { voter: 1 };
    assert_eq!(verify(forged), Err(LinkError::Certificate(error)));

    let far = finalized(admitting(7, 5), &[1, 2, 3]);
    let unknown = LinkError::Epoch {
        expected: Epoch(0),
        found: Epoch(7),
    };
    assert_eq!(
        chain.verify_final(&RUN, &far, &Ed25519Verifier),
        Err(unknown)
    );
}

#[test]
fn the_chain_grows_by_changes_of_its_last_epoch_only() {
    let mut chain = EpochChain::new(four());
    let plain = finalized(block(Epoch(0), &[1, 2, 3], Vec::new()), &[1, 2, 3]);
    assert_eq!(chain.extend(plain), Err(LinkError::NoChange));
    let early = finalized(admitting(1, 5), &[1, 2, 3]);
    let error = LinkError::Epoch {
        expected: Epoch(0),
        found: Epoch(1),
    };
    assert_eq!(chain.extend(early), Err(error));
    let stranger = amend(Epoch(0), Act::Remove { id: id(9) }, &[1, 2, 3]);
    let invalid = finalized(block(Epoch(0), &[], vec![stranger]), &[1, 2, 3]);
    let error = LinkError::Change(ChangeError::Unknown { member: id(9) });
    assert_eq!(chain.extend(invalid), Err(error));
    assert_eq!(chain.current(), &four(), "refused links change nothing");

    let first = finalized(admitting(0, 5), &[1, 2, 3]);
    assert_eq!(chain.extend(first.clone()), Ok(()));
    let again = LinkError::Epoch {
        expected: Epoch(1),
        found: Epoch(0),
    };
    assert_eq!(chain.extend(first), Err(again), "a link counts once");
}
