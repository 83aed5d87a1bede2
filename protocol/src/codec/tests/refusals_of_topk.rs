//! One named test for every reason to refuse a `topk-2bit` body.

use super::refusals::refused;
use super::*;

/// A body of one tensor of 20 values in chunks of 16 (3 kept) and 4 (1 kept), by hand: settings,
/// then fields of a number and a width.
fn handmade(fields: &[(u32, u32)]) -> Vec<u8> {
    let mut out = frame::header(SMALL, &layout(&[&[20]]));
    out.extend_from_slice(&16u32.to_le_bytes());
    out.extend_from_slice(&3u32.to_le_bytes());
    let (mut word, mut used) = (0u128, 0);
    let mut bits = Vec::new();
    for (number, width) in fields {
        word |= u128::from(*number) << used;
        used += width;
        while used >= 8 {
            bits.push(word as u8);
            (word, used) = (word >> 8, used - 8);
        }
    }
    if used > 0 {
        bits.push(word as u8);
    }
    out.extend(bits);
    out
}

fn half(value: f32) -> u32 {
    value.to_bits() >> 16
}

/// All entries used; Rice parameters 2 and 0. The first chunk is full: positions 1, 5 and 15 with
/// gaps 1, 3 and 9, signs −, −, +. So is the second: position 3, sign +. Values 0 and 3 are in
/// outer bins: gaps 0, 2 and, to the end, 0.
fn good() -> Vec<(u32, u32)> {
    let mut fields = vec![(0b1111, 4)];
    fields.extend([-2.0, -1.0, 1.0, 2.0].map(|entry| (half(entry), 16)));
    fields.extend([(2, 5), (0, 5), (1, 1)]);
    // Quotient in unary, remainder in two bits, sign.
    fields.extend([(1, 1), (1, 2), (0, 1)]);
    fields.extend([(1, 1), (3, 2), (0, 1)]);
    fields.extend([(0b100, 3), (1, 2), (1, 1)]);
    fields.extend([(1, 1), (1, 1), (3, 2), (1, 1)]);
    fields.extend([(1, 1), (0b100, 3), (1, 1)]);
    fields
}

/// Places of fields in [`good`].
const ENTRIES: usize = 1;
const PARAMETER: usize = 5;
const FULL: usize = 7;
const LAST_GAP: usize = 18;
const OUTER: usize = 21;

fn refused_by_hand(change: &[(usize, (u32, u32))]) -> DecodeError {
    let mut fields = good();
    for (field, number) in change {
        fields[*field] = *number;
    }
    refused(SMALL, &layout(&[&[20]]), &WIDE, &handmade(&fields))
}

#[test]
fn the_handmade_payload_is_good() {
    let update = decode(SMALL, &handmade(&good()), &layout(&[&[20]]), &WIDE);
    let expected = Update::sparse(20, vec![1, 5, 15, 19], vec![-2.0, -1.0, 1.0, 2.0]);
    assert_eq!(
        update.expect("nothing is wrong"),
        expected.expect("ascending")
    );
    let written = payload(SMALL, &layout(&[&[20]]), &{
        let mut values = [0.0; 20];
        [(1, -2.0), (5, -1.0), (15, 1.0), (19, 2.0)]
            .into_iter()
            .for_each(|(index, value)| values[index] = value);
        values
    });
    let length = handmade(&good()).len();
    assert!(written.len() <= length, "the encoder needs no more bits");
}

#[test]
fn topk_table() {
    for (entry, wrong) in [
        (0, f32::NAN),
        (1, f32::NEG_INFINITY),
        (1, 1.0),
        (2, -1.0),
        (3, f32::INFINITY),
        (0, -0.5),
        (3, 0.5),
        (2, 0.0),
        (1, -0.0),
    ] {
        let found = refused_by_hand(&[(ENTRIES + entry, (half(wrong), 16))]);
        let is_table = matches!(found, DecodeError::Table { entry: e, .. } if e == entry);
        assert!(is_table, "{entry} = {wrong}: {found}");
    }
}

