//! One named test for every reason to refuse a `topk-2bit` body.

use super::refusals::refused;
use super::*;

/// A payload of one tensor of 20 values in chunks of 16 (3 kept) and 4 (1 kept), built by hand.
fn handmade(table: [f32; 4], fields: &[(u32, u32)], padding: u32) -> Vec<u8> {
    let mut out = frame::header(SMALL, &layout(&[&[20]]));
    out.extend_from_slice(&16u32.to_le_bytes());
    out.extend_from_slice(&3u32.to_le_bytes());
    out.extend(table.iter().flat_map(|entry| entry.to_le_bytes()));
    let (mut word, mut used) = (0u64, 0);
    for (number, width) in fields {
        word |= u64::from(*number) << used;
        used += width;
    }
    let bytes = used.div_ceil(8) as usize;
    word |= u64::from(padding) << used;
    out.extend_from_slice(&word.to_le_bytes()[..bytes]);
    out
}

const TABLE: [f32; 4] = [-2.0, -1.0, 1.0, 2.0];
/// Counts take 2 bits (up to 3) and 1 bit (up to 1), positions 4, symbols 2: 27 bits.
const GOOD: [(u32, u32); 10] = [
    (3, 2),
    (1, 4),
    (5, 4),
    (15, 4),
    (0, 2),
    (1, 2),
    (2, 2),
    (1, 1),
    (3, 4),
    (3, 2),
];

fn refused_by_hand(table: [f32; 4], change: &[(usize, u32)], padding: u32) -> DecodeError {
    let mut fields = GOOD;
    for (field, number) in change {
        fields[*field].0 = *number;
    }
    refused(
        SMALL,
        &layout(&[&[20]]),
        &WIDE,
        &handmade(table, &fields, padding),
    )
}

#[test]
fn the_handmade_payload_is_good() {
    let update = decode(SMALL, &handmade(TABLE, &GOOD, 0), &layout(&[&[20]]), &WIDE);
    let expected = Update::sparse(20, vec![1, 5, 15, 19], vec![-2.0, -1.0, 1.0, 2.0]);
    assert_eq!(
        update.expect("nothing is wrong"),
        expected.expect("ascending")
    );
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
        let mut table = TABLE;
        table[entry] = wrong;
        let found = refused_by_hand(table, &[], 0);
        let is_table = matches!(found, DecodeError::Table { entry: e, .. } if e == entry);
        assert!(is_table, "{entry} = {wrong}: {found}");
    }
}

#[test]
fn topk_table_entry_that_no_symbol_uses() {
    let found = refused_by_hand(TABLE, &[(4, 1)], 0);
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
fn topk_table_entry_too_large() {
    let limits = Limits {
        max_abs: 1.5,
        ..WIDE
    };
    let found = refused(
        SMALL,
        &layout(&[&[20]]),
        &limits,
        &handmade(TABLE, &GOOD, 0),
    );
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
fn topk_count() {
    let one = Codec::TopK2Bit { chunk: 16, keep: 2 };
    let mut sent = handmade(TABLE, &GOOD, 0);
    sent[20..24].copy_from_slice(&2u32.to_le_bytes());
    let found = refused(one, &layout(&[&[20]]), &WIDE, &sent);
    let (tensor, chunk) = ("tensor.0".into(), 0);
    assert_eq!(
        found,
        DecodeError::Count {
            tensor,
            chunk,
            limit: 2,
            found: 3
        }
    );
}

#[test]
fn topk_index_behind_the_end() {
    let found = refused_by_hand(TABLE, &[(8, 4)], 0);
    let (tensor, chunk) = ("tensor.0".into(), 1);
    assert_eq!(
        found,
        DecodeError::IndexRange {
            tensor,
            chunk,
            limit: 4,
            found: 4
        }
    );
}

#[test]
fn topk_index_twice() {
    let found = refused_by_hand(TABLE, &[(2, 1)], 0);
    let (tensor, chunk) = ("tensor.0".into(), 0);
    assert_eq!(
        found,
        DecodeError::IndexDuplicate {
            tensor,
            chunk,
            found: 1
        }
    );
}

#[test]
fn topk_indices_unsorted() {
    let found = refused_by_hand(TABLE, &[(3, 4)], 0);
    let (tensor, chunk) = ("tensor.0".into(), 0);
    assert_eq!(
        found,
        DecodeError::IndexOrder {
            tensor,
            chunk,
            previous: 5,
            found: 4
        }
    );
}

#[test]
fn topk_padding() {
    let found = refused_by_hand(TABLE, &[], 0b00100);
    assert_eq!(
        found,
        DecodeError::Padding {
            tensor: "tensor.0".into(),
            found: 0b00100
        }
    );
}
