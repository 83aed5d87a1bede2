//! Payload hashes that only a deliberate change of the format may change.

use super::*;

/// The whole format over tensors of every kind; the readable vectors are in `protocol/vectors`.
#[test]
fn payload_bytes_are_what_they_were() {
    let layout = layout(&[&[256, 64], &[64], &[100, 30], &[5, 5, 5]]);
    let values = normal(11, layout.parameters());
    let hash = |codec| {
        let hash = blake3::hash(&payload(codec, &layout, &values));
        hash.to_hex()[..16].to_owned()
    };
    let found = [Codec::F32, Codec::Int8, Codec::TOP_K, SMALL].map(hash);
    assert_eq!(
        found,
        [
            "cc8d9a251efb057c",
            "6a306197a67a51b0",
            "c5a24862577972ed",
            "c03b9e4e3fdce1fd"
        ]
    );
}
