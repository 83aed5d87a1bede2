//! Streams of bits: the first bit is the lowest of the first byte, numbers start at their lowest.

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

    /// Fills the last byte with zeros.
    pub(super) fn finish(self) {
        let bytes = self.count.div_ceil(8) as usize;
        self.out
            .extend_from_slice(&self.held.to_le_bytes()[..bytes]);
    }
}

/// Takes numbers from bytes.
pub(super) struct BitReader<'a> {
    bytes: &'a [u8],
    /// Bits taken so far.
    at: u64,
}

impl<'a> BitReader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Whether `count` more bits are there.
    pub(super) fn holds(&self, count: u64) -> bool {
        self.at + count <= 8 * self.bytes.len() as u64
    }

    /// The next number of `width` bits, 32 at the most; nothing where the bytes end first.
    pub(super) fn take(&mut self, width: u32) -> Option<u32> {
        if !self.holds(u64::from(width)) {
            return None;
        }
        let rest = &self.bytes[(self.at / 8) as usize..];
        let word = match rest.first_chunk::<8>() {
            Some(word) => u64::from_le_bytes(*word),
            None => {
                let mut word = [0; 8];
                word[..rest.len()].copy_from_slice(rest);
                u64::from_le_bytes(word)
            }
        };
        let number = (word >> (self.at % 8)) & ((1 << width) - 1);
        self.at += u64::from(width);
        Some(number as u32)
    }

    /// The bytes begun so far.
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
}
