//! Why something is not encoded or decoded.

/// Why values are not encoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// The number of values is not the layout's.
    #[error("the layout has {expected} parameters, found {found} values")]
    Length {
        /// Parameters of the layout.
        expected: usize,
        /// Values given.
        found: usize,
    },
    /// A value is NaN or infinite.
    #[error("{tensor}[{index}] is not finite: the inner steps diverged, send nothing this round")]
    NotFinite {
        /// The tensor's name.
        tensor: String,
        /// Position in the tensor.
        index: usize,
    },
    /// The chunk length is none that can be written.
    #[error("a chunk is a power of four from 16 to 65536, found {found}")]
    Chunk {
        /// Chunk length found.
        found: u32,
    },
    /// The chunk is longer than what is transformed.
    #[error("demo transforms chunks of up to {limit} values, found {found}")]
    Transform {
        /// The longest chunk.
        limit: u32,
        /// Chunk length found.
        found: u32,
    },
    /// The number of kept values does not fit the chunk.
    #[error("keep is 1 to {chunk} values of a chunk, found {found}")]
    Keep {
        /// Chunk length.
        chunk: u32,
        /// Kept values found.
        found: u32,
    },
    /// The layout is too large for 32-bit positions.
    #[error("{codec} takes up to 4294967295 parameters, the layout has {found}: use int8")]
    Parameters {
        /// The codec's name.
        codec: &'static str,
        /// Parameters of the layout.
        found: u64,
    },
    /// A choice made elsewhere is for a codec that makes none.
    #[error("values are chosen for topk-2bit, found codec {codec}: use encode")]
    NoPieces {
        /// The codec's name.
        codec: &'static str,
    },
    /// A choice made elsewhere is none that an encoder makes.
    #[error("piece {piece} was not chosen as the codec chooses: encode on the processor instead")]
    Choice {
        /// The piece's number; where their number is wrong, that number.
        piece: usize,
    },
}

