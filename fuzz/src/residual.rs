//! Residuals: what reads is written as it was read.

use crate::ceiling;
use archipel_protocol::codec::Residual;

/// Plays a residual of as many parameters as the first byte says.
///
/// # Panics
/// Where a residual has two encodings.
pub fn play(data: &[u8]) {
    let Some((parameters, bytes)) = data.split_first() else {
        return;
    };
    let allowed = (16 << 10) + 16 * bytes.len();
    let read = ceiling::within(allowed, || {
        Residual::from_bytes(bytes, usize::from(*parameters))
    });
    if let Ok(residual) = read {
        assert_eq!(residual.to_bytes(), bytes, "one encoding a residual");
    }
}
