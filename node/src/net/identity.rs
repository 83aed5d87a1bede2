//! A member and its libp2p peer are the same Ed25519 key, written in two ways.
//!
//! A libp2p `PeerId` of an Ed25519 key carries the key itself (an identity multihash of its
//! protobuf form), so the translation works in both directions without a table.

use archipel_protocol::ids::MemberId;
use libp2p::{
    PeerId,
    identity::{PublicKey, ed25519},
};

/// The multihash code of "the bytes themselves".
const IDENTITY_CODE: u64 = 0;

/// The peer of a member; `None` where the identifier is not a point of the curve.
pub fn peer_of(member: &MemberId) -> Option<PeerId> {
    let key = ed25519::PublicKey::try_from_bytes(&member.0).ok()?;
    Some(PublicKey::from(key).to_peer_id())
}

/// The member behind a peer; `None` where the peer's key is not Ed25519.
pub fn member_of(peer: &PeerId) -> Option<MemberId> {
    let hash = peer.as_ref();
    if hash.code() != IDENTITY_CODE {
        return None;
    }
    let key = PublicKey::try_decode_protobuf(hash.digest()).ok()?;
    Some(MemberId(key.try_into_ed25519().ok()?.to_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use libp2p::identity::Keypair;

    #[test]
    fn members_and_peers_translate_both_ways() {
        let key = Keypair::generate_ed25519();
        let peer = key.public().to_peer_id();
        let member = member_of(&peer).expect("an Ed25519 peer is a member");
        let raw = key
            .public()
            .try_into_ed25519()
            .expect("it was made so")
            .to_bytes();
        assert_eq!(member.0, raw);
        assert_eq!(peer_of(&member), Some(peer));
    }

    #[test]
    fn what_is_no_key_is_no_member() {
        assert_eq!(member_of(&PeerId::random()), None);
        let off_curve = (0..=255u8)
            .map(|b| MemberId([b; 32]))
            .filter(|m| peer_of(m).is_none());
        assert!(
            off_curve.count() > 0,
            "about half of all strings are no point"
        );
    }
}
