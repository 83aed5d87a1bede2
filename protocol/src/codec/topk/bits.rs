//! Streams of bits: the first bit is the lowest of the first byte, numbers start at their lowest.
//!
//! A Rice code of parameter k writes a number as its quotient by 2ᵏ in unary (as many zeros, then a
//! one) and its remainder in k bits (Rice and Plaunt 1971). For gaps between independent positions
//! it is within three percent of their entropy.

/// Bits that one look ahead shows for certain.
const AHEAD: u32 = 56;

/// Appends numbers to a list of bytes.
pub(super) struct BitWriter<'a> {
    out: &'a mut Vec<u8>,
    held: u64,
    count: u32,
}

impl<'a> BitWriter<'a> {
    pub(super) fn new(out: &'a mut Vec<u8>) -> Self {
        Self {
            out,
            held: 0,
            count: 0,
        }
    }

    /// Writes the lowest `width` bits of a number that has no others, 32 at the most.
    #[inline]
    pub(super) fn put(&mut self, number: u32, width: u32) {
        debug_assert!(
            width == 32 || number >> width == 0,
            "{number} has {width} bits"
        );
        self.held |= u64::from(number) << self.count;
        self.count += width;
        if self.count >= 32 {
            self.out
                .extend_from_slice(&(self.held as u32).to_le_bytes());
            self.held >>= 32;
            self.count -= 32;
        }
    }

    /// Writes a number in Rice code, its remainder followed by `extra` of `extra_width` bits.
    ///
    /// `k` is 20 at the most, `extra_width` 1.
    #[inline]
    pub(super) fn put_rice(&mut self, number: u32, k: u32, extra: u32, extra_width: u32) {
        let mut zeros = number >> k;
        while zeros > 8 {
            let some = (zeros - 8).min(32);
            self.put(0, some);
            zeros -= some;
        }
        let low = number & ((1 << k) - 1);
        let tail = 1 | (low | extra << k) << 1;
        self.put(tail << zeros, zeros + 1 + k + extra_width);
    }

    /// Fills the last byte with zeros.
    pub(super) fn finish(self) {
        let bytes = self.count.div_ceil(8) as usize;
        self.out
            .extend_from_slice(&self.held.to_le_bytes()[..bytes]);
    }
}

/// Why a number cannot be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    /// The bytes end first.
    Short,
    /// The number is above what it may be.
    Large,
}

/// Takes numbers from bytes.
#[derive(Clone, Debug)]
pub(super) struct BitReader<'a> {
    bytes: &'a [u8],
    /// Bits taken so far.
    at: u64,
}

impl<'a> BitReader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The next number of `width` bits, 32 at the most; nothing where the bytes end first.
    pub(super) fn take(&mut self, width: u32) -> Result<u32, Broken> {
        let number = self.ahead() & ((1 << width) - 1);
        self.at += u64::from(width);
        self.within(number as u32)
    }

    /// The next number in Rice code, and the bit behind it. `k` is 20 at the most.
    #[inline]
    pub(super) fn take_rice_and_bit(&mut self, k: u32, most: u32) -> Result<(u32, u32), Broken> {
        let word = self.ahead();
        let zeros = word.trailing_zeros();
        if zeros + k + 2 > AHEAD {
            let number = self.take_rice(k, most)?;
            return Ok((number, self.take(1)?));
        }
        let tail = word >> (zeros + 1);
        let number = u64::from(zeros) << k | tail & ((1 << k) - 1);
        let bit = tail >> k & 1;
        self.at += u64::from(zeros + k + 2);
        self.within(())?;
        if number > u64::from(most) {
            return Err(Broken::Large);
        }
        Ok((number as u32, bit as u32))
    }

    /// The next number in Rice code, `most` or below.
    pub(super) fn take_rice(&mut self, k: u32, most: u32) -> Result<u32, Broken> {
        let mut quotient = 0u64;
        loop {
            let zeros = self.ahead().trailing_zeros().min(AHEAD);
            quotient += u64::from(zeros);
            self.at += u64::from(zeros);
            if zeros < AHEAD {
                break;
            }
            self.within(())?;
            if quotient << k > u64::from(most) {
                return Err(Broken::Large);
            }
        }
        self.take(1)?;
        let number = quotient << k | u64::from(self.take(k)?);
        if number > u64::from(most) {
            return Err(Broken::Large);
        }
        Ok(number as u32)
    }

    /// Bytes read or begun so far.
    pub(super) fn bytes(&self) -> usize {
        self.at.div_ceil(8) as usize
    }

    /// The bits of the last byte that were not taken.
    pub(super) fn padding(&self) -> u8 {
        match self.at % 8 {
            0 => 0,
            used => self.bytes[(self.at / 8) as usize] >> used,
        }
    }

    /// The next bits, [`AHEAD`] of them for certain; zeros behind the end.
    #[inline]
    fn ahead(&self) -> u64 {
        let first = (self.at / 8) as usize;
        let word = match self.bytes.get(first..first + 8) {
            Some(eight) => u64::from_le_bytes(eight.try_into().expect("eight bytes")),
            None => {
                let mut word = [0; 8];
                let rest = self.bytes.get(first..).unwrap_or_default();
                word[..rest.len()].copy_from_slice(rest);
                u64::from_le_bytes(word)
            }
        };
        word >> (self.at % 8)
    }

    /// `value`, unless more bits were taken than there are.
    #[inline]
    fn within<T>(&self, value: T) -> Result<T, Broken> {
        if self.at > 8 * self.bytes.len() as u64 {
            return Err(Broken::Short);
        }
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_put_is_taken(
            numbers in prop::collection::vec((0u32..70_000, 0u32..17, 0u32..2), 0..200),
        ) {
            let mut bytes = Vec::new();
            let mut writer = BitWriter::new(&mut bytes);
            for (number, k, bit) in &numbers {
                // Long unary runs as well, but not millions of bits.
                let number = *number >> (12 - (*k).min(12));
                writer.put_rice(number, *k, *bit, 1);
                writer.put_rice(number, *k, 0, 0);
                writer.put(number & 0xff, 8);
            }
            writer.finish();
            let mut reader = BitReader::new(&bytes);
            for (number, k, bit) in &numbers {
                let number = *number >> (12 - (*k).min(12));
                let pair = reader.clone().take_rice_and_bit(*k, number);
                prop_assert_eq!(pair, Ok((number, *bit)));
                prop_assert_eq!(reader.clone().take_rice(*k, number), Ok(number));
                if number > 0 {
                    prop_assert_eq!(reader.clone().take_rice(*k, number - 1), Err(Broken::Large));
                }
                reader.take_rice_and_bit(*k, number).expect("taken before");
                prop_assert_eq!(reader.take_rice(*k, number), Ok(number));
                prop_assert_eq!(reader.take(8), Ok(number & 0xff));
            }
            prop_assert_eq!((reader.bytes(), reader.padding()), (bytes.len(), 0));
            prop_assert_eq!(reader.clone().take(8), Err(Broken::Short));
            prop_assert_eq!(reader.clone().take_rice(0, u32::MAX), Err(Broken::Short));
            prop_assert_eq!(reader.take_rice_and_bit(3, u32::MAX), Err(Broken::Short));
        }
    }

    #[test]
    fn endless_zeros_end_at_the_bound() {
        let zeros = vec![0; 1 << 20];
        let mut reader = BitReader::new(&zeros);
        assert_eq!(reader.take_rice(0, 4095), Err(Broken::Large));
        assert!(reader.bytes() < 1024, "it stops soon after the bound");
    }
}
