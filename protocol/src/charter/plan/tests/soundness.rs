//! Which aggregation rules go with which codec, liars and smallest cut.

use super::*;
use AggregationRule::{CenteredClip, GeometricMedian, Krum, Mean, MeanOfSenders};
use AggregationRule::{Median, MultiKrum, TrimmedMean};
use CodecKind::{F32, Int8, TopK2Bit};

/// Liars, updates that are kept, and the smallest cut.
type Numbers = (u32, u32, u32);

/// What a plan of ten voters, seven of them a quorum, says to a combination; nothing if it is good.
fn said(rule: AggregationRule, codec: CodecKind, (liars, keep, minimum): Numbers) -> String {
    let mut plan = whole();
    let exchange = &mut plan.exchange;
    (exchange.rule, exchange.codec) = (rule, codec);
    (exchange.assumed_liars, exchange.multi_krum_keep) = (liars, keep);
    exchange.minimum_updates = minimum;
    let refused = plan.validate(10, 7).err();
    refused.map_or_else(String::new, |error| error.to_string())
}

fn assert_refused(cases: &[(AggregationRule, CodecKind, Numbers, &str)]) {
    for (rule, codec, numbers, expected) in cases.iter().copied() {
        let message = said(rule, codec, numbers);
        assert!(
            message.contains(expected),
            "{expected:?} is not in {message:?}"
        );
    }
}

#[test]
fn sound_combinations_are_accepted() {
    for (rule, codec, numbers) in [
        (Mean, TopK2Bit, (0, 0, 1)),
        (MeanOfSenders, TopK2Bit, (0, 0, 1)),
        (TrimmedMean, F32, (3, 0, 7)),
        (Median, Int8, (0, 0, 1)),
        (Krum, Int8, (2, 0, 7)),
        (MultiKrum, Int8, (1, 4, 7)),
        (GeometricMedian, TopK2Bit, (0, 0, 1)),
        (CenteredClip, TopK2Bit, (0, 0, 1)),
    ] {
        assert_eq!(said(rule, codec, numbers), "", "{rule:?}");
    }
}

#[test]
fn rules_that_need_common_coordinates_are_refused_for_sparse_codecs() {
    assert_refused(&[
        (
            Median,
            TopK2Bit,
            (0, 0, 7),
            "\"median\" with codec = \"topk-2bit\": each member",
        ),
        (
            TrimmedMean,
            TopK2Bit,
            (1, 0, 7),
            "is about zero everywhere: take",
        ),
        (
            Krum,
            TopK2Bit,
            (1, 0, 7),
            "whoever sends nothing is chosen: take",
        ),
        (MultiKrum, TopK2Bit, (1, 1, 7), "\"multi_krum\" with codec"),
        (MeanOfSenders, Int8, (0, 0, 7), "so this is the mean: take"),
    ]);
}

#[test]
fn numbers_that_no_rule_listens_to_are_refused() {
    assert_refused(&[
        (
            Mean,
            TopK2Bit,
            (1, 0, 7),
            "assumed_liars: rule = \"mean\" takes none, found 1",
        ),
        (CenteredClip, TopK2Bit, (2, 0, 7), "takes none, found 2"),
        (Krum, Int8, (0, 0, 7), "found 0, which protects from nobody"),
        (
            TrimmedMean,
            Int8,
            (0, 0, 7),
            "assumed_liars: rule = \"trimmed_mean\"",
        ),
        (
            Krum,
            Int8,
            (1, 3, 7),
            "multi_krum_keep: rule = \"krum\" does not use",
        ),
        (
            MultiKrum,
            Int8,
            (1, 0, 7),
            "multi_krum_keep: expected 1 or more",
        ),
    ]);
}

#[test]
fn a_smallest_cut_that_cannot_bear_the_liars_is_refused() {
    assert_refused(&[
        (
            TrimmedMean,
            Int8,
            (1, 0, 2),
            "needs 3 updates to bear its liars, and",
        ),
        (
            Krum,
            Int8,
            (1, 0, 4),
            "may have 4: raise it, or assume fewer",
        ),
        (
            Krum,
            Int8,
            (3, 0, 7),
            "needs 9 updates to bear its liars, and a cut may",
        ),
        (Krum, Int8, (3, 0, 7), "cannot be raised above the quorum"),
        (MultiKrum, Int8, (1, 5, 7), "needs 8 updates"),
        (Krum, Int8, (u32::MAX, 0, 7), "needs 8589934593 updates"),
    ]);
}
