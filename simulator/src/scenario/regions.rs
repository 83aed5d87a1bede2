//! Round-trip times between regions, as data.
//!
//! Source: cloudping's p50 between AWS regions over a one-year window, July 2025, in milliseconds.
//! A row is where the request was sent from; one way is half of it.

/// A table of round-trip times.
pub(super) struct LatencyTable {
    /// What scenarios call it.
    pub name: &'static str,
    /// Rows and columns.
    pub regions: [&'static str; 12],
    /// Milliseconds there and back.
    pub round_trip_ms: [[u16; 12]; 12],
}

/// The tables that scenarios may name.
pub(super) const TABLES: [LatencyTable; 1] = [LatencyTable {
    name: "aws-2025-07",
    regions: [
        "us-east-1",
        "us-west-2",
        "sa-east-1",
        "eu-west-1",
        "eu-central-1",
        "eu-north-1",
        "ap-south-1",
        "ap-southeast-1",
        "ap-northeast-1",
        "ap-southeast-2",
        "me-south-1",
        "af-south-1",
    ],
    round_trip_ms: [
        [6, 64, 115, 70, 93, 113, 193, 220, 150, 200, 162, 228],
        [64, 3, 175, 118, 143, 156, 222, 160, 98, 141, 215, 275],
        [115, 175, 3, 179, 205, 223, 302, 328, 259, 312, 273, 339],
        [70, 119, 178, 3, 28, 41, 126, 179, 202, 256, 98, 160],
        [93, 142, 204, 27, 4, 23, 129, 160, 227, 251, 86, 156],
        [112, 155, 223, 40, 23, 3, 149, 181, 247, 271, 105, 174],
        [190, 222, 301, 125, 129, 148, 3, 64, 133, 155, 38, 274],
        [219, 161, 328, 179, 161, 181, 65, 4, 71, 95, 98, 317],
        [150, 99, 258, 203, 228, 247, 134, 71, 3, 107, 175, 358],
        [200, 141, 312, 256, 252, 272, 155, 95, 106, 4, 189, 409],
        [162, 263, 273, 99, 87, 106, 39, 99, 176, 189, 3, 251],
        [226, 274, 337, 159, 155, 174, 272, 314, 357, 409, 247, 5],
    ],
}];

/// Half the difference of p90 and p50 in the same measurement: its median over all pairs.
pub(super) const HALF_P90_P50_US: u64 = 2_600;