/// Why a payload was refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum DecodeError {
    /// The expected codec does not fit the layout.
    #[error(transparent)]
    Settings(#[from] CodecError),
    /// The payload is longer than the plan allows.
    #[error("a payload has at most {limit} bytes, found {found}")]
    TooLong {
        /// Bytes allowed.
        limit: u64,
        /// Bytes found.
        found: u64,
    },
    /// The payload ends too early.
    #[error("the payload ends at byte {found}, at least {needed} are needed")]
    Truncated {
        /// Bytes needed to go on.
        needed: u64,
        /// Bytes there are.
        found: u64,
    },
    /// Bytes follow the end.
    #[error("the payload ends at byte {expected}, found {found} bytes")]
    Trailing {
        /// Where it ends.
        expected: u64,
        /// Bytes found.
        found: u64,
    },
    /// The first bytes are not a payload's.
    #[error("expected the payload mark 41524355, found {found:08x}")]
    Magic {
        /// The first four bytes, as a big-endian number.
        found: u32,
    },
    /// The format version is unknown.
    #[error("expected payload version {expected}, found {found}: update the software")]
    Version {
        /// The version this software reads.
        expected: u8,
        /// The version found.
        found: u8,
    },
    /// The payload is of another codec than the plan's.
    #[error("the plan asks for codec {expected}, the payload is of codec {found}")]
    Codec {
        /// The plan's codec byte.
        expected: u8,
        /// The payload's codec byte.
        found: u8,
    },
    /// Reserved bytes are not zero.
    #[error("reserved bytes are zero, found {found}")]
    Reserved {
        /// The two bytes, little-endian.
        found: u16,
    },
    /// The payload is for another number of parameters.
    #[error("the layout has {expected} parameters, the payload declares {found}")]
    Parameters {
        /// Parameters of the layout.
        expected: u64,
        /// Parameters declared.
        found: u64,
    },
    /// The payload keeps a different share than the plan says.
    #[error("the plan keeps {expected:?} (keep, chunk), the payload {found:?}")]
    Sparsity {
        /// The plan's keep and chunk.
        expected: (u32, u32),
        /// The payload's keep and chunk.
        found: (u32, u32),
    },
    /// A value is NaN or infinite.
    #[error("{tensor}[{index}] is not finite")]
    NotFinite {
        /// The tensor's name.
        tensor: String,
        /// Position in the tensor.
        index: usize,
    },
    /// A value is larger than the plan allows.
    #[error("{tensor}[{index}] has magnitude {found}, the plan allows {limit}")]
    TooLarge {
        /// The tensor's name.
        tensor: String,
        /// Position in the tensor.
        index: usize,
        /// Magnitude allowed.
        limit: f32,
        /// Magnitude found.
        found: f32,
    },
    /// The norm is larger than the plan allows.
    #[error("the update's norm is {found}, the plan allows {limit}")]
    Norm {
        /// Norm allowed.
        limit: f64,
        /// Norm found.
        found: f64,
    },
    /// A block's scale is negative, subnormal, infinite or NaN.
    #[error("{tensor}, block {block}: a scale is zero or a positive normal number, found {found}")]
    Scale {
        /// The tensor's name.
        tensor: String,
        /// The block's number in the tensor.
        block: usize,
        /// The scale found.
        found: f32,
    },
    /// A block without scale holds values.
    #[error("{tensor}, block {block}: the scale is zero, a value is not")]
    ZeroBlock {
        /// The tensor's name.
        tensor: String,
        /// The block's number in the tensor.
        block: usize,
    },
    /// A quantized value is the lowest of its width, or not zero where there is none.
    #[error("{tensor}, block {block}: no encoder writes the lowest quantized value of a width")]
    Level {
        /// The tensor's name.
        tensor: String,
        /// The block's number in the tensor.
        block: usize,
    },
    /// A table entry is not finite, on the wrong side of zero, out of order, or not zero though no
    /// symbol uses it.
    #[error("{tensor}: table entry {entry} is {found}, which its bin cannot have")]
    Table {
        /// The tensor's name.
        tensor: String,
        /// Entry, from 0 (most negative) to 3.
        entry: usize,
        /// The entry found.
        found: f32,
    },
    /// A table entry is larger than the plan allows a value to be.
    #[error("{tensor}: table entry {entry} has magnitude {found}, the plan allows {limit}")]
    TableLimit {
        /// The tensor's name.
        tensor: String,
        /// Entry, from 0 (most negative) to 3.
        entry: usize,
        /// Magnitude allowed.
        limit: f32,
        /// Magnitude found.
        found: f32,
    },
    /// A chunk holds more values than it may keep.
    #[error("{tensor}, chunk {chunk}: at most {limit} values are kept, found {found}")]
    Count {
        /// The tensor's name.
        tensor: String,
        /// The chunk's number in the tensor.
        chunk: usize,
        /// Values that may be kept.
        limit: u32,
        /// Values found.
        found: u32,
    },
    /// An index lies behind the end of its chunk.
    #[error("{tensor}, chunk {chunk}: an index lies behind the last of {limit} values")]
    IndexRange {
        /// The tensor's name.
        tensor: String,
        /// The chunk's number in the tensor.
        chunk: usize,
        /// Length of the chunk.
        limit: u32,
    },
    /// The parameter of a Rice code is none that is used.
    #[error("{tensor}: a Rice parameter is at most {limit}, found {found}")]
    Parameter {
        /// The tensor's name.
        tensor: String,
        /// The largest parameter.
        limit: u32,
        /// Parameter found.
        found: u32,
    },
    /// A value of an outer bin lies behind the last value.
    #[error("{tensor}: a value of an outer bin lies behind the last of {kept} kept values")]
    OuterRange {
        /// The tensor's name.
        tensor: String,
        /// Values kept of the tensor.
        kept: usize,
    },
    /// The bits that fill up the last byte are not zero.
    #[error("the bits that fill the last byte are zero, found {found:08b}")]
    Padding {
        /// The padding bits found.
        found: u8,
    },
}