#[test]
fn topk_table_entry_that_no_value_uses() {
    // The first outer value becomes an inner one: gap 3 from the beginning.
    let mut fields = good();
    fields.truncate(OUTER);
    fields.extend([(0b1000, 4), (1, 1)]);
    let found = refused(SMALL, &layout(&[&[20]]), &WIDE, &handmade(&fields));
    assert_eq!(
        found,
        DecodeError::Table {
            tensor: "tensor.0".into(),
            entry: 0,
            found: -2.0
        }
    );
}

#[test]
fn topk_table_entry_that_is_missing() {
    let mut fields = good();
    fields[0] = (0b1110, 4);
    fields.remove(ENTRIES);
    let found = refused(SMALL, &layout(&[&[20]]), &WIDE, &handmade(&fields));
    let missing = matches!(found, DecodeError::Table { entry: 0, found, .. } if found == 0.0);
    assert!(missing, "{found}");
}

#[test]
fn topk_table_entry_too_large() {
    let limits = Limits {
        max_abs: 1.5,
        ..WIDE
    };
    let found = refused(SMALL, &layout(&[&[20]]), &limits, &handmade(&good()));
    let (tensor, limit) = ("tensor.0".into(), 1.5);
    assert_eq!(
        found,
        DecodeError::TableLimit {
            tensor,
            entry: 0,
            limit,
            found: 2.0
        }
    );
}

#[test]
fn topk_rice_parameter() {
    for field in [PARAMETER, PARAMETER + 1] {
        let found = refused_by_hand(&[(field, (17, 5))]);
        let (tensor, limit) = ("tensor.0".into(), 16);
        assert_eq!(
            found,
            DecodeError::Parameter {
                tensor,
                limit,
                found: 17
            }
        );
    }
}

#[test]
fn topk_count() {
    // Not full, and yet as many as fit: that is written in one way only.
    let mut fields = good();
    fields[FULL] = (0b110, 3);
    let found = refused(SMALL, &layout(&[&[20]]), &WIDE, &handmade(&fields));
    let (tensor, chunk) = ("tensor.0".into(), 0);
    assert_eq!(
        found,
        DecodeError::Count {
            tensor,
            chunk,
            limit: 3,
            found: 3
        }
    );
}

#[test]
fn topk_index_behind_the_end() {
    // Gap 4 in a chunk of four values.
    let found = refused_by_hand(&[(LAST_GAP, (0b10, 2)), (LAST_GAP + 1, (0, 2))]);
    let (tensor, chunk) = ("tensor.0".into(), 1);
    assert_eq!(
        found,
        DecodeError::IndexRange {
            tensor,
            chunk,
            limit: 4
        }
    );
}

#[test]
fn topk_index_behind_a_full_chunk() {
    // The third of three positions would be 16 of 0 to 15: gap 10.
    let found = refused_by_hand(&[(15, (2, 2))]);
    let (tensor, chunk) = ("tensor.0".into(), 0);
    assert_eq!(
        found,
        DecodeError::IndexRange {
            tensor,
            chunk,
            limit: 16
        }
    );
}

#[test]
fn topk_outer_value_behind_the_last() {
    let found = refused_by_hand(&[(OUTER + 1, (0b100_0000, 7))]);
    let (tensor, kept) = ("tensor.0".into(), 4);
    assert_eq!(found, DecodeError::OuterRange { tensor, kept });
}

#[test]
fn topk_ends_in_a_run_of_zeros() {
    let mut sent = handmade(&good());
    sent.truncate(sent.len() - 1);
    let found = refused(SMALL, &layout(&[&[20]]), &WIDE, &sent);
    assert!(matches!(found, DecodeError::Truncated { .. }), "{found}");
    sent.truncate(30);
    sent.resize(5000, 0);
    let found = refused(SMALL, &layout(&[&[20]]), &WIDE, &sent);
    let refusal = matches!(
        found,
        DecodeError::IndexRange { .. } | DecodeError::Table { .. }
    );
    assert!(refusal, "{found}");
}

#[test]
fn topk_padding() {
    let mut fields = good();
    let used: u32 = fields.iter().map(|(_, width)| width).sum();
    fields.push((1, 8 - used % 8));
    let found = refused(SMALL, &layout(&[&[20]]), &WIDE, &handmade(&fields));
    assert!(
        matches!(found, DecodeError::Padding { found: 1 }),
        "{found}"
    );
}
