//! One bit of a valid message changes: it does not decode, or it does not verify.

use super::*;

/// What a member checks before it acts on a message. A question claims nothing, so there is
/// nothing to check in it.
fn proves_itself(message: &Message) -> bool {
    let v = &Ed25519Verifier;
    let certified = |c: &Certificate| c.verify(&RUN, &voters(), 3, v).is_ok();
    let revealed = |nonce: Option<[u8; 32]>| {
        nonce.is_none_or(|nonce| nonce_commitment(&nonce) == nonce_commitment(&NONCE))
    };
    match message {
        Message::Header(x) => x.verify(&RUN, v),
        Message::Holds(x) => x.verify(&RUN, v),
        Message::Proposal(x) => x.verify(&RUN, v) && x.justification.iter().all(certified),
        Message::Vote(x) => x.verify(&RUN, v),
        Message::Certificate(x) => certified(x),
        Message::Root(x) => x.verify(&RUN, v) && revealed(x.nonce),
        Message::State(x) => x.verify(&RUN, &voters(), 3, v).is_ok(),
        Message::Present(x) => x.verify(&RUN, v),
        Message::Motion(x) => match &**x {
            Motion::Propose(amendment) => amendment.verify(&RUN, v),
            Motion::Consent(consent) => consent.verify(v),
            Motion::Own(change) => change.verify(&RUN, &membership(), v).is_ok(),
        },
        Message::Evidence(x) => x.verify(&RUN, v).is_ok(),
        Message::Ask(_) => true,
        Message::Final(x) => EpochChain::new(membership())
            .verify_final(&RUN, x, v)
            .is_ok(),
        // Asked for by its digest, or by its root.
        Message::Block(x) => x.digest(&RUN) == block().digest(&RUN),
        Message::Manifest(x) => {
            let root = manifest().root(&RUN, &layout());
            x.check(&RUN, &layout(), &membership(), root).is_ok()
        }
        Message::Recalled(x) => {
            x.since == ROUND
                && x.headers.iter().all(|header| header.verify(&RUN, v))
                && x.votes.iter().all(|vote| vote.verify(&RUN, v))
                && x.roots
                    .iter()
                    .all(|root| root.verify(&RUN, v) && revealed(root.nonce))
        }
    }
}

/// The same proof with other nonces beside its roots is the same proof: they are not signed, and
/// nobody is accused by them.
fn claim(message: &Message) -> Message {
    match message {
        Message::Evidence(proof) => match (**proof).clone() {
            Evidence::TwoRoots(mut a, mut b) => {
                (a.nonce, b.nonce) = (None, None);
                Message::Evidence(Box::new(Evidence::TwoRoots(a, b)))
            }
            other => Message::Evidence(Box::new(other)),
        },
        other => other.clone(),
    }
}

/// True where a member would act on something that nobody said.
fn deceives(flipped: &Message, original: &Message) -> bool {
    let question = matches!(flipped, Message::Ask(_));
    !question && claim(flipped) != claim(original) && proves_itself(flipped)
}

#[test]
fn untouched_messages_prove_themselves() {
    for message in messages() {
        assert!(proves_itself(&message), "{message:?}");
    }
}

/// One bit of every byte, a different one in each.
#[test]
fn a_flipped_bit_is_noticed_in_every_byte() {
    for message in messages() {
        let bytes = message.to_bytes();
        for index in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[index] ^= 1 << (index % 8);
            let Ok(other) = Message::from_bytes(&flipped) else {
                continue;
            };
            assert_ne!(other, message, "byte {index}: one message, two encodings");
            let deceived = deceives(&other, &message);
            assert!(!deceived, "byte {index} of {message:?} became {other:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn a_flipped_bit_is_noticed_anywhere(
        which in any::<prop::sample::Index>(),
        bit in any::<prop::sample::Index>(),
    ) {
        let all = ALL.get_or_init(|| messages().iter().map(Message::to_bytes).collect());
        let valid = which.get(all);
        let mut bytes = valid.clone();
        let bit = bit.index(8 * bytes.len());
        bytes[bit / 8] ^= 1 << (bit % 8);
        if let Ok(other) = Message::from_bytes(&bytes) {
            let original = Message::from_bytes(valid).expect("a valid message");
            prop_assert_ne!(&other, &original, "bit {}: two encodings", bit);
            prop_assert!(!deceives(&other, &original), "bit {bit}: {other:?}");
        }
    }
}
